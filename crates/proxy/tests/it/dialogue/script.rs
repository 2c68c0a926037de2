//! From text to steps.

use sekisho_policy::{AccountSettings, Level};
use serde_json::Value;

/// A conversation.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
}

/// One line of it, or several that belong together.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) act: Act,
}

#[derive(Debug)]
pub(super) enum Act {
    /// `@gateway`, `@listener`, `@policy`, ...: an object, or a part of one.
    Set {
        what: String,
        name: String,
        value: Value,
    },
    /// `@account NAME PASSWORD`.
    Account { name: String, password: String },
    /// `@restrict ACCOUNT LEVEL SPAN [N]`: somebody restricts an account.
    Restrict {
        account: String,
        level: Level,
        millis: u64,
        recipients: Option<u32>,
    },
    /// `@release ACCOUNT`: the store says that nothing restricts it any more.
    Release(String),
    /// `@settings ACCOUNT {...}`: what an account has set.
    Settings {
        account: String,
        settings: AccountSettings,
    },
    /// `@asn NETWORK NUMBER`: which autonomous system announces a network.
    Asn { network: String, number: u32 },
    /// `@connect`: a new client.
    Connect { source: String, tls: bool },
    /// `@tls`: the client begins TLS.
    Tls,
    /// `@advance 1h`: the clock that policy sees.
    Advance(u64),
    /// `@drain`.
    Drain,
    /// `@dns NAME TYPE VALUE`: what DNS says.
    Dns {
        name: String,
        kind: String,
        value: String,
    },
    /// `@hop NAME`: one more next hop.
    Hop(String),
    /// `@engine NAME PROTOCOL ANSWER`: a content engine.
    Engine {
        name: String,
        protocol: String,
        answer: String,
    },
    /// `E: NAME asked N`: a content engine was asked so often.
    EngineAsked { name: String, count: usize },
    /// `E: NAME told PATTERN`: its last question had such a line.
    EngineTold { name: String, pattern: String },
    /// `C:` lines in one write.
    Say(Vec<u8>),
    /// `S:`.
    Expect(String),
    /// `S! closed`.
    ExpectClosed,
    /// `C! close`.
    HangUp,
    /// `U+`: the next hop accepts a connection and greets.
    HopAccepts { hop: String, keywords: Vec<String> },
    /// `U>`: the next hop gets a line.
    HopGets { hop: String, pattern: String },
    /// `U<`: the next hop says a line.
    HopSays { hop: String, octets: Vec<u8> },
    /// `U! closed`, `U! cut`, `U! idle`, `U! close`.
    HopState { hop: String, state: HopState },
    /// `M: series value`.
    Metric { series: String, value: u64 },
    /// `L: {...}`: the next record holds this.
    Record(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HopState {
    /// The connection was closed by the proxy.
    Closed,
    /// Closed by the proxy within a message.
    Cut,
    /// Nothing has arrived, and no connection waits.
    Idle,
    /// The next hop closes it.
    Close,
}

type Fault = (usize, String);

impl Script {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut steps: Vec<Step> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let act = parse_line(line).map_err(|fault| (number, fault))?;
            // Lines of the client that follow one another are one group, written at once.
            if let (
                Act::Say(more),
                Some(Step {
                    act: Act::Say(group),
                    ..
                }),
            ) = (&act, steps.last_mut())
            {
                group.extend_from_slice(more);
                continue;
            }
            steps.push(Step { line: number, act });
        }
        Ok(Self { steps })
    }
}

fn parse_line(line: &str) -> Result<Act, String> {
    if let Some(directive) = line.strip_prefix('@') {
        return parse_directive(directive);
    }
    let marks = [": ", "> ", "< ", "! ", "+"];
    let (at, mark) = marks
        .into_iter()
        .filter_map(|mark| line.find(mark).map(|at| (at, mark)))
        .min()
        .or_else(|| {
            line.ends_with([':', '>', '<'])
                .then(|| (line.len() - 1, &line[line.len() - 1..]))
        })
        .ok_or_else(|| format!("neither a directive nor a line of somebody: {line:?}"))?;
    let (who, rest) = (&line[..at], line[at + mark.len()..].to_owned());
    let hop = who.to_owned();
    Ok(match (who, mark.trim_end()) {
        ("C", ":") => Act::Say([unescape(&rest)?, b"\r\n".to_vec()].concat()),
        ("C", "<") => Act::Say(unescape(&rest)?),
        ("C", "!") if rest == "close" => Act::HangUp,
        ("S", ":") => Act::Expect(rest),
        ("S", "!") if rest == "closed" => Act::ExpectClosed,
        ("M", ":") => parse_metric(&rest)?,
        ("E", ":") => parse_engine(&rest)?,
        ("L", ":") => Act::Record(json(&rest)?),
        (_, "+") => Act::HopAccepts {
            hop,
            keywords: rest.split_whitespace().map(str::to_owned).collect(),
        },
        (_, ">") => Act::HopGets { hop, pattern: rest },
        (_, "<") => Act::HopSays {
            hop,
            octets: [unescape(&rest)?, b"\r\n".to_vec()].concat(),
        },
        (_, "!") => Act::HopState {
            hop,
            state: parse_state(&rest)?,
        },
        _ => return Err(format!("nobody says {line:?}")),
    })
}

fn parse_state(text: &str) -> Result<HopState, String> {
    match text {
        "closed" => Ok(HopState::Closed),
        "cut" => Ok(HopState::Cut),
        "idle" => Ok(HopState::Idle),
        "close" => Ok(HopState::Close),
        other => Err(format!("{other:?} is none of closed, cut, idle, close")),
    }
}

