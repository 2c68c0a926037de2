//! What a bearer token comes in: XOAUTH2 (Google, Microsoft) and OAUTHBEARER (RFC 7628). Both are one message of the client;
//! where the token is not accepted, the server says why in a challenge, and the client answers with nothing of interest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Secret;
use super::gs2::{Binding, Gs2Header};
use super::identity::identity;
use crate::Error;

/// The mechanisms that carry a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenMechanism {
    /// `user=...^Aauth=Bearer ...^A^A`.
    Xoauth2,
    /// RFC 7628.
    Oauthbearer,
}

/// A token, and what the client says beside it. `Debug` does not show the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BearerToken {
    /// Whose it is, or whom the client wants to act as; OAUTHBEARER may leave it to the token. Whether that is so is not decided here.
    pub account: Option<String>,
    /// The host that the client believes to talk to. OAUTHBEARER alone says it.
    pub host: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// The token (`b64token` of RFC 6750 section 2.1), as it came.
    pub token: Secret,
}

/// The octet between the fields.
const SEPARATOR: u8 = 1;

impl TokenMechanism {
    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xoauth2 => "XOAUTH2",
            Self::Oauthbearer => "OAUTHBEARER",
        }
    }

    /// The client's message: the token, and whose it is. A server asks for no more.
    pub fn message(self, account: &str, token: &Secret) -> Secret {
        let head = match self {
            Self::Xoauth2 => format!("user={account}\x01"),
            // A comma and an equals sign would end the name (RFC 5801 section 4).
            Self::Oauthbearer => {
                let name = account.replace('=', "=3D").replace(',', "=2C");
                format!("n,a={name},\x01")
            }
        };
        let pieces = [
            head.as_bytes(),
            b"auth=Bearer ",
            token.expose(),
            b"\x01\x01",
        ];
        // At once as long as it will be, so that no copy of the token is left behind.
        let mut message = Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
        pieces
            .iter()
            .for_each(|piece| message.extend_from_slice(piece));
        Secret::new(message)
    }

    /// What a client answers to the challenge that says why its token is not accepted: nothing in XOAUTH2, one octet in OAUTHBEARER (RFC
    /// 7628 section 3.2.3). Then the refusal comes.
    pub fn acknowledgement(self) -> &'static [u8] {
        match self {
            Self::Xoauth2 => b"",
            Self::Oauthbearer => b"\x01",
        }
    }

    /// The challenge that comes before the refusal of a token, in base64: JSON that says that it is not accepted and never why, what
    /// it would have to be good for, and, in OAUTHBEARER (RFC 7628 section 3.2.2), the URL of the document that says where one is
    /// to be had. Whatever the client answers, the refusal follows.
    pub fn refusal(self, scopes: &[String], configuration: Option<&str>) -> String {
        let scope = scopes.join(" ");
        let json = match self {
            // Clients of XOAUTH2 know it in this form.
            Self::Xoauth2 => {
                let scope = if scope.is_empty() { "mail" } else { &scope };
                format!(
                    r#"{{"status":"401","schemes":"bearer","scope":{}}}"#,
                    quoted(scope)
                )
            }
            Self::Oauthbearer => {
                let mut json = r#"{"status":"invalid_token""#.to_owned();
                if !scope.is_empty() {
                    json.push_str(&format!(r#","scope":{}"#, quoted(&scope)));
                }
                if let Some(url) = configuration {
                    json.push_str(&format!(r#","openid-configuration":{}"#, quoted(url)));
                }
                json + "}"
            }
        };
        STANDARD.encode(json)
    }

    /// Reads the client's message.
    ///
    /// # Errors
    /// [`Error::SaslResponse`]; [`super::refusal`] gives the reply.
    pub fn parse(self, message: &Secret) -> Result<BearerToken, Error> {
        match self {
            Self::Xoauth2 => {
                let fields = Fields::parse(message.expose())?;
                Ok(BearerToken {
                    account: Some(identity(fields.user.ok_or(Error::SaslResponse)?)?),
                    host: None,
                    port: None,
                    token: fields.token()?,
                })
            }
            Self::Oauthbearer => {
                let (header, rest) = Gs2Header::parse(message.expose())?;
                // The channel is not part of what is proven, so a client cannot have bound itself to it.
                if matches!(header.binding, Binding::Used(_)) {
                    return Err(Error::SaslResponse);
                }
                let rest = rest.strip_prefix(&[SEPARATOR]).ok_or(Error::SaslResponse)?;
                let fields = Fields::parse(rest)?;
                Ok(BearerToken {
                    account: header.authorization,
                    host: fields.host.map(identity).transpose()?,
                    port: fields.port.map(port).transpose()?,
                    token: fields.token()?,
                })
            }
        }
    }
}

/// `key=value` pairs, each with a separator behind it, and one more at the end (RFC 7628 section 3.1). A known key comes once at most,
/// an unknown one is ignored.
#[derive(Default)]
struct Fields<'a> {
    user: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    port: Option<&'a [u8]>,
    auth: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn parse(message: &'a [u8]) -> Result<Self, Error> {
        let pairs = message
            .strip_suffix(&[SEPARATOR, SEPARATOR])
            .ok_or(Error::SaslResponse)?;
        let mut fields = Self::default();
        for pair in pairs.split(|octet| *octet == SEPARATOR) {
            let equals = memchr::memchr(b'=', pair).ok_or(Error::SaslResponse)?;
            let (key, value) = (&pair[..equals], &pair[equals + 1..]);
            if key.is_empty() || !key.iter().all(u8::is_ascii_alphabetic) {
                return Err(Error::SaslResponse);
            }
            let field = match key {
                b"user" => &mut fields.user,
                b"host" => &mut fields.host,
                b"port" => &mut fields.port,
                b"auth" => &mut fields.auth,
                _ => continue,
            };
            if field.replace(value).is_some() {
                return Err(Error::SaslResponse);
            }
        }
        Ok(fields)
    }

    /// `Bearer`, in any case of letters, one space at least, and the token.
    fn token(&self) -> Result<Secret, Error> {
        let auth = self.auth.ok_or(Error::SaslResponse)?;
        let (scheme, token) = auth
            .split_at_checked("bearer ".len())
            .ok_or(Error::SaslResponse)?;
        let token = token.trim_ascii_start();
        let body = without_padding(token);
        let spelled = !body.is_empty()
            && body.iter().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
            });
        if scheme.eq_ignore_ascii_case(b"bearer ") && spelled {
            Ok(Secret::new(token.to_vec()))
        } else {
            Err(Error::SaslResponse)
        }
    }
}

