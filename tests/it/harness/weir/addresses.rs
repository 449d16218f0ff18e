//! Where the processes of one Weir listen.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use crate::harness::ports;

/// Where the processes of one Weir listen; chosen before they start, because they must know each other's.
#[derive(Debug)]
pub(crate) struct Addresses {
    pub(crate) edge: SocketAddr,
    pub(crate) ingest: SocketAddr,
    pub(crate) reporting: SocketAddr,
    /// By process.
    admin: BTreeMap<&'static str, SocketAddr>,
}

impl Addresses {
    /// Free ones for processes of these names.
    pub(super) fn choose(names: &[&'static str]) -> Self {
        let free = || SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
        let admin = names.iter().map(|name| (*name, free())).collect();
        Self { edge: free(), ingest: free(), reporting: free(), admin }
    }

    /// A free one for one more process.
    pub(super) fn add(&mut self, name: &'static str) {
        self.admin.insert(name, SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free())));
    }

    /// Of every process.
    pub(crate) fn admin(&self) -> impl Iterator<Item = SocketAddr> {
        self.admin.values().copied()
    }

    /// Of one process.
    pub(crate) fn admin_of(&self, name: &str) -> SocketAddr {
        self.admin[name]
    }

    /// The environment that tells one process where to listen and where the others do.
    pub(super) fn environment(&self, name: &str) -> impl Iterator<Item = (&'static str, String)> {
        let admin = self.admin.get(name).map(|address| ("ADMIN_LISTEN", address.to_string()));
        [
            ("EDGE_LISTEN", self.edge.to_string()),
            ("INGEST_LISTEN", self.ingest.to_string()),
            ("REPORTING_LISTEN", self.reporting.to_string()),
            ("INGEST_URL", format!("http://{}", self.ingest)),
            ("REPORTING_URL", format!("http://{}", self.reporting)),
            ("EVENT_ENDPOINT", format!("http://{}/events", self.edge)),
        ]
        .into_iter()
        .chain(admin)
    }
}
