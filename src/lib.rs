//! The contract between the roles: messages, clients and servers generated from `proto/`.
#![doc = include_str!("README.md")]

pub mod contract;
