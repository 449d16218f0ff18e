//! The places of a deployment: where its journal is, where its store is, and the folder for what is on files.

mod data_folder;
mod journal;
pub(crate) mod store;

pub(crate) use data_folder::{DataFolder, FolderArgs};
pub(crate) use journal::{JournalAddress, JournalArgs, JournalPlace, JournalUrlArgs, MonitorArgs};
pub(crate) use store::{StoreArgs, StorePlace};
