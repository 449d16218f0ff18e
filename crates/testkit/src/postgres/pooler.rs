//! PgBouncer in front of a PostgreSQL server.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Stdio},
};

use tempfile::TempDir;

use super::{Postgres, ServerUser};
use crate::eventually;

/// A running pooler. It is killed when dropped.
#[derive(Debug)]
pub struct Pooler {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Pooler {
    /// Starts a pooler in front of every database of `server`, in a mode such as `session` or `transaction`, with
    /// further lines of configuration.
    pub async fn start(server: &Postgres, mode: &str, settings: &str) -> Self {
        let folder = TempDir::with_prefix("weir-pgbouncer-").unwrap();
        let owner = ServerUser::of(folder.path());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let configuration = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=weir\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {mode}\n{settings}\n",
            server.port()
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, configuration).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = owner.at(&PathBuf::from("/usr/sbin/pgbouncer"));
        let process =
            command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let pooler = Self { process, port, _folder: folder };
        eventually(async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await).await;
        pooler
    }

    /// The URL of the same database through the pooler.
    pub fn before(&self, server: &Postgres, address: &str) -> String {
        address.replace(&format!(":{}/", server.port()), &format!(":{}/", self.port))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