fn parse_engine(text: &str) -> Result<Act, String> {
    let mut words = text.splitn(3, ' ').map(str::to_owned);
    match (words.next(), words.next().as_deref(), words.next()) {
        (Some(name), Some("asked"), Some(count)) => Ok(Act::EngineAsked {
            name,
            count: count
                .parse()
                .map_err(|_| format!("{count:?} is no number"))?,
        }),
        (Some(name), Some("told"), Some(pattern)) => Ok(Act::EngineTold { name, pattern }),
        _ => Err("a name, and `asked N` or `told PATTERN`".into()),
    }
}

fn parse_metric(text: &str) -> Result<Act, String> {
    let (series, value) = text.rsplit_once(' ').ok_or("a series and a value")?;
    let value = value
        .parse()
        .map_err(|_| format!("{value:?} is no number"))?;
    Ok(Act::Metric {
        series: series.to_owned(),
        value,
    })
}

fn parse_directive(directive: &str) -> Result<Act, String> {
    let (word, rest) = directive.split_once(' ').unwrap_or((directive, ""));
    let rest = rest.trim();
    Ok(match word {
        "gateway" | "listener" | "limits" => Act::Set {
            what: word.into(),
            name: String::new(),
            value: json(rest)?,
        },
        "SubmissionPolicy" | "CountryRule" | "RateLimit" | "LoginGuard" | "AbuseRule" | "pool"
        | "secret" => {
            let (name, value) = rest.split_once(' ').ok_or("a name and JSON")?;
            Act::Set {
                what: word.into(),
                name: name.into(),
                value: json(value)?,
            }
        }
        "account" => {
            let (name, password) = rest.split_once(' ').ok_or("a name and a password")?;
            Act::Account {
                name: name.into(),
                password: password.into(),
            }
        }
        "restrict" => parse_restriction(rest)?,
        "release" => Act::Release(rest.to_owned()),
        "settings" => {
            let (account, settings) = rest.split_once(' ').ok_or("an account and JSON")?;
            Act::Settings {
                account: account.into(),
                settings: serde_json::from_str(settings)
                    .map_err(|error| format!("{error} in {settings}"))?,
            }
        }
        "connect" => {
            let source = rest
                .split_whitespace()
                .find(|word| *word != "tls")
                .unwrap_or("203.0.113.9:40000");
            Act::Connect {
                source: source.into(),
                tls: rest.split_whitespace().any(|word| word == "tls"),
            }
        }
        "asn" => {
            let (network, number) = rest.split_once(' ').ok_or("a network and a number")?;
            Act::Asn {
                network: network.into(),
                number: number
                    .parse()
                    .map_err(|_| format!("{number:?} is no number"))?,
            }
        }
        "tls" => Act::Tls,
        "advance" => Act::Advance(parse_span(rest)?),
        "drain" => Act::Drain,
        "hop" => Act::Hop(rest.to_owned()),
        "dns" => {
            let mut words = rest.split_whitespace().map(str::to_owned);
            let (Some(name), Some(kind)) = (words.next(), words.next()) else {
                return Err("a name, a type and a value".into());
            };
            Act::Dns {
                name,
                kind,
                value: words.next().unwrap_or_default(),
            }
        }
        "engine" => {
            let mut words = rest.splitn(3, ' ').map(str::to_owned);
            let (Some(name), Some(protocol), Some(answer)) =
                (words.next(), words.next(), words.next())
            else {
                return Err("a name, a protocol and an answer".into());
            };
            Act::Engine {
                name,
                protocol,
                answer,
            }
        }
        other => return Err(format!("no directive @{other}")),
    })
}

fn parse_restriction(text: &str) -> Result<Act, String> {
    let mut words = text.split_whitespace();
    let (Some(account), Some(level), Some(span)) = (words.next(), words.next(), words.next())
    else {
        return Err("an account, a level and how long".into());
    };
    Ok(Act::Restrict {
        account: account.into(),
        level: serde_json::from_value(level.into())
            .map_err(|_| format!("{level:?} is no level"))?,
        millis: parse_span(span)?,
        recipients: words.next().and_then(|count| count.parse().ok()),
    })
}

fn parse_span(text: &str) -> Result<u64, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let (digits, factor) = units
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|digits| (digits, *factor)))
        .ok_or_else(|| format!("{text:?} is no span of time"))?;
    digits
        .parse::<u64>()
        .map(|count| count * factor)
        .map_err(|_| format!("{text:?} is no span of time"))
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error} in {text}"))
}

/// `\r`, `\n`, `\0`, `\t`, `\\`, `\xNN`, and `\{xN}` for N letters x.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        octets.extend_from_slice(&rest.as_bytes()[..at]);
        let escaped = &rest[at + 1..];
        let (octet, used) = match escaped.as_bytes().first() {
            Some(b'r') => (vec![b'\r'], 1),
            Some(b'n') => (vec![b'\n'], 1),
            Some(b'0') => (vec![0], 1),
            Some(b't') => (vec![b'\t'], 1),
            Some(b'\\') => (vec![b'\\'], 1),
            Some(b'x') => {
                let hex = escaped.get(1..3).ok_or("\\xNN")?;
                (vec![u8::from_str_radix(hex, 16).map_err(|_| "\\xNN")?], 3)
            }
            Some(b'{') => {
                let end = escaped.find('}').ok_or("\\{xN}")?;
                let count = escaped[2..end].parse().map_err(|_| "\\{xN}")?;
                (vec![escaped.as_bytes()[1]; count], end + 1)
            }
            _ => return Err(format!("an escape that nobody knows: \\{escaped}")),
        };
        octets.extend(octet);
        rest = &escaped[used..];
    }
    octets.extend_from_slice(rest.as_bytes());
    Ok(octets)
}
