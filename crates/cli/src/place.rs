//! The places of a deployment: where its journal is, where its store is, and the folder for what is on files.

mod folder;
mod journal;
mod patience;
pub(crate) mod store;

pub(crate) use folder::{DataFolder, FolderArgs};
pub(crate) use journal::{JournalAddress, JournalArgs, JournalPlace, JournalUrlArgs, MonitorArgs};
pub(crate) use patience::patiently;
pub(crate) use store::{StoreArgs, StorePlace};
