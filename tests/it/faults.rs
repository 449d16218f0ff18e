//! The matrix of faults: whatever dies, freezes or is cut off under load, what was answered yes is stored once and
//! as it was sent, and the system recovers by itself. docs/reliability.md has the figures.

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
