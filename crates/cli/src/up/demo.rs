//! `weir up --demo`: the whole system on temporary files, with a publisher in front of it.

mod walkthrough;

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    process::ExitCode,
};

use anyhow::Context as _;
use tempfile::TempDir;
use walkthrough::Walkthrough;

use super::{
    args::{ADMIN_PORT, NAME, UpCommand},
    roles::Roles,
};
use crate::{exit::CommandResult, output::print_line, runner};

pub(super) async fn run(mut command: UpCommand) -> CommandResult {
    let folder = tempfile::Builder::new().prefix("weir-demo-").tempdir().context("can't make a folder")?;
    command.live_in(&folder);
    command.take_free_ports()?;
    let (process, config) = command.check()?;
    print_line(format_args!("Weir starts on files in {}", folder.path().display()));
    let hosted = runner::host(NAME, &process, async |host| {
        let roles = Roles::bind(config, host).await?;
        let walkthrough = Walkthrough { addresses: roles.addresses() };
        // In front of the roles, so that the publisher stops first.
        host.add("demo", |stop| walkthrough.run(stop));
        roles.start(host);
        Ok(())
    });
    let code = hosted.await?;
    folder.close().context("can't remove the folder of the demonstration")?;
    if code == ExitCode::SUCCESS {
        print_line("Weir ended, and its files are removed");
    }
    Ok(code)
}

impl UpCommand {
    /// Puts everything into `folder`, and logs only warnings unless a level is set.
    fn live_in(&mut self, folder: &TempDir) {
        (self.journal.url.nats_url, self.journal.url.nats_url_file) = (None, None);
        (self.store.database_url, self.store.database_url_file) = (None, None);
        self.folder.weir_data_dir = folder.path().join("data");
        self.process.log_level.get_or_insert_with(|| "warn".to_owned());
    }

    /// Replaces usual ports that are taken, but not requested ones, and prints the replacement.
    fn take_free_ports(&mut self) -> anyhow::Result<()> {
        let listens = [
            ("the edge", 3001, &mut self.edge.edge_listen),
            ("ingest", 50051, &mut self.ingest.ingest_listen),
            ("reporting", 50052, &mut self.reporting.reporting_listen),
            ("health and metrics", ADMIN_PORT, &mut self.process.admin_listen),
        ];
        for (who, usual, listen) in listens {
            if listen.is_none()
                && let Some(port) = free_port(usual).context("can't find a free port")?
            {
                print_line(format_args!("Port {usual} is taken, so {who} listens on port {port}"));
                *listen = Some(port.to_string());
            }
        }
        Ok(())
    }
}

/// Returns `None` if `usual` is free, else a free port.
///
/// # Errors
/// This machine has no free port.
fn free_port(usual: u16) -> io::Result<Option<u16>> {
    let listen = |port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
    match listen(usual) {
        Ok(_free) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(Some(listen(0)?.local_addr()?.port())),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_replaced_by_one_that_is_free() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let other = free_port(port).unwrap().unwrap();
        assert_ne!(other, port);
        assert_eq!(free_port(other).unwrap(), None);
    }
}
