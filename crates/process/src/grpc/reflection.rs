//! The reflection of one port: its own services, their messages, and nothing of another role.

use std::collections::HashSet;

use prost::{DecodeError, Message as _};
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic_reflection::{pb::v1alpha, server::Builder};

/// The reflection of a port that serves the services `names`, which `descriptors` describe, besides health and
/// reflection itself. It also has the messages in which the details of errors are encoded, so that a generic client
/// can show them.
///
/// # Errors
/// The descriptors can't be decoded.
pub(super) fn builder(names: &[&str], descriptors: &[u8]) -> Result<Builder<'static>, DecodeError> {
    let served = served(names, FileDescriptorSet::decode(descriptors)?);
    Ok(Builder::configure()
        .register_file_descriptor_set(served)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        // The library adds the version that it builds. The port serves both.
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(v1alpha::FILE_DESCRIPTOR_SET))
}

/// The files that declare the services `names`, without other services, and all that these files import.
fn served(names: &[&str], all: FileDescriptorSet) -> FileDescriptorSet {
    let mut needed: HashSet<String> = HashSet::new();
    let mut wanted: Vec<String> = Vec::new();
    let mut files = all.file;
    for file in &mut files {
        let package = file.package().to_owned();
        file.service.retain(|service| names.contains(&format!("{package}.{}", service.name()).as_str()));
        if !file.service.is_empty() {
            wanted.push(file.name().to_owned());
        }
    }
    while let Some(name) = wanted.pop() {
        if let Some(file) = files.iter().find(|file| file.name() == name) {
            wanted.extend(file.dependency.iter().filter(|import| !needed.contains(*import)).cloned());
        }
        needed.insert(name);
    }
    let is_needed = |file: &FileDescriptorProto| needed.contains(file.name());
    FileDescriptorSet { file: files.into_iter().filter(is_needed).collect() }
}

#[cfg(test)]
mod tests {
    use prost_types::ServiceDescriptorProto;

    use super::*;

    fn file(name: &str, services: &[&str], imports: &[&str]) -> FileDescriptorProto {
        FileDescriptorProto {
            name: Some(name.to_owned()),
            package: Some("p".to_owned()),
            dependency: imports.iter().map(|import| (*import).to_owned()).collect(),
            service: services
                .iter()
                .map(|service| ServiceDescriptorProto {
                    name: Some((*service).to_owned()),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }
    }

    #[test]
    fn a_port_shows_its_services_and_their_imports_only() {
        let all = || FileDescriptorSet {
            file: vec![
                file("time", &[], &[]),
                file("event", &[], &["time"]),
                file("frame", &[], &["event"]),
                file("ours", &["Ours", "Beside"], &["event", "time"]),
                file("theirs", &["Theirs"], &["event"]),
            ],
        };
        let shown = served(&["p.Ours"], all());
        let files: Vec<_> = shown.file.iter().map(FileDescriptorProto::name).collect();
        assert_eq!(files, ["time", "event", "ours"]);
        let services = shown.file.iter().flat_map(|file| &file.service);
        assert!(services.map(ServiceDescriptorProto::name).eq(["Ours"]));
        assert!(served(&[], all()).file.is_empty());
    }
}
