//! What Dovecot says in its auth client protocol: fields between tabs, one command a line. Everything that a service may say is read
//! here, strictly where it matters who somebody is, and otherwise with patience for fields of newer versions.

/// Lines of its handshake.
const MAX_HANDSHAKE: usize = 128;
/// Mechanisms that are remembered.
const MAX_MECHANISMS: usize = 64;
/// Octets of an account's name, as everywhere.
const MAX_USER: usize = 320;

/// What the service says of itself before it takes requests.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Handshake {
    version: bool,
    lines: usize,
    mechanisms: Vec<String>,
}

impl Handshake {
    /// Takes a line; whether it was the last.
    ///
    /// # Errors
    /// What is wrong with the service.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<bool, &'static str> {
        self.lines += 1;
        if self.lines > MAX_HANDSHAKE {
            return Err("its handshake does not end");
        }
        let line = std::str::from_utf8(line).map_err(|_| "its handshake is no text")?;
        let mut fields = line.split('\t');
        match fields.next() {
            Some("VERSION") if fields.next() != Some("1") => {
                Err("it speaks another version of the protocol")
            }
            Some("VERSION") => {
                self.version = true;
                Ok(false)
            }
            Some("MECH") => {
                let name = fields.next().unwrap_or_default().to_ascii_uppercase();
                if !name.is_empty() && name.len() <= 20 && self.mechanisms.len() < MAX_MECHANISMS {
                    self.mechanisms.push(name);
                }
                Ok(false)
            }
            Some("DONE") if self.version => Ok(true),
            Some("DONE") => Err("it does not say which version it speaks"),
            // SPID, CUID, COOKIE, and what comes later.
            _ => Ok(false),
        }
    }

    /// The mechanisms that it has.
    pub(super) fn into_mechanisms(self) -> Vec<String> {
        self.mechanisms
    }
}

/// An answer to a request.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// More is to be said. The challenge is base64 still.
    Continue { id: u32, challenge: String },
    /// The client is this user.
    Accepted {
        id: u32,
        user: String,
        response: Option<String>,
    },
    /// It is not.
    Refused { id: u32 },
    /// Dovecot cannot say.
    Temporary { id: u32 },
}

impl std::fmt::Debug for Reply {
    /// Challenges are not shown: they are parts of exchanges.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Self::Continue { .. } => "Continue",
            Self::Accepted { .. } => "Accepted",
            Self::Refused { .. } => "Refused",
            Self::Temporary { .. } => "Temporary",
        };
        write!(f, "{name}({})", self.id())
    }
}

impl Reply {
    /// The request's number.
    pub(super) const fn id(&self) -> u32 {
        match self {
            Self::Continue { id, .. }
            | Self::Accepted { id, .. }
            | Self::Refused { id }
            | Self::Temporary { id } => *id,
        }
    }
}

/// Reads a line after the handshake; `None` for one that answers no request.
///
/// # Errors
/// What is wrong with it: nothing that the service says can be believed any more.
pub(super) fn parse_reply(line: &[u8]) -> Result<Option<Reply>, &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "a reply is no text")?;
    let mut fields = line.split('\t');
    let kind = fields.next().unwrap_or_default();
    if !matches!(kind, "OK" | "FAIL" | "CONT") {
        // MECH and DONE may come again when its configuration is read anew.
        return Ok(None);
    }
    let id = fields
        .next()
        .filter(|id| id.bytes().all(|b| b.is_ascii_digit()));
    let id = id
        .and_then(|id| id.parse().ok())
        .ok_or("a reply has no number")?;
    match kind {
        "CONT" => Ok(Some(Reply::Continue {
            id,
            challenge: fields.next().unwrap_or_default().to_owned(),
        })),
        "OK" => accepted(id, fields).map(Some),
        _ => {
            let passing = |field: &str| matches!(field, "temp" | "code=temp_fail");
            let temporary = fields.any(passing);
            Ok(Some(if temporary {
                Reply::Temporary { id }
            } else {
                Reply::Refused { id }
            }))
        }
    }
}

fn accepted<'a>(id: u32, fields: impl Iterator<Item = &'a str>) -> Result<Reply, &'static str> {
    let (mut user, mut response) = (None, None);
    for field in fields {
        if let Some(name) = field.strip_prefix("user=") {
            let name = unescape(name)?;
            let valid = (1..=MAX_USER).contains(&name.len()) && !name.chars().any(char::is_control);
            if !valid || user.replace(name).is_some() {
                return Err("it accepts somebody without saying whom");
            }
        } else if let Some(words) = field.strip_prefix("resp=") {
            response = Some(words.to_owned());
        }
    }
    Ok(Reply::Accepted {
        id,
        user: user.ok_or("it accepts somebody without saying whom")?,
        response,
    })
}

/// Undoes the escapes that stand for octets which lines and fields cannot have.
fn unescape(text: &str) -> Result<String, &'static str> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        plain.push(match c {
            '\x01' => match rest.next() {
                Some('0') => '\0',
                Some('1') => '\x01',
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                _ => return Err("a name has a broken escape"),
            },
            c => c,
        });
    }
    Ok(plain)
}
