//! The extensions of a server: read from an upstream's reply to EHLO, or written as ours (RFC 5321 4.1.1.1).

use std::borrow::Cow;

use crate::reply::Reply;

/// What a server offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// SIZE (RFC 1870).
    pub size: Option<SizeLimit>,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// AUTH mechanisms in upper case (RFC 4954); empty where AUTH is not offered.
    pub auth: Vec<String>,
    /// XCLIENT attribute names in upper case; empty where XCLIENT is not offered.
    pub xclient: Vec<String>,
    /// LIMITS (RFC 9422).
    pub limits: Limits,
}

/// The argument of SIZE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SizeLimit {
    /// No number, or zero: no fixed limit.
    Unstated,
    /// At most this many octets.
    Octets(u64),
}

/// The limits that a server states (RFC 9422).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Limits {
    /// `MAILMAX`: transactions in a session.
    pub mail: Option<u32>,
    /// `RCPTMAX`: recipients in a transaction.
    pub rcpt: Option<u32>,
    /// `RCPTDOMAINMAX`: recipient domains in a transaction.
    pub rcpt_domain: Option<u32>,
}

impl Capabilities {
    /// Reads an upstream's reply to EHLO. Unknown keywords are ignored, and so is a known one with a malformed argument.
    pub fn parse(reply: &Reply) -> Self {
        let mut capabilities = Self::default();
        for line in reply.lines().iter().skip(1) {
            capabilities.take(line);
        }
        capabilities
    }

    fn take(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next() else { return };
        match keyword.to_ascii_uppercase().as_str() {
            "SIZE" => self.size = parse_size(words.next()).or(self.size),
            "PIPELINING" => self.pipelining = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "DSN" => self.dsn = true,
            "STARTTLS" => self.starttls = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "CHUNKING" => self.chunking = true,
            "AUTH" => add_names(&mut self.auth, words),
            "XCLIENT" => add_names(&mut self.xclient, words),
            "LIMITS" => words.for_each(|limit| self.limits.take(limit)),
            // "AUTH=LOGIN PLAIN", from before RFC 2554, still stands beside AUTH in the replies of old servers.
            keyword => {
                if let Some(first) = keyword.strip_prefix("AUTH=") {
                    add_names(&mut self.auth, std::iter::once(first).chain(words));
                }
            }
        }
    }

    /// Our reply to EHLO: `hostname` first, with `greeting` after it, then a line for each extension.
    pub fn to_reply(&self, hostname: &str, greeting: &str) -> Reply {
        let mut lines: Vec<Cow<'static, str>> = vec![Cow::Owned(format!("{hostname} {greeting}"))];
        match self.size {
            Some(SizeLimit::Unstated) => lines.push("SIZE".into()),
            Some(SizeLimit::Octets(octets)) => lines.push(format!("SIZE {octets}").into()),
            None => {}
        }
        let flags = [
            (self.pipelining, "PIPELINING"),
            (self.eight_bit_mime, "8BITMIME"),
            (self.smtputf8, "SMTPUTF8"),
            (self.dsn, "DSN"),
            (self.starttls, "STARTTLS"),
            (self.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            (self.chunking, "CHUNKING"),
        ];
        lines.extend(
            flags
                .into_iter()
                .filter(|(on, _)| *on)
                .map(|(_, name)| Cow::Borrowed(name)),
        );
        if !self.auth.is_empty() {
            lines.push(format!("AUTH {}", self.auth.join(" ")).into());
        }
        if !self.xclient.is_empty() {
            lines.push(format!("XCLIENT {}", self.xclient.join(" ")).into());
        }
        lines.extend(self.limits.to_line().map(Cow::Owned));
        Reply::multiline(250, None, lines)
    }

    /// Whether an AUTH mechanism, in any case of letters, is offered.
    pub fn offers_auth(&self, mechanism: &str) -> bool {
        self.auth.iter().any(|m| m.eq_ignore_ascii_case(mechanism))
    }
}

impl Limits {
    fn take(&mut self, limit: &str) {
        let Some((name, value)) = limit.split_once('=') else {
            return;
        };
        let Some(value) = parse_digits(value)
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n > 0)
        else {
            return;
        };
        match name.to_ascii_uppercase().as_str() {
            "MAILMAX" => self.mail = Some(value),
            "RCPTMAX" => self.rcpt = Some(value),
            "RCPTDOMAINMAX" => self.rcpt_domain = Some(value),
            _ => {}
        }
    }

