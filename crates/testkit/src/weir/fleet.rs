//! Where the processes of one Weir listen.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use crate::ports;

/// The processes of a fleet, by name and arguments.
pub(super) const FLEET: &[(&str, &[&str]); 6] = &[
    ("edge", &["edge"]),
    ("ingest", &["ingest"]),
    ("collect-facebook", &["collect", "facebook"]),
    ("collect-facebook-too", &["collect", "facebook"]),
    ("collect-tiktok", &["collect", "tiktok"]),
    ("reporting", &["reporting"]),
];

/// Two processes of each role.
pub(super) const PAIRS: &[(&str, &[&str]); 10] = &[
    ("edge", &["edge"]),
    ("edge-too", &["edge"]),
    ("ingest", &["ingest"]),
    ("ingest-too", &["ingest"]),
    ("collect-facebook", &["collect", "facebook"]),
    ("collect-facebook-too", &["collect", "facebook"]),
    ("collect-tiktok", &["collect", "tiktok"]),
    ("collect-tiktok-too", &["collect", "tiktok"]),
    ("reporting", &["reporting"]),
    ("reporting-too", &["reporting"]),
];

/// Where the processes of one Weir listen; chosen before they start, because they must know each other's.
#[derive(Debug)]
pub struct Addresses {
    pub edge: SocketAddr,
    pub ingest: SocketAddr,
    pub reporting: SocketAddr,
    /// Of the second process of each role, where there are two.
    pub edge_too: SocketAddr,
    ingest_too: SocketAddr,
    reporting_too: SocketAddr,
    /// By process.
    admin: BTreeMap<&'static str, SocketAddr>,
}

impl Addresses {
    /// Free ones for processes of these names.
    pub(super) fn choose(names: &[&'static str]) -> Self {
        let free = || SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
        let admin = names.iter().map(|name| (*name, free())).collect();
        let [edge, ingest, reporting] = [free(), free(), free()];
        let [edge_too, ingest_too, reporting_too] = [free(), free(), free()];
        Self { edge, ingest, reporting, edge_too, ingest_too, reporting_too, admin }
    }

    /// A free one for one more process.
    pub(super) fn add(&mut self, name: &'static str) {
        self.admin.insert(name, SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free())));
    }

    /// Of every process.
    pub fn admin(&self) -> impl Iterator<Item = SocketAddr> {
        self.admin.values().copied()
    }

    /// Of every process, with its name.
    pub fn admin_by_process(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.admin.iter().map(|(name, address)| (*name, *address))
    }

    /// Of one process.
    pub fn admin_of(&self, name: &str) -> SocketAddr {
        self.admin[name]
    }

    /// The environment that tells one process where to listen and where the others do.
    pub(super) fn environment(&self, name: &str) -> impl Iterator<Item = (&'static str, String)> {
        let admin = self.admin.get(name).map(|address| ("ADMIN_LISTEN", address.to_string()));
        let too = name.ends_with("-too");
        let own = |first, second| if too { second } else { first };
        let [edge, ingest, reporting] = [
            own(self.edge, self.edge_too),
            own(self.ingest, self.ingest_too),
            own(self.reporting, self.reporting_too),
        ];
        [
            ("EDGE_LISTEN", edge.to_string()),
            ("INGEST_LISTEN", ingest.to_string()),
            ("REPORTING_LISTEN", reporting.to_string()),
            ("INGEST_URL", self.urls("ingest-too", self.ingest, self.ingest_too)),
            ("REPORTING_URL", self.urls("reporting-too", self.reporting, self.reporting_too)),
            ("EVENT_ENDPOINT", format!("http://{}/events", self.edge)),
        ]
        .into_iter()
        .chain(admin)
    }

    /// Of a service that has a second process where one of this name runs.
    fn urls(&self, second_name: &str, first: SocketAddr, second: SocketAddr) -> String {
        let both = self.admin.contains_key(second_name);
        if both { format!("http://{first},http://{second}") } else { format!("http://{first}") }
    }
}
