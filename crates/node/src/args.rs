//! The command line. Nothing is taken from the environment.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use hyper::Uri;
use sekisho_policy::ObjectRef;
use sekisho_policy::snapshot::Kind;

/// The data plane of one gateway: judges mail by the rules that the control plane hands out, and by the last good ones while
/// there is no control plane.
#[derive(Clone, Debug, Parser)]
#[command(name = "sekisho-proxy", version)]
pub(crate) struct Args {
    /// The MailGateway that this is a proxy of.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub(crate) gateway: GatewayName,
    /// What this proxy is called: the name of its pod.
    #[arg(long)]
    pub(crate) name: String,
    /// Where the control plane is.
    #[arg(long, value_name = "https://HOST:PORT")]
    pub(crate) control: ControlUrl,
    /// The authorities that the control plane's certificate may come from (PEM); read anew for each connection.
    #[arg(
        long,
        default_value = "/etc/sekisho/snapshot/ca.crt",
        value_name = "FILE"
    )]
    pub(crate) ca: PathBuf,
    /// The token that is shown to the control plane; read anew for each request.
    #[arg(
        long,
        default_value = "/var/run/secrets/sekisho/token",
        value_name = "FILE"
    )]
    pub(crate) token_file: PathBuf,
    /// The snapshot that is mounted, with which a proxy starts when the control plane is away.
    #[arg(
        long,
        default_value = "/etc/sekisho/snapshot/snapshot.json.zst",
        value_name = "FILE"
    )]
    pub(crate) snapshot: PathBuf,
    /// The folder of secret values, as files SECRET_KEY, and the fleet's key in _fleet.key.
    #[arg(long, default_value = "/etc/sekisho/secrets", value_name = "FOLDER")]
    pub(crate) secrets: PathBuf,
    /// Where the last good snapshot, refusals that are on their way and messages that are held are kept.
    #[arg(long, default_value = "/var/lib/sekisho", value_name = "FOLDER")]
    pub(crate) state: PathBuf,
    /// The address that listeners bind; their ports come from the MailGateway.
    #[arg(long, default_value = "0.0.0.0", value_name = "IP")]
    pub(crate) listen: IpAddr,
    /// The address that serves /metrics, /healthz and /readyz.
    #[arg(long, default_value = "0.0.0.0:9090", value_name = "IP:PORT")]
    pub(crate) http: SocketAddr,
    /// What the proxy calls itself in greetings, EHLO and Received fields; --name if not given.
    #[arg(long, value_name = "NAME")]
    pub(crate) host_name: Option<String>,
    /// Authorities for next hops with `tls: Required` (PEM); Mozilla's list if not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) upstream_ca: Option<PathBuf>,
    /// How long open sessions may go on after SIGTERM, the delivery of the last records included.
    #[arg(long, default_value = "25s", value_parser = duration, value_name = "DURATION")]
    pub(crate) drain: Duration,
    /// After so long without a word from the control plane, `onUnavailable.config` of the MailGateway decides.
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    pub(crate) stale_after: Duration,
    /// What messages may take of memory, together, while their verdict is awaited: bytes, or a number with k, M, G, Ki, Mi
    /// or Gi.
    #[arg(long, default_value = "256Mi", value_parser = size, value_name = "SIZE")]
    pub(crate) message_memory: usize,
    /// The longest that an event waits for shared counters. After three that waited in vain the proxy counts for itself.
    #[arg(long, default_value = "250ms", value_parser = duration, value_name = "DURATION", hide = true)]
    pub(crate) counters_deadline: Duration,
    /// How log lines are written.
    #[arg(long, default_value = "json")]
    pub(crate) log_format: LogFormat,
    /// What is logged, such as `info` or `warn,sekisho_proxy=debug`.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    pub(crate) log: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// A MailGateway's namespace and name; both are names that Kubernetes gives, so they can stand in paths and addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GatewayName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl GatewayName {
    pub(crate) fn object(&self) -> ObjectRef {
        ObjectRef {
            kind: Kind::MailGateway,
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}

impl std::fmt::Display for GatewayName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for GatewayName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            let ends = name.bytes().next().into_iter().chain(name.bytes().last());
            (1..=253).contains(&name.len())
                && name
                    .bytes()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-.".contains(&c))
                && ends.into_iter().all(|c| c.is_ascii_alphanumeric())
        };
        match text.split_once('/') {
            Some((namespace, name)) if is_name(namespace) && is_name(name) => Ok(Self {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err("write NAMESPACE/NAME of the MailGateway".to_owned()),
        }
    }
}

/// Where the control plane is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ControlUrl {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl FromStr for ControlUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write https://HOST:PORT; it is never asked without TLS".to_owned();
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let whole = uri.scheme_str() == Some("https")
            && uri.path_and_query().is_none_or(|path| path == "/")
            && !authority.as_str().contains('@');
        if !whole {
            return Err(wrong());
        }
        let host = authority.host().trim_matches(['[', ']']);
        Ok(Self {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(443),
        })
    }
}

/// Reads hours, minutes, seconds and milliseconds, such as 1h30m, 25s or 250ms.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write hours, minutes and seconds, such as 1h30m or 25s".to_owned();
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u32 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit_end = rest[digits..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |end| digits + end);
        let unit = match &rest[digits..unit_end] {
            "h" => Duration::from_secs(3600),
            "m" => Duration::from_secs(60),
            "s" => Duration::from_secs(1),
            "ms" => Duration::from_millis(1),
            _ => return Err(wrong()),
        };
        total = unit
            .checked_mul(number)
            .and_then(|span| total.checked_add(span))
            .ok_or_else(wrong)?;
        rest = &rest[unit_end..];
    }
    if total.is_zero() || total > Duration::from_secs(24 * 3600) {
        return Err("it must be more than nothing and at most 24h".to_owned());
    }
    Ok(total)
}

fn size(text: &str) -> Result<usize, String> {
    let wrong = || "write bytes, or a number with k, M, G, Ki, Mi or Gi".to_owned();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: usize = text[..digits].parse().map_err(|_| wrong())?;
    let unit: usize = match &text[digits..] {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_names_that_can_stand_in_a_path() {
        let gateway: GatewayName = "mail/outbound".parse().unwrap();
        assert_eq!(gateway.to_string(), "mail/outbound");
        let bad = [
            "",
            "mail",
            "mail/",
            "/outbound",
            "mail/out/bound",
            "mail/../x",
            "mail/Out",
            "mail/a&b",
            "mail/a_b",
            "mail/-a",
            "mail/a.",
        ];
        for text in bad {
            assert!(text.parse::<GatewayName>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_control_plane_is_asked_over_tls_alone() {
        let url = |text: &str| text.parse::<ControlUrl>().map(|url| (url.host, url.port));
        assert_eq!(
            url("https://sekisho-control.sekisho.svc:8443"),
            Ok(("sekisho-control.sekisho.svc".to_owned(), 8443))
        );
        assert_eq!(url("https://[::1]"), Ok(("::1".to_owned(), 443)));
        for bad in [
            "http://a:1",
            "a:1",
            "https://",
            "https://a/b",
            "https://a/?b",
            "https://u@a",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_and_sizes_have_units() {
        assert_eq!(duration("1h2m3s"), Ok(Duration::from_secs(3723)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["", "5", "s", "5x", "-5s", "25h", "0s", "99999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!(size("256Mi"), Ok(256 << 20));
        assert_eq!(size("12"), Ok(12));
        for bad in [
            "",
            "Mi",
            "1KB",
            "-1",
            "99999999999999999999",
            "99999999999999999Gi",
        ] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