    fn to_line(self) -> Option<String> {
        let stated = [
            ("MAILMAX", self.mail),
            ("RCPTMAX", self.rcpt),
            ("RCPTDOMAINMAX", self.rcpt_domain),
        ];
        let words: Vec<String> = stated
            .into_iter()
            .filter_map(|(name, value)| value.map(|v| format!("{name}={v}")))
            .collect();
        (!words.is_empty()).then(|| format!("LIMITS {}", words.join(" ")))
    }
}

fn parse_size(argument: Option<&str>) -> Option<SizeLimit> {
    match argument {
        None => Some(SizeLimit::Unstated),
        Some(digits) => parse_digits(digits).map(|n| {
            if n == 0 {
                SizeLimit::Unstated
            } else {
                SizeLimit::Octets(n)
            }
        }),
    }
}

fn parse_digits(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn add_names<'a>(names: &mut Vec<String>, words: impl Iterator<Item = &'a str>) {
    for word in words {
        if !names.iter().any(|name| name.eq_ignore_ascii_case(word)) {
            names.push(word.to_ascii_uppercase());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&'static str]) -> Capabilities {
        Capabilities::parse(&Reply::multiline(
            250,
            None,
            lines.iter().map(|line| Cow::Borrowed(*line)).collect(),
        ))
    }

    #[test]
    fn reads_a_postfix() {
        let read = parse(&[
            "mail.example.jp",
            "PIPELINING",
            "SIZE 10240000",
            "VRFY",
            "ETRN",
            "STARTTLS",
            "AUTH PLAIN login",
            "AUTH=PLAIN LOGIN SCRAM-SHA-256",
            "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT",
            "ENHANCEDSTATUSCODES",
            "8BITMIME",
            "DSN",
            "SMTPUTF8",
            "chunking",
            "LIMITS RCPTMAX=100 MAILMAX=20 RCPTDOMAINMAX=1 X=1",
        ]);
        assert_eq!(read.size, Some(SizeLimit::Octets(10_240_000)));
        assert_eq!(read.auth, ["PLAIN", "LOGIN", "SCRAM-SHA-256"]);
        assert!(read.offers_auth("plain") && !read.offers_auth("CRAM-MD5"));
        assert_eq!(read.xclient.len(), 9);
        assert_eq!(
            read.limits,
            Limits {
                mail: Some(20),
                rcpt: Some(100),
                rcpt_domain: Some(1)
            }
        );
        assert!(
            read.pipelining && read.starttls && read.enhanced_status_codes && read.eight_bit_mime
        );
        assert!(read.dsn && read.smtputf8 && read.chunking);
    }

    #[test]
    fn the_first_line_is_a_name_and_nothing_else() {
        assert_eq!(parse(&["STARTTLS"]), Capabilities::default());
    }

    #[test]
    fn ignores_what_is_malformed() {
        for line in [
            "",
            "SIZE x",
            "SIZE -1",
            "SIZE 99999999999999999999",
            "STARTTLSX",
            "AUTH",
            "LIMITS RCPTMAX=0 MAILMAX=x",
        ] {
            let leaked: &'static str = line;
            assert_eq!(parse(&["host", leaked]), Capabilities::default(), "{line}");
        }
        assert_eq!(parse(&["host", "SIZE"]).size, Some(SizeLimit::Unstated));
        assert_eq!(parse(&["host", "SIZE 0"]).size, Some(SizeLimit::Unstated));
    }

    #[test]
    fn reads_what_it_writes() {
        let ours = Capabilities {
            size: Some(SizeLimit::Octets(26_214_400)),
            pipelining: true,
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            starttls: true,
            enhanced_status_codes: true,
            chunking: false,
            auth: vec!["PLAIN".to_owned(), "LOGIN".to_owned()],
            xclient: vec!["ADDR".to_owned(), "LOGIN".to_owned()],
            limits: Limits {
                rcpt: Some(100),
                ..Limits::default()
            },
        };
        let reply = ours.to_reply("mx.example.jp", "greets you");
        assert_eq!(reply.lines()[0], "mx.example.jp greets you");
        assert_eq!(Capabilities::parse(&reply), ours);
        let none = Capabilities::default().to_reply("mx.example.jp", "greets you");
        assert_eq!(none.to_bytes(), b"250 mx.example.jp greets you\r\n");
    }
}
