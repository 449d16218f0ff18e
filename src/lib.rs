//! The contracts that every role shares: messages, clients and servers generated from `proto/`.

pub mod contract;
