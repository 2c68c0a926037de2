//! What DNS says, with a deadline, a bound and a cache on everything.
//!
//! That a name does not exist is an answer; that nobody could say is none, and condemns and exempts nobody.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as Answer, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use sekisho_policy::event::{DomainStanding, Fact};
use sekisho_runtime::Metrics;
use sekisho_runtime::metrics::{DnsQuery, DnsResult};
use tokio::time::{Instant, timeout_at};

/// For everything that one question of the engine needs.
const DEADLINE: Duration = Duration::from_secs(2);
/// For the address of a next hop, without which there is nothing to do.
const HOST_DEADLINE: Duration = Duration::from_secs(5);
/// Reverse names of one address that are confirmed; more are not looked at.
const MAX_REVERSE_NAMES: usize = 5;
/// Responses that are cached.
const CACHED: u64 = 4096;
const LONGEST_TTL: Duration = Duration::from_secs(3600);
const LONGEST_NEGATIVE_TTL: Duration = Duration::from_secs(300);

/// DNS that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("DNS cannot be set up: {0}")]
pub struct DnsError(NetError);

/// A name that could not be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DnsFailure {
    #[error("it does not exist, or has no such record")]
    Absent,
    #[error("DNS did not answer in time")]
    Timeout,
    #[error("{0}")]
    Failed(String),
}

/// The resolver. Cloning shares it and its cache.
#[derive(Clone)]
pub struct Dns {
    resolver: Arc<TokioResolver>,
    metrics: Metrics,
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dns")
    }
}

impl Dns {
    /// As the machine is set up (`/etc/resolv.conf`, `/etc/hosts`).
    ///
    /// # Errors
    /// The machine's configuration cannot be read.
    pub fn system(metrics: Metrics) -> Result<Self, DnsError> {
        let mut builder = TokioResolver::builder_tokio().map_err(DnsError)?;
        bound(builder.options_mut());
        let resolver = Arc::new(builder.build().map_err(DnsError)?);
        Ok(Self { resolver, metrics })
    }

