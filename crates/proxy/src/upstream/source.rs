//! Sockets that leave from an address of this machine.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpSocket;

/// Whether this machine has an address.
///
/// # Errors
/// Why nothing can leave from it.
pub(super) fn check(address: IpAddr) -> io::Result<()> {
    bound(address).map(drop)
}

/// A socket that will connect from `address`, with a port that the kernel chooses once it knows where to.
pub(super) fn socket_from(address: IpAddr) -> io::Result<TcpSocket> {
    let socket = bound(address)?;
    socket.set_nonblocking(true)?;
    Ok(TcpSocket::from_std_stream(socket.into()))
}

fn bound(address: IpAddr) -> io::Result<Socket> {
    let address = SocketAddr::new(address, 0);
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    share_ports(&socket);
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Without this the kernel picks a port at `bind`, when it does not know where to: then all next hops together have one
/// range of ports for each source address, and a busy pool runs out of them.
#[cfg(target_os = "linux")]
fn share_ports(socket: &Socket) {
    use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
    // A kernel that does not know the option binds as ever.
    let _ = setsockopt(socket, IpBindAddressNoPort, &true);
}

#[cfg(not(target_os = "linux"))]
fn share_ports(_: &Socket) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_somebody_else_is_told_from_ours() {
        assert!(check("127.0.0.9".parse().unwrap()).is_ok());
        let error = check("192.0.2.77".parse().unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn no_port_is_taken_before_the_next_hop_is_known() {
        let socket = bound("127.0.0.9".parse().unwrap()).unwrap();
        let local = socket.local_addr().unwrap().as_socket().unwrap();
        assert_eq!(local.port(), 0);
    }
}
