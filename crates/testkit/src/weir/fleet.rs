//! The processes of a fleet: their names, their arguments and their addresses.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use crate::ports;

/// One process of each role and a second collector for Facebook, by name and arguments.
pub(super) const FLEET: &[(&str, &[&str]); 6] = &[
    ("edge", &["edge"]),
    ("ingest", &["ingest"]),
    ("collect-facebook", &["collect", "facebook"]),
    ("collect-facebook-too", &["collect", "facebook"]),
    ("collect-tiktok", &["collect", "tiktok"]),
    ("reporting", &["reporting"]),
];

/// Two processes of each role, by name and arguments.
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

/// The addresses of all processes. They are chosen before the start, because the processes must know each other's.
#[derive(Debug)]
pub struct Addresses {
    pub edge: SocketAddr,
    pub ingest: SocketAddr,
    pub reporting: SocketAddr,
    /// The second edge, if there are two.
    pub edge_too: SocketAddr,
    ingest_too: SocketAddr,
    reporting_too: SocketAddr,
    /// The admin addresses, by process.
    admin: BTreeMap<&'static str, SocketAddr>,
}

impl Addresses {
    /// Chooses free addresses for the processes of these names.
    pub(super) fn choose(names: &[&'static str]) -> Self {
        let free = || SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
        let admin = names.iter().map(|name| (*name, free())).collect();
        let [edge, ingest, reporting] = [free(), free(), free()];
        let [edge_too, ingest_too, reporting_too] = [free(), free(), free()];
        Self { edge, ingest, reporting, edge_too, ingest_too, reporting_too, admin }
    }

    /// Chooses a free admin address for one more process.
    pub(super) fn add(&mut self, name: &'static str) {
        self.admin.insert(name, SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free())));
    }

    /// The admin addresses of all processes.
    pub fn admin(&self) -> impl Iterator<Item = SocketAddr> {
        self.admin.values().copied()
    }

    /// The admin addresses of all processes, with their names.
    pub fn admin_by_process(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.admin.iter().map(|(name, address)| (*name, *address))
    }

    /// The admin address of one process.
    pub fn admin_of(&self, name: &str) -> SocketAddr {
        self.admin[name]
    }

    /// The environment variables that give one process its addresses and those of the others.
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

    /// The URLs of a service, which has two processes if one of them has the name `second_name`.
    fn urls(&self, second_name: &str, first: SocketAddr, second: SocketAddr) -> String {
        let both = self.admin.contains_key(second_name);
        if both { format!("http://{first},http://{second}") } else { format!("http://{first}") }
    }
}
