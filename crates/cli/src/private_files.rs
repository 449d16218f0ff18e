//! Files and folders for this user only: they hold people's data. New ones are made so, under any umask. Those
//! that an earlier build or a person left open are closed where a command opens them.

use std::path::Path;

use tracing::{info, warn};

use crate::output::eprint_line;

/// The names of Weir's files in a data folder begin so. `lock` is a whole name.
const NAMES: [&str; 3] = ["journal.", "journal-state.", "store.sqlite"];
const LOCK: &str = "lock";
/// The files beside an SQLite file, by what follows its name.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", ".repair-lock"];

/// Makes every file and folder that this process creates from now on private: mode 600 and 700 on Unix.
/// A stricter umask stays.
pub(crate) fn restrict_new_files() {
    #[cfg(unix)]
    {
        use rustix::{fs::Mode, process::umask};

        let others = Mode::RWXG | Mode::RWXO;
        let inherited = umask(others);
        umask(inherited | others);
    }
}

/// Closes a data folder and Weir's files in it. A folder with anything else in it stays as it is, because it
/// may be a folder of the system.
pub(crate) fn close_folder(folder: &Path) {
    let Ok(entries) = folder.read_dir() else { return };
    let mut holds_others = false;
    for entry in entries.flatten() {
        if is_ours(&entry.file_name().to_string_lossy()) {
            close(&entry.path());
        } else {
            holds_others = true;
        }
    }
    if !holds_others {
        close(folder);
    } else if is_open(folder) {
        let path = folder.display();
        info!(%path, "the data folder is open to other users, because it has files that are not Weir's; Weir's files are not");
    }
}

/// Closes an SQLite file and the files that belong to it. Its folder is the operator's.
pub(crate) fn close_database(file: &Path) {
    for suffix in BESIDE {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        close(Path::new(&path));
    }
}

/// Takes the rights of other users from a file or a folder, and reports it: in the log, or on standard error if
/// there is none. Does nothing to a missing one, and to a link, which may lead anywhere.
pub(crate) fn close(path: &Path) {
    if !is_open(path) {
        return;
    }
    let shown = path.display();
    let is_logged = tracing::dispatcher::has_been_set();
    match take_rights_of_others(path) {
        Ok(()) if is_logged => info!(path = %shown, "other users could open it, and no longer can"),
        Ok(()) => eprint_line(format_args!("weir: other users could open {shown}, and no longer can")),
        Err(error) if is_logged => {
            warn!(path = %shown, %error, "other users can open it: let its owner run chmod go= on it");
        }
        Err(error) => eprint_line(format_args!(
            "weir: other users can open {shown} ({error}): let its owner run chmod go= on it"
        )),
    }
}

fn is_ours(name: &str) -> bool {
    name == LOCK || NAMES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(unix)]
fn is_open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    path.symlink_metadata().is_ok_and(|found| !found.is_symlink() && found.permissions().mode() & 0o077 != 0)
}

#[cfg(unix)]
fn take_rights_of_others(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    // By its path: a file that this process opened and closed would lose the locks that SQLite has on it.
    let mut permissions = path.symlink_metadata()?.permissions();
    permissions.set_mode(permissions.mode() & !0o077);
    std::fs::set_permissions(path, permissions)
}

/// Elsewhere the rights come from the folder.
#[cfg(not(unix))]
fn is_open(_path: &Path) -> bool {
    false
}

#[cfg(not(unix))]
fn take_rights_of_others(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn open(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_folder_of_weir_is_closed_and_one_with_other_files_only_where_they_are_weir_s() {
        let folder = tempfile::tempdir().unwrap();
        let ours = ["lock", "journal.db", "journal.db-wal", "store.sqlite", "store.sqlite-shm"];
        let ours = ours.map(|name| folder.path().join(name));
        for file in &ours {
            fs::write(file, "").unwrap();
            open(file, 0o644);
        }
        open(folder.path(), 0o755);
        close_folder(folder.path());
        assert!(ours.iter().all(|file| mode(file) == 0o600) && mode(folder.path()) == 0o700);

        open(&ours[1], 0o664);
        open(folder.path(), 0o755);
        let other = folder.path().join("notes");
        fs::write(&other, "").unwrap();
        open(&other, 0o644);
        close_folder(folder.path());
        assert_eq!([mode(&ours[1]), mode(&other), mode(folder.path())], [0o600, 0o644, 0o755]);
        close_folder(&folder.path().join("missing"));
    }

    #[test]
    fn a_link_leads_to_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["elsewhere", "journal.db"].map(|name| folder.path().join(name));
        fs::write(&file, "").unwrap();
        open(&file, 0o644);
        std::os::unix::fs::symlink(&file, &link).unwrap();
        close_database(&link);
        assert_eq!(mode(&file), 0o644);
        close_database(&file);
        assert_eq!(mode(&file), 0o600);
    }
}
