//! WEIR_DATA_DIR: the folder for what is on files, for one process alone.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;

/// Where files are.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct FolderArgs {
    /// The folder for the embedded journal and the SQLite store; made where it is missing, and locked, so that
    /// no second process uses it.
    #[arg(long, env = "WEIR_DATA_DIR", default_value = "./data", value_name = "FOLDER")]
    pub(crate) weir_data_dir: PathBuf,
}

/// A folder that this process alone uses, as long as the value lives.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder where it is missing, and takes it.
    ///
    /// # Errors
    /// It can't be made or written, or another process has it.
    pub(crate) fn take(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        fs::create_dir_all(path).with_context(|| format!("can't make the folder {shown} (WEIR_DATA_DIR)"))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .with_context(|| format!("can't write into the folder {shown} (WEIR_DATA_DIR)"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
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
    fn a_folder_that_is_taken_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/when/missing");
        let first = DataFolder::take(&path).unwrap();
        let refused = DataFolder::take(&path).unwrap_err().to_string();
        assert!(refused.contains(&path.display().to_string()), "{refused}");
        drop(first);
        assert!(DataFolder::take(&path).is_ok());
    }
}
