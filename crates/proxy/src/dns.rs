//! What DNS says, with a deadline, a bound and a cache on everything.
//!
//! ```text
//! Dns::system(Metrics) -> Result<Dns, DnsError>;  Dns::with_servers(&[SocketAddr], Metrics) -> Result<Dns, DnsError>
//! async Dns::reverse_names(&self, IpAddr) -> Fact<Vec<Box<str>>>      // forward-confirmed, lower case
//! async Dns::domain_standing(&self, &str) -> Fact<DomainStanding>
//! async Dns::addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsFailure>
//! ```
