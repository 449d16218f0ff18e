//! The matrix of faults: whatever dies, freezes or is cut off under load, what was answered yes is stored once and
//! as it was sent, and the system recovers by itself. docs/reliability.md has the figures.

mod backup;
mod collector;
mod connections;
mod disk;
mod frozen;
mod journal;
mod killed;
mod network;
mod partition;
mod replicas;
mod store;
