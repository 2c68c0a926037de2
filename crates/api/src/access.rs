//! Who may read what. Metrics and health are for everybody who reaches the port; whatever shows configuration or people is not.
//!
//! With a token, it must be shown. Without one, those routes are served on loopback addresses only, and only to requests
//! that name the server by a loopback host, so that a web page cannot read them through a name that it controls.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::Error;
use crate::problem::Problem;
use crate::state::App;

/// The secret that requests show as `Authorization: Bearer`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl Token {
    /// Takes the text of a token file; a line end at its end is not part of it.
    ///
    /// # Errors
    /// [`Error::BadToken`] for anything that is too short, too long or no visible ASCII.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let token = text.trim_end_matches(['\r', '\n']);
        let visible = token.bytes().all(|b| b.is_ascii_graphic());
        if (16..=256).contains(&token.len()) && visible {
            Ok(Self(token.into()))
        } else {
            Err(Error::BadToken)
        }
    }

    /// Compares without telling, by the time it takes, how much of it was right.
    fn is(&self, shown: &str) -> bool {
        let (ours, theirs) = (self.0.as_bytes(), shown.as_bytes());
        ours.len() == theirs.len()
            && ours
                .iter()
                .zip(theirs)
                .fold(0, |differ, (a, b)| differ | (a ^ b))
                == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// How the guarded routes are guarded.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    Token(Token),
    Loopback,
    /// The server is reachable from elsewhere and there is no token.
    Nobody,
}

impl Access {
    pub(crate) fn of(address: SocketAddr, token: Option<Token>) -> Self {
        match token {
            Some(token) => Self::Token(token),
            None if address.ip().is_loopback() => Self::Loopback,
            None => Self::Nobody,
        }
    }

    /// Whether whoever is answered has shown a token, and is not just somebody on this machine.
    pub(crate) const fn knows_who_asks(&self) -> bool {
        matches!(self, Self::Token(_))
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match self {
            Self::Token(token) if shown_token(headers).is_some_and(|shown| token.is(shown)) => {
                Ok(())
            }
            Self::Token(_) => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "show the token of --http-token-file as Authorization: Bearer",
            )),
            Self::Loopback if names_loopback(headers) => Ok(()),
            Self::Loopback => Err(Problem::forbidden(
                "without a token this is answered only to requests for localhost or a loopback address",
            )),
            Self::Nobody => Err(Problem::forbidden(
                "this shows configuration or people, and the server listens beyond this machine: start it with --http-token-file, or with --http on a loopback address",
            )),
        }
    }
}

/// The middleware in front of the guarded routes.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    match app.access.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn shown_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
    else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_token_file_is_one_line_of_visible_ascii() {
        assert!(
            Token::parse("0123456789abcdef\n")
                .unwrap()
                .is("0123456789abcdef")
        );
        for bad in [
            "",
            "short\n",
            "0123456789 abcdef",
            "0123456789abcdef\nsecond",
            "０１２３４５６７８９０１２３４５",
        ] {
            assert!(Token::parse(bad).is_err(), "{bad:?}");
        }
        assert!(!format!("{:?}", Token::parse("0123456789abcdef").unwrap()).contains("0123"));
    }

    #[test]
    fn a_token_must_be_shown_in_full() {
        let access = Access::Token(Token::parse("0123456789abcdef").unwrap());
        let shown = |value| {
            access
                .check(&headers(&[(header::AUTHORIZATION, value)]))
                .is_ok()
        };
        assert!(shown("Bearer 0123456789abcdef"));
        assert!(shown("bearer 0123456789abcdef"));
        for wrong in [
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdeg",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert!(!shown(wrong), "{wrong}");
        }
        assert!(access.check(&HeaderMap::new()).is_err());
    }

    #[test]
    fn without_a_token_only_loopback_hosts_are_served() {
        let access = Access::of("127.0.0.1:8080".parse().unwrap(), None);
        for (host, served) in [
            ("127.0.0.1:8080", true),
            ("localhost:8080", true),
            ("LOCALHOST", true),
            ("[::1]:8080", true),
            ("127.9.9.9", true),
            ("evil.example:8080", false),
            ("127.0.0.1.evil.example", false),
            ("192.0.2.1:8080", false),
            ("", false),
        ] {
            let host_header = headers(&[(header::HOST, host)]);
            assert_eq!(access.check(&host_header).is_ok(), served, "{host:?}");
        }
        assert!(access.check(&HeaderMap::new()).is_err());
    }

    #[test]
    fn an_open_address_without_a_token_serves_nobody() {
        let access = Access::of("0.0.0.0:8080".parse().unwrap(), None);
        assert!(
            access
                .check(&headers(&[(header::HOST, "localhost")]))
                .is_err()
        );
    }
}
