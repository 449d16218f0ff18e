//! WEIR_DATA_DIR: the folder of the embedded journal and the SQLite store, for one process only.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::private_files;

/// The location of files.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct FolderArgs {
    /// The folder of the embedded journal and the SQLite store. Roles create it if it is missing, close
    /// it to other users, and lock it against a second process.
    #[arg(long, env = "WEIR_DATA_DIR", default_value = "./data", value_name = "FOLDER")]
    pub(crate) weir_data_dir: PathBuf,
}

/// A folder that this process has locked, as long as the value lives.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Creates a missing folder, closes it to other users, and locks it.
    ///
    /// # Errors
    /// The folder can't be created or written, or another process has locked it.
    pub(crate) fn lock(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        fs::create_dir_all(path).with_context(|| format!("can't make the folder {shown} (WEIR_DATA_DIR)"))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .with_context(|| format!("can't write into the folder {shown} (WEIR_DATA_DIR)"))?;
        match lock.try_lock() {
            Ok(()) => {
                private_files::close_folder(path);
                Ok(Self { path: path.to_owned(), _lock: lock })
            }
            Err(TryLockError::WouldBlock) => {
                bail!("another process uses the folder {shown}: stop it, or choose another WEIR_DATA_DIR")
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("can't lock the folder {shown} (WEIR_DATA_DIR)"))
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_a_locked_folder_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/when/missing");
        let first = DataFolder::lock(&path).unwrap();
        let refused = DataFolder::lock(&path).unwrap_err().to_string();
        assert!(refused.contains(&path.display().to_string()), "{refused}");
        drop(first);
        assert!(DataFolder::lock(&path).is_ok());
    }
}
