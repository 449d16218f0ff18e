//! Ports for a demonstration that must not fail because of who else runs on this machine.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
};

/// `None` where `usual` is free, else a port that is.
///
/// # Errors
/// This machine has no port left.
pub(super) fn instead_of(usual: u16) -> io::Result<Option<u16>> {
    let listen = |port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
    match listen(usual) {
        Ok(_free) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(Some(listen(0)?.local_addr()?.port())),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_replaced_by_one_that_is_free() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let other = instead_of(port).unwrap().unwrap();
        assert_ne!(other, port);
        assert_eq!(instead_of(other).unwrap(), None);
    }
}
