//! Ports for processes that must know each other's before they start.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below Linux's ephemeral ports, where an outgoing connection could take the port before its server does.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that nobody listens on and that no other call in this process gets.
pub fn free() -> u16 {
    // Test processes that run at the same time begin at different places.
    let start = u16::try_from(std::process::id() % 100).expect("below 100") * 100;
    (0..LAST - FIRST)
        .map(|_| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % (LAST - FIRST))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("one of twelve thousand ports is free")
}
