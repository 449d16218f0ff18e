//! Faults under load: processes, servers, disks and networks die, freeze, fill up or are cut off. Every event that was
//! answered yes is stored once and unchanged, and the system recovers by itself. docs/reliability.md#the-matrix has the
//! figures.

mod backup;
mod bombs;
mod collector;
mod connections;
mod disk;
mod exits;
mod frozen;
mod good_client;
mod idle;
mod journal;
mod killed;
mod network;
mod output;
mod partition;
mod replicas;
mod rolling;
mod start;
mod store;
mod strangers;
