//! What a web service of nginx's convention answers.

use hyper::HeaderMap;

use super::http_service::Said;
use super::remote::RemoteFault;

/// Octets of an account's name.
const MOST_NAME: usize = 320;

/// Reads the header fields of an answer. `Auth-Server` and `Auth-Port`, by which nginx is told where the mail is to go, say
/// nothing here; nor does `Auth-Wait`, since how long a client is kept waiting is the policy's.
pub(super) fn read(headers: &HeaderMap) -> Result<Said, RemoteFault> {
    let status = one(headers, "auth-status")?;
    let status = status.ok_or(RemoteFault::Answer("it has no Auth-Status"))?;
    if status == "OK" {
        return match one(headers, "auth-user")? {
            None => Ok(Said::Right(None)),
            Some(name) if is_name(name) => Ok(Said::Right(Some(name.to_owned()))),
            Some(_) => Err(RemoteFault::Answer("its Auth-User is no account")),
        };
    }
    // With a code of 4, as 454 4.7.0 is one, the service could not say either.
    match one(headers, "auth-error-code")? {
        Some(code) if code.starts_with('4') => {
            Err(RemoteFault::Answer("Auth-Error-Code says to try again"))
        }
        _ => Ok(Said::Wrong),
    }
}

/// A header field that comes once at most, of printable ASCII.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, RemoteFault> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(|value| Some(value.trim()))
            .map_err(|_| RemoteFault::Answer("a header field is not ASCII")),
        (Some(_), Some(_)) => Err(RemoteFault::Answer("a header field comes twice")),
    }
}

fn is_name(name: &str) -> bool {
    (1..=MOST_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && octet != b'*' && octet != b'?')
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn answers_as_the_convention_has_them_and_others() {
        let right = |name: Option<&str>| Some(Said::Right(name.map(Into::into)));
        type Row = (&'static [(&'static str, &'static str)], Option<Said>);
        let table: [Row; 13] = [
            (
                &[
                    ("auth-status", "OK"),
                    ("auth-server", "198.51.100.1"),
                    ("auth-port", "143"),
                ],
                right(None),
            ),
            (
                &[("auth-status", "OK"), ("auth-user", "tanaka@example.jp")],
                right(Some("tanaka@example.jp")),
            ),
            (
                &[
                    ("auth-status", "Invalid login or password"),
                    ("auth-wait", "3"),
                ],
                Some(Said::Wrong),
            ),
            (
                &[
                    ("auth-status", "Invalid login or password"),
                    ("auth-error-code", "535 5.7.8"),
                ],
                Some(Said::Wrong),
            ),
            (
                &[
                    ("auth-status", "Temporary server problem"),
                    ("auth-error-code", "451 4.3.0"),
                ],
                None,
            ),
            (
                &[("auth-status", "Try again"), ("auth-error-code", "454")],
                None,
            ),
            (&[("auth-status", "ok")], Some(Said::Wrong)),
            (&[], None),
            (&[("auth-user", "tanaka")], None),
            (
                &[("auth-status", "OK"), ("auth-status", "Invalid login")],
                None,
            ),
            (
                &[
                    ("auth-status", "OK"),
                    ("auth-user", "a"),
                    ("auth-user", "b"),
                ],
                None,
            ),
            (&[("auth-status", "OK"), ("auth-user", "a b")], None),
            (&[("auth-status", "OK"), ("auth-user", "")], None),
        ];
        for (fields, expected) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(
                    HeaderName::try_from(*name).unwrap(),
                    HeaderValue::from_static(value),
                );
            }
            assert_eq!(read(&headers).ok(), expected, "{fields:?}");
        }
    }
}
