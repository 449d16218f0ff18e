//! Certificates by openssl for PostgreSQL: an authority, and the certificates of servers and clients.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use tempfile::TempDir;

/// An authority and the server certificate that it signed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Certificates {
    folder: Arc<TempDir>,
}

impl Certificates {
    /// The settings of a server whose certificates lie in the folder above its data.
    pub(super) const SETTINGS: [&str; 4] =
        ["ssl=on", "ssl_cert_file=../server.crt", "ssl_key_file=../server.key", "ssl_ca_file=../ca.crt"];

    /// Makes an authority and the certificate of a server with these names, such as `DNS:localhost`.
    pub fn of(names: &str) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let certificates = Self { folder };
        certificates.openssl(
            &["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
            &["-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=an authority of a story", "-days", "2"],
        );
        certificates.sign("server", "/CN=server", names);
        certificates
    }

    /// Signs a certificate; writes it and its key to `<name>.crt` and `<name>.key`.
    pub fn sign(&self, name: &str, subject: &str, names: &str) {
        let [key, request, certificate, extensions] =
            ["key", "csr", "crt", "ext"].map(|kind| format!("{name}.{kind}"));
        fs::write(self.path(&extensions), format!("subjectAltName={names}\nbasicConstraints=CA:FALSE\n"))
            .unwrap();
        self.openssl(
            &["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
            &["-keyout", &key, "-out", &request, "-subj", subject],
        );
        self.openssl(
            &["x509", "-req", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"],
            &["-in", &request, "-out", &certificate, "-extfile", &extensions],
        );
        fs::set_permissions(self.path(&key), Permissions::from_mode(0o600)).unwrap();
    }

    /// The path of a file, such as `ca.crt`.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Copies the files that a server needs.
    pub(super) fn install(&self, folder: &Path) {
        for file in ["ca.crt", "server.crt", "server.key"] {
            fs::copy(self.path(file), folder.join(file)).unwrap();
        }
    }

    fn openssl(&self, first: &[&str], rest: &[&str]) {
        let made =
            Command::new("openssl").args(first).args(rest).current_dir(self.folder.path()).output().unwrap();
        assert!(made.status.success(), "{first:?} {rest:?}: {}", String::from_utf8_lossy(&made.stderr));
    }
}