/// A text as JSON has it. Whatever is not printable ASCII is left out: no scope and no URL has it.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars().filter(|c| matches!(c, ' '..='~')) {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// Without the equals signs at its end.
fn without_padding(token: &[u8]) -> &[u8] {
    let end = token
        .iter()
        .rposition(|b| *b != b'=')
        .map_or(0, |at| at + 1);
    &token[..end]
}

fn port(octets: &[u8]) -> Result<u16, Error> {
    let digits = std::str::from_utf8(octets)
        .ok()
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .filter(|port| *port > 0)
        .ok_or(Error::SaslResponse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(mechanism: TokenMechanism, message: &str) -> Result<BearerToken, Error> {
        mechanism.parse(&message.into())
    }

    fn token(
        account: Option<&str>,
        host: Option<&str>,
        port: Option<u16>,
        token: &str,
    ) -> BearerToken {
        BearerToken {
            account: account.map(Into::into),
            host: host.map(Into::into),
            port,
            token: token.into(),
        }
    }

    #[test]
    fn what_is_passed_on_reads_as_what_came() {
        for mechanism in [TokenMechanism::Xoauth2, TokenMechanism::Oauthbearer] {
            for account in ["taro@example.jp", "a=b,c@example.jp", "山田@example.jp"] {
                let message = mechanism.message(account, &"ya29.x==".into());
                let read = mechanism.parse(&message).unwrap();
                assert_eq!(read, token(Some(account), None, None, "ya29.x=="));
            }
        }
    }

    #[test]
    fn messages_as_they_are_documented() {
        use TokenMechanism::{Oauthbearer, Xoauth2};
        let table = [
            (
                Xoauth2,
                "user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==\x01\x01",
                token(
                    Some("someuser@example.com"),
                    None,
                    None,
                    "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==",
                ),
            ),
            (
                Oauthbearer,
                "n,a=user@example.com,\x01host=server.example.com\x01port=587\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01",
                token(
                    Some("user@example.com"),
                    Some("server.example.com"),
                    Some(587),
                    "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==",
                ),
            ),
            (
                Oauthbearer,
                "y,,\x01auth=bearer a.b.c\x01\x01",
                token(None, None, None, "a.b.c"),
            ),
            (
                Oauthbearer,
                "n,a=o=2Cb=3D,\x01auth=Bearer a\x01mthd=POST\x01\x01",
                token(Some("o,b="), None, None, "a"),
            ),
        ];
        for (mechanism, message, expected) in table {
            assert_eq!(parse(mechanism, message), Ok(expected), "{message:?}");
        }
    }

    #[test]
    fn whatever_could_be_read_in_two_ways_is_refused() {
        use TokenMechanism::{Oauthbearer, Xoauth2};
        let table = [
            (Xoauth2, ""),
            (Xoauth2, "\x01"),
            (Xoauth2, "\x01\x01"),
            (Xoauth2, "auth=Bearer a\x01\x01"),
            (Xoauth2, "user=a\x01auth=Bearer a\x01"),
            (Xoauth2, "user=\x01auth=Bearer a\x01\x01"),
            (Xoauth2, "user=a\x01user=b\x01auth=Bearer a\x01\x01"),
            (Xoauth2, "user=a\x01auth=Bearer a\x01auth=Bearer b\x01\x01"),
            (Xoauth2, "user=a\x01auth=Bearer \x01\x01"),
            (Xoauth2, "user=a\x01auth=Bearer a b\x01\x01"),
            (Xoauth2, "user=a\x01auth=Bearer a=b\x01\x01"),
            (Xoauth2, "user=a\x01auth=Bearer a\n\x01\x01"),
            (Xoauth2, "user=a\x01auth=Basic YTpi\x01\x01"),
            (Xoauth2, "user=a\nb\x01auth=Bearer a\x01\x01"),
            (Xoauth2, "user=a\x01auth=Bearer a\x01\x01\x01"),
            (Xoauth2, "user=a\x01\x01auth=Bearer a\x01\x01"),
            (Oauthbearer, "\x01"),
            (Oauthbearer, "n,,"),
            (Oauthbearer, "n,,\x01\x01"),
            (Oauthbearer, "n,,\x01auth=\x01\x01"),
            (Oauthbearer, "n,,auth=Bearer a\x01\x01"),
            (Oauthbearer, "n,a=,\x01auth=Bearer a\x01\x01"),
            (Oauthbearer, "n,a=a=20b,\x01auth=Bearer a\x01\x01"),
            (Oauthbearer, "n,user=a,\x01auth=Bearer a\x01\x01"),
            (Oauthbearer, "p=tls-exporter,,\x01auth=Bearer a\x01\x01"),
            (Oauthbearer, "x,,\x01auth=Bearer a\x01\x01"),
            (Oauthbearer, "n,,\x01port=0\x01auth=Bearer a\x01\x01"),
            (Oauthbearer, "n,,\x01port=65536\x01auth=Bearer a\x01\x01"),
            (Oauthbearer, "n,,\x01port=+1\x01auth=Bearer a\x01\x01"),
            (Oauthbearer, "n,,\x01=x\x01auth=Bearer a\x01\x01"),
        ];
        for (mechanism, message) in table {
            assert_eq!(
                parse(mechanism, message),
                Err(Error::SaslResponse),
                "{message:?}"
            );
        }
    }

    #[test]
    fn refusals_are_what_clients_look_for() {
        let text = |mechanism: TokenMechanism, scopes: &[&str], url: Option<&str>| {
            let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
            let refusal = mechanism.refusal(&scopes, url);
            let json = super::super::decode_base64(refusal.as_bytes()).unwrap();
            String::from_utf8(json.expose().to_vec()).unwrap()
        };
        let url = Some("https://id.example/.well-known/openid-configuration");
        assert_eq!(
            text(TokenMechanism::Xoauth2, &[], url),
            r#"{"status":"401","schemes":"bearer","scope":"mail"}"#
        );
        assert_eq!(
            text(TokenMechanism::Xoauth2, &["smtp", "a\"b"], None),
            r#"{"status":"401","schemes":"bearer","scope":"smtp a\"b"}"#
        );
        assert_eq!(
            text(TokenMechanism::Oauthbearer, &[], None),
            r#"{"status":"invalid_token"}"#
        );
        assert_eq!(
            text(TokenMechanism::Oauthbearer, &["smtp", "mail"], url),
            r#"{"status":"invalid_token","scope":"smtp mail","openid-configuration":"https://id.example/.well-known/openid-configuration"}"#
        );
    }
}
