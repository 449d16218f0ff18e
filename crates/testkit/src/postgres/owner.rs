//! The user that runs PostgreSQL's programs, and the folder of these programs.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
};

/// The user that runs the server: the current one, or `postgres` if that is root. PostgreSQL refuses to run as root.
pub(super) struct ServerUser {
    root: bool,
}

impl ServerUser {
    /// Gives the folder to this user.
    pub(super) fn of(folder: &Path) -> Self {
        let root = id(&["-u"]) == 0;
        if root {
            chown(folder, Some(id(&["-u", "postgres"])), Some(id(&["-g", "postgres"]))).unwrap();
        }
        Self { root }
    }

    /// A command of one of PostgreSQL's programs.
    pub(super) fn command(&self, name: &str) -> Command {
        self.at(&program(name))
    }

    /// A command of another program, run by the server's user.
    pub(super) fn at(&self, program: &Path) -> Command {
        if !self.root {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command
    }
}

fn id(arguments: &[&str]) -> u32 {
    let output = Command::new("id").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().expect("a user `postgres` is installed")
}

/// A program of the newest installed version. Debian keeps the server's programs off the path, in one folder for each
/// major version.
pub fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .map(|version| version.path().join("bin"))
        .filter(|folder| folder.join("postgres").exists())
        .max_by_key(|folder| {
            folder.parent().and_then(|version| version.file_name()?.to_str()?.parse::<u32>().ok())
        });
    newest.unwrap_or_default().join(name)
}
