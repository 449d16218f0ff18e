//! The storage of a deployment: its journal, its store, and the data folder.

mod data_folder;
mod journal;
pub(crate) mod store;

pub(crate) use data_folder::{DataFolder, FolderArgs};
pub(crate) use journal::{JournalArgs, JournalConfig, JournalLocation, JournalUrlArgs, MonitorArgs};
pub(crate) use store::{StoreArgs, StoreLocation};
