//! Generated code from `proto/`, and the descriptor set for gRPC reflection, without a `protoc` on the machine.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;
use prost_types::{FileDescriptorSet, field_descriptor_proto::Type};

/// Fields whose events the generated code keeps as bytes: package, message and field. Ingest and the collectors pass
/// such an event on as it arrived, without decoding it. A message and its bytes are the same on the wire.
const ENCODED_EVENTS: [(&str, &str, &str); 2] =
    [("weir.ingest.v1", "Item", "event"), ("weir.event.v1", "FramedEvent", "event")];

const PROTOS: [&str; 7] = [
    "weir/event/v1/event.proto",
    "weir/event/v1/origin.proto",
    "weir/event/v1/frame.proto",
    "weir/ingest/v1/ingest.proto",
    "weir/ingest/v1/dead_letter.proto",
    "weir/ingest/v1/erasure.proto",
    "weir/reporting/v1/reporting.proto",
];

#[expect(
    clippy::disallowed_methods,
    reason = "cargo passes the output folder to a build script through the environment alone"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut descriptors = protox::compile(PROTOS, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("weir.descriptors.bin"), descriptors.encode_to_vec())?;
    let mut generator = tonic_prost_build::configure();
    for (package, message, field) in ENCODED_EVENTS {
        change_to_bytes(&mut descriptors, package, message, field)?;
        generator = generator.bytes(format!(".{package}.{message}.{field}"));
    }
    generator.compile_fds(descriptors)?;
    Ok(())
}

/// Changes the type of one field from a message to bytes. Only the generated code sees the change: the descriptor set
/// for reflection is written before.
fn change_to_bytes(
    descriptors: &mut FileDescriptorSet,
    package: &str,
    message: &str,
    field: &str,
) -> Result<(), String> {
    let files = descriptors.file.iter_mut().filter(|file| file.package() == package);
    let mut messages = files.flat_map(|file| &mut file.message_type);
    let message = messages.find(|candidate| candidate.name() == message);
    let fields = message.into_iter().flat_map(|message| &mut message.field);
    let field = fields.into_iter().find(|candidate| candidate.name() == field);
    let field = field.ok_or_else(|| format!("{package} has no such message or field"))?;
    field.set_type(Type::Bytes);
    field.type_name = None;
    Ok(())
}