    /// With these servers alone, asked over UDP and TCP.
    ///
    /// # Errors
    /// There are none.
    pub fn with_servers(servers: &[SocketAddr], metrics: Metrics) -> Result<Self, DnsError> {
        let at = |server: &SocketAddr| {
            let on_port = |mut connection: ConnectionConfig| {
                connection.port = server.port();
                connection
            };
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
                .map(on_port)
                .to_vec();
            NameServerConfig::new(server.ip(), true, connections)
        };
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(at).collect());
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        bound(builder.options_mut());
        let resolver = Arc::new(builder.build().map_err(DnsError)?);
        Ok(Self { resolver, metrics })
    }

    /// The names that `ip` claims and that lead back to it, in lower case.
    pub async fn reverse_names(&self, ip: IpAddr) -> Fact<Vec<Box<str>>> {
        let ip = ip.to_canonical();
        let deadline = Instant::now() + DEADLINE;
        let claimed = match self
            .ask(DnsQuery::Ptr, Name::from(ip), RecordType::PTR, deadline)
            .await
        {
            Ok(records) => records,
            Err(DnsFailure::Absent) => return Fact::Known(Vec::new()),
            Err(_) => return Fact::Unavailable,
        };
        let names = claimed.into_iter().filter_map(|record| match record {
            RData::PTR(name) => Some(name.0),
            _ => None,
        });
        let mut confirmed = Vec::new();
        let mut failed = false;
        for name in names.take(MAX_REVERSE_NAMES) {
            let kind = if ip.is_ipv4() {
                RecordType::A
            } else {
                RecordType::AAAA
            };
            match self
                .ask(DnsQuery::Forward, name.clone(), kind, deadline)
                .await
            {
                Ok(records) if records.iter().any(|record| record.ip_addr() == Some(ip)) => {
                    confirmed.extend(text(&name));
                }
                Ok(_) | Err(DnsFailure::Absent) => {}
                Err(_) => failed = true,
            }
        }
        if confirmed.is_empty() && failed {
            Fact::Unavailable
        } else {
            Fact::Known(confirmed)
        }
    }

    /// Whether mail can be delivered to `domain` at all.
    pub async fn domain_standing(&self, domain: &str) -> Fact<DomainStanding> {
        if domain.starts_with('[') {
            return Fact::Known(DomainStanding::Resolves);
        }
        let Some(name) = absolute(domain) else {
            return Fact::Known(DomainStanding::Missing);
        };
        let deadline = Instant::now() + DEADLINE;
        match self
            .ask(DnsQuery::Mx, name.clone(), RecordType::MX, deadline)
            .await
        {
            Ok(records) => {
                let mut exchanges = records.iter().filter_map(|record| match record {
                    RData::MX(mx) => Some(&mx.exchange),
                    _ => None,
                });
                let null = exchanges.all(Name::is_root);
                Fact::Known(if null {
                    DomainStanding::NullMx
                } else {
                    DomainStanding::Resolves
                })
            }
            Err(DnsFailure::Absent) => self.has_address(name, deadline).await,
            Err(_) => Fact::Unavailable,
        }
    }

    /// A domain without MX takes mail at its address (RFC 5321 5.1).
    async fn has_address(&self, name: Name, deadline: Instant) -> Fact<DomainStanding> {
        let mut failed = false;
        for kind in [RecordType::A, RecordType::AAAA] {
            match self.ask(DnsQuery::Mx, name.clone(), kind, deadline).await {
                Ok(_) => return Fact::Known(DomainStanding::Resolves),
                Err(DnsFailure::Absent) => {}
                Err(_) => failed = true,
            }
        }
        if failed {
            Fact::Unavailable
        } else {
            Fact::Known(DomainStanding::Missing)
        }
    }

    /// The addresses of a next hop. An address stands for itself; a short name is searched for as the machine is set up.
    ///
    /// # Errors
    /// There are none, or nobody could say.
    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsFailure> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![ip]);
        }
        let lookup = self.resolver.lookup_ip(host);
        let result = match timeout_at(Instant::now() + HOST_DEADLINE, lookup).await {
            Ok(Ok(found)) => Ok(found.iter().collect::<Vec<_>>()),
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => Err(DnsFailure::Timeout),
        };
        let result = result.and_then(|found| {
            if found.is_empty() {
                Err(DnsFailure::Absent)
            } else {
                Ok(found)
            }
        });
        self.count(DnsQuery::Host, result.as_ref().err());
        result
    }

    /// The records of one kind. An answer without any is [`DnsFailure::Absent`].
    async fn ask(
        &self,
        query: DnsQuery,
        name: Name,
        kind: RecordType,
        deadline: Instant,
    ) -> Result<Vec<RData>, DnsFailure> {
        let result = match timeout_at(deadline, self.resolver.lookup(name, kind)).await {
            Ok(Ok(found)) => {
                let of_kind = found
                    .answers()
                    .iter()
                    .filter(|record| record.record_type() == kind);
                let records: Vec<_> = of_kind.map(|record| record.data.clone()).collect();
                if records.is_empty() {
                    Err(DnsFailure::Absent)
                } else {
                    Ok(records)
                }
            }
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => Err(DnsFailure::Timeout),
        };
        self.count(query, result.as_ref().err());
        result
    }

    fn count(&self, query: DnsQuery, failure: Option<&DnsFailure>) {
        let result = match failure {
            None => DnsResult::Found,
            Some(DnsFailure::Absent) => DnsResult::Absent,
            Some(DnsFailure::Timeout) => DnsResult::Timeout,
            Some(DnsFailure::Failed(_)) => DnsResult::Error,
        };
        self.metrics.dns_lookup(query, result);
    }
}

fn bound(options: &mut ResolverOpts) {
    options.cache_size = CACHED;
    options.positive_max_ttl = Some(LONGEST_TTL);
    options.negative_max_ttl = Some(LONGEST_NEGATIVE_TTL);
    options.max_active_requests = 256;
    options.timeout = options.timeout.min(Duration::from_secs(1));
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
}

fn failure(error: &NetError) -> DnsFailure {
    match error {
        NetError::Timeout => DnsFailure::Timeout,
        NetError::Dns(Answer::NoRecordsFound(none))
            if matches!(
                none.response_code,
                ResponseCode::NoError | ResponseCode::NXDomain
            ) =>
        {
            DnsFailure::Absent
        }
        other => DnsFailure::Failed(other.to_string()),
    }
}

/// A name that no search list is applied to; `None` if it cannot be one.
fn absolute(domain: &str) -> Option<Name> {
    let mut name = Name::from_ascii(domain).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// A host name in lower case without its final dot; `None` if it holds what no host name does.
fn text(name: &Name) -> Option<Box<str>> {
    let text = name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    let is_host = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    is_host.then(|| text.into_boxed_str())
}

#[cfg(test)]
mod tests;
