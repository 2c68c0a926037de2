//! TCP to one of the addresses that a next hop's name has.

use std::net::{IpAddr, SocketAddr};

use tokio::time::{Instant, timeout_at};

use super::deadlines::Until;
use super::failure::Fault;
use super::handshake::Attempt;
use super::stream::Stream;

/// Addresses of one host that are tried.
const MAX_ADDRESSES: usize = 4;

impl Attempt<'_> {
    /// Connects to the first address that answers: those that did not serve of late are tried last.
    pub(super) async fn dial(self) -> Result<(Stream, SocketAddr), Fault> {
        let key = &self.lane.key;
        let lookup = self.environment.dns.addresses(&key.address.host);
        let mut addresses = match timeout_at(self.deadline, lookup).await {
            Ok(addresses) => addresses.map_err(Fault::Resolve)?,
            Err(_) => return Err(Fault::Deadline),
        };
        addresses.retain(|ip: &IpAddr| {
            key.source
                .is_none_or(|source| source.is_ipv4() == ip.is_ipv4())
        });
        let endpoint = &self.lane.endpoint;
        endpoint.order(&mut addresses, self.seed, Instant::now());
        let mut last = key.source.map_or(Fault::Closed, Fault::SourceFamily);
        for ip in addresses.into_iter().take(MAX_ADDRESSES) {
            let to = SocketAddr::new(ip, key.address.port);
            let until = Until::first(self.environment.deadlines.connect, self.deadline);
            last = match timeout_at(until.at, Stream::connect(to, key.source)).await {
                Ok(Ok(stream)) => return Ok((stream, to)),
                Ok(Err(fault)) => fault,
                Err(_) => until.fault(),
            };
            if matches!(last, Fault::Connect(_) | Fault::Timeout) {
                endpoint.avoid(ip, Instant::now());
            }
        }
        Err(last)
    }
}
