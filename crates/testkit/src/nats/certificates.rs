//! A certificate authority that signs certificates for a story, with rcgen.

use std::{
    fs,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Datelike as _, Utc};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};

/// A certificate authority. It writes its certificates as PEM files.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// The files of a certificate and its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    /// An authority that writes its files into a folder `name` inside `folder`.
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no name is no bad name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("{name} of a test"));
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a CA signs itself");
        let folder = folder.join(name);
        fs::create_dir_all(&folder).expect("the folder is writable");
        fs::write(folder.join("ca.pem"), issuer.pem()).expect("the folder is writable");
        Self { issuer, folder }
    }

    /// The file of the authority's own certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A certificate for these names and addresses, for servers and clients alike, until `ends_at`.
    pub fn certify(&self, names: &[&str], ends_at: DateTime<Utc>) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let file = |kind: &str| self.folder.join(format!("{}.{kind}.pem", names.join("+")));
        let mut params = CertificateParams::new(names.clone()).expect("the names are names");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let month = u8::try_from(ends_at.month()).expect("there are twelve");
        let day = u8::try_from(ends_at.day()).expect("there are 31");
        params.not_after = rcgen::date_time_ymd(ends_at.year(), month, day);
        let key = KeyPair::generate().expect("a key can be made");
        let signed = params.signed_by(&key, &self.issuer).expect("the CA signs");
        let certificate = Certificate { certificate: file("certificate"), key: file("key") };
        fs::write(&certificate.certificate, signed.pem()).expect("the folder is writable");
        fs::write(&certificate.key, key.serialize_pem()).expect("the folder is writable");
        certificate
    }
}
