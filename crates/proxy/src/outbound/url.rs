//! Where a service is.

use std::fmt;
use std::net::IpAddr;

use hyper::Uri;

/// A URL that can be asked: `http` or `https`, a host, and nothing of a user in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    uri: Uri,
    encrypted: bool,
    host: String,
    port: u16,
}

/// A text that is no such URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no URL of the form https://host/path")]
pub(crate) struct UrlFault(String);

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self, UrlFault> {
        let fault = || UrlFault(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| fault())?;
        let encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(fault()),
        };
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or_else(fault)?;
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') || text.contains('#') {
            return Err(fault());
        }
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        Ok(Self {
            uri,
            encrypted,
            host,
            port,
        })
    }

    /// A name, or an address without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Whether nobody on a network can read or change what is said there: it is encrypted, or does not leave the machine.
    pub(crate) fn is_private(&self) -> bool {
        let loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
        self.encrypted || self.host.parse().is_ok_and(loopback)
    }

    pub(super) fn authority(&self) -> &str {
        self.uri
            .authority()
            .map_or("", |authority| authority.as_str())
    }

    /// The path and the query, as a request names them.
    pub(super) fn target(&self) -> Uri {
        let path = self.uri.path_and_query().cloned();
        path.map_or_else(|| Uri::from_static("/"), Uri::from)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_asked_and_what_cannot() {
        let table = [
            ("https://id.example/a?b=c", Some(("id.example", 443, true))),
            (
                "http://127.0.0.1:8080/auth",
                Some(("127.0.0.1", 8080, true)),
            ),
            ("http://[::1]/auth", Some(("::1", 80, true))),
            ("http://auth.mail/", Some(("auth.mail", 80, false))),
            (
                "http://127.0.0.1.example/",
                Some(("127.0.0.1.example", 80, false)),
            ),
            ("http://localhost/", Some(("localhost", 80, false))),
            ("ftp://id.example/", None),
            ("https://u:p@id.example/", None),
            ("https:///a", None),
            ("https://id.example/#a", None),
            ("/a", None),
            ("", None),
        ];
        for (text, expected) in table {
            let url = Url::parse(text).ok();
            let read = url
                .as_ref()
                .map(|url| (url.host(), url.port(), url.is_private()));
            assert_eq!(read, expected, "{text}");
        }
    }
}
