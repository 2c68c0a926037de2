//! The Received field that we add to each message (RFC 5321 4.4, RFC 3848, RFC 6531 4.3, RFC 8314 4.3).

use std::net::IpAddr;

use sekisho_policy::snapshot::ReceivedPrivacy;
use sekisho_policy::{DecisionId, Timestamp};
use sekisho_smtp::grammar::Greeting;

/// What the field tells.
#[derive(Debug)]
pub(crate) struct Received<'a> {
    pub(crate) helo: Option<&'a str>,
    pub(crate) source: IpAddr,
    pub(crate) privacy: ReceivedPrivacy,
    pub(crate) host_name: &'a str,
    pub(crate) protocol: Protocol,
    /// The cipher suite, where TLS is ours.
    pub(crate) cipher: Option<&'static str>,
    pub(crate) id: DecisionId,
    pub(crate) at: Timestamp,
}

/// The `with` clause.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protocol {
    pub(crate) greeting: Greeting,
    pub(crate) tls: bool,
    pub(crate) authenticated: bool,
    pub(crate) smtputf8: bool,
}

impl Protocol {
    fn name(self) -> &'static str {
        match (self.greeting, self.smtputf8, self.tls, self.authenticated) {
            (Greeting::Helo, ..) => "SMTP",
            (_, false, false, false) => "ESMTP",
            (_, false, false, true) => "ESMTPA",
            (_, false, true, false) => "ESMTPS",
            (_, false, true, true) => "ESMTPSA",
            (_, true, false, false) => "UTF8SMTP",
            (_, true, false, true) => "UTF8SMTPA",
            (_, true, true, false) => "UTF8SMTPS",
            (_, true, true, true) => "UTF8SMTPSA",
        }
    }
}

impl Received<'_> {
    /// The field with its CRLF. It never names a recipient: one of a Bcc would be told to all.
    pub(crate) fn field(&self) -> String {
        let from = match self.privacy {
            ReceivedPrivacy::Include => {
                format!(
                    "{} ({})",
                    self.helo.map_or_else(|| literal(self.source), atoms),
                    literal(self.source)
                )
            }
            // The grammar wants a name; what clients call themselves often is their address.
            ReceivedPrivacy::Omit => "client.invalid".to_owned(),
        };
        let protocol = self.protocol.name();
        let tls = self.cipher.map_or_else(String::new, |cipher| {
            // IANA's names do not tell the version.
            match cipher.strip_prefix("TLS13_") {
                Some(suite) => format!(" tls TLS_{suite}"),
                None => format!(" tls {cipher}"),
            }
        });
        let Self {
            host_name, id, at, ..
        } = self;
        format!(
            "Received: from {from}\r\n\tby {host_name} (Sekisho) with {protocol} id {id}{tls};\r\n\t{}\r\n",
            date(*at)
        )
    }
}

/// An address literal (RFC 5321 4.1.3).
pub(crate) fn literal(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    }
}

/// What the client calls itself, kept to what a domain or an address literal may hold.
fn atoms(helo: &str) -> String {
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() || "-._:[]".contains(c) {
            c
        } else {
            '?'
        }
    };
    helo.chars().map(kept).collect()
}

/// `Sat, 21 Nov 2026 22:27:20 +0000` (RFC 5322 3.3).
pub(crate) fn date(at: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = at.0 / 1000;
    let days = seconds / 86_400;
    let (year, month, day) = civil(days);
    let weekday = DAYS[(days % 7) as usize];
    let month = MONTHS[month as usize - 1];
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{weekday}, {day} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

/// Year, month and day of a count of days since 1970, by eras of 400 years that begin on 1 March.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Received<'static> {
        Received {
            helo: Some("pc.example.jp"),
            source: "203.0.113.9".parse().unwrap(),
            privacy: ReceivedPrivacy::Include,
            host_name: "mail.example.jp",
            protocol: Protocol {
                greeting: Greeting::Ehlo,
                tls: true,
                authenticated: true,
                smtputf8: false,
            },
            cipher: Some("TLS13_AES_256_GCM_SHA384"),
            id: "7Q2M-X4K9-0B3T".parse().unwrap(),
            at: Timestamp(1_795_300_040_000),
        }
    }

    #[test]
    fn it_says_from_whom_by_whom_how_and_when() {
        let field = sample().field();
        let expected = "Received: from pc.example.jp ([203.0.113.9])\r\n\
            \tby mail.example.jp (Sekisho) with ESMTPSA id 7Q2M-X4K9-0B3T tls TLS_AES_256_GCM_SHA384;\r\n\
            \tSat, 21 Nov 2026 22:27:20 +0000\r\n";
        assert_eq!(field, expected);
    }

    #[test]
    fn privacy_leaves_out_address_and_name() {
        let field = Received {
            privacy: ReceivedPrivacy::Omit,
            ..sample()
        }
        .field();
        assert!(
            !field.contains("203.0.113.9") && !field.contains("pc.example.jp"),
            "{field}"
        );
    }

    #[test]
    fn what_the_client_calls_itself_cannot_break_the_field() {
        let field = Received {
            helo: Some("a);b\"<>"),
            ..sample()
        }
        .field();
        assert!(field.starts_with("Received: from a??b??? ("), "{field}");
        let v6 = Received {
            helo: None,
            source: "2001:db8::1".parse().unwrap(),
            ..sample()
        }
        .field();
        assert!(
            v6.starts_with("Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])"),
            "{v6}"
        );
    }

    #[test]
    fn protocol_names_are_those_of_the_registry() {
        let name = |greeting, smtputf8, tls, authenticated| {
            Protocol {
                greeting,
                tls,
                authenticated,
                smtputf8,
            }
            .name()
        };
        assert_eq!(name(Greeting::Helo, false, false, false), "SMTP");
        assert_eq!(name(Greeting::Ehlo, false, false, true), "ESMTPA");
        assert_eq!(name(Greeting::Ehlo, true, true, true), "UTF8SMTPSA");
    }

    #[test]
    fn dates_at_the_edges() {
        let table = [
            (0, "Thu, 1 Jan 1970 00:00:00 +0000"),
            (951_782_400_000, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_709_251_199_000, "Thu, 29 Feb 2024 23:59:59 +0000"),
            (4_107_542_400_000, "Mon, 1 Mar 2100 00:00:00 +0000"),
        ];
        for (at, expected) in table {
            assert_eq!(date(Timestamp(at)), expected);
        }
    }
}
