//! Free ports for processes whose addresses must be known before they start.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// The range lies below Linux's ephemeral ports: there an outgoing connection could take the port before its server
/// does.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port on which no process listens and which no other call in this process returns.
pub fn free() -> u16 {
    // Test processes that run at the same time begin at different ports.
    let start = u16::try_from(std::process::id() % 100).expect("below 100") * 100;
    (0..LAST - FIRST)
        .map(|_| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % (LAST - FIRST))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("one of twelve thousand ports is free")
}
