//! The body of a part that has no parts: decoded as far as somebody wants to see it.

use std::collections::BTreeSet;

use super::inside::{Holder, Inner, Scanner};
use super::report::{LimitExceeded, Report, WalkerLimits};
use super::text::Raw;
use super::transfer::{Decoder, Encoding};
use super::walker::Walker;

/// Octets that are decoded at once.
const CHUNK: usize = 16 * 1024;
/// Octets that tell what a part is, whatever it says.
const SNIFFED: usize = 4;

/// Why a body is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It is one.
    Body,
    /// What comes before the first delimiter of the multipart at this level. No reader shows it if that delimiter comes, and
    /// some show all of it as text if none does.
    Preamble { level: usize },
}

/// A body as it passes.
#[derive(Debug)]
pub(super) struct Leaf {
    role: Role,
    /// The place of its part in the report, if it has one yet.
    pub(super) attachment: Option<usize>,
    pub(super) content_type: String,
    /// One for each encoding that the part states.
    readings: Vec<Reading>,
}

/// What came of a body.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) inside: BTreeSet<Inner>,
    pub(super) texts: Vec<Raw>,
    pub(super) messages: Vec<Report>,
    pub(super) exceeded: Option<LimitExceeded>,
}

impl Leaf {
    pub(super) fn new(
        role: Role,
        attachment: Option<usize>,
        content_type: String,
        readings: Vec<Reading>,
    ) -> Self {
        Self {
            role,
            attachment,
            content_type,
            readings,
        }
    }

    pub(super) fn feed(&mut self, octets: &[u8]) {
        for reading in self
            .readings
            .iter_mut()
            .filter(|reading| !reading.is_idle())
        {
            reading.feed(octets);
        }
    }

    /// Whether what comes is of no use to anybody. Whether a preamble is, only what comes tells.
    pub(super) fn is_idle(&self) -> bool {
        self.role == Role::Body && self.readings.iter().all(Reading::is_idle)
    }

    /// Whether the delimiter before a part of the multipart at `level` makes it a preamble.
    pub(super) fn is_preamble_of(&self, level: usize) -> bool {
        self.role == Role::Preamble { level }
    }

    pub(super) fn finish(self) -> Findings {
        let mut findings = Findings::default();
        for reading in self.readings {
            reading.finish(&mut findings);
        }
        findings
    }
}

/// A body in one encoding, and who looks at it.
#[derive(Debug)]
pub(super) struct Reading {
    decoder: Decoder,
    /// Where it is decoded.
    space: Vec<u8>,
    /// The first octets, until there are enough of them to know what it is.
    head: Option<Vec<u8>>,
    scanners: Vec<Scanner>,
    /// Bounds for scanners.
    limits: WalkerLimits,
    text: Option<Raw>,
    message: Option<Message>,
}

/// A message that is encoded within this one, or said to be.
#[derive(Debug)]
struct Message {
    walker: Box<Walker>,
    /// Whether a colon came: base64 has none, a header section has.
    has_colon: bool,
}

impl Reading {
    pub(super) fn new(
        encoding: Encoding,
        holders: &[Holder],
        text: Option<Raw>,
        limits: WalkerLimits,
    ) -> Self {
        let mut reading = Self {
            decoder: Decoder::new(encoding),
            space: Vec::new(),
            head: Some(Vec::with_capacity(SNIFFED)),
            scanners: Vec::new(),
            limits,
            text,
            message: None,
        };
        reading.look_for(holders);
        reading
    }

    /// Of a message within, which `walker` is to walk.
    pub(super) fn of_message(encoding: Encoding, walker: Walker, limits: WalkerLimits) -> Self {
        Self {
            message: Some(Message {
                walker: Box::new(walker),
                has_colon: false,
            }),
            ..Self::new(encoding, &[], None, limits)
        }
    }

    fn look_for(&mut self, holders: &[Holder]) {
        for holder in holders {
            if !self
                .scanners
                .iter()
                .any(|scanner| scanner.holder() == *holder)
            {
                let scanner =
                    Scanner::new(*holder, self.limits.inner_names, self.limits.name_octets);
                self.scanners.push(scanner);
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.head.is_none()
            && self.scanners.iter().all(Scanner::is_spent)
            && self.text.as_ref().is_none_or(Raw::is_full)
            && self.message.is_none()
    }

    fn feed(&mut self, octets: &[u8]) {
        let mut space = std::mem::take(&mut self.space);
        for chunk in octets.chunks(CHUNK) {
            let decoded = self.decoder.decode(chunk, &mut space);
            self.take(decoded);
            if self.is_idle() {
                break;
            }
        }
        self.space = space;
    }

    fn take(&mut self, decoded: &[u8]) {
        let mut rest = decoded;
        if let Some(head) = &mut self.head {
            let (missing, after) = rest.split_at(rest.len().min(SNIFFED - head.len()));
            head.extend_from_slice(missing);
            if head.len() < SNIFFED {
                return;
            }
            rest = after;
            self.open();
        }
        self.pass(rest);
    }

    /// Decides by the first octets what else to look for, and passes them on.
    fn open(&mut self) {
        let Some(head) = self.head.take() else {
            return;
        };
        self.look_for(recognize(&head));
        self.pass(&head);
    }

    fn pass(&mut self, octets: &[u8]) {
        for scanner in self
            .scanners
            .iter_mut()
            .filter(|scanner| !scanner.is_spent())
        {
            scanner.feed(octets);
        }
        if let Some(text) = &mut self.text {
            text.feed(octets);
        }
        if let Some(message) = &mut self.message {
            message.has_colon = message.has_colon || memchr::memchr(b':', octets).is_some();
            message.walker.feed(octets);
        }
    }

    fn finish(mut self, findings: &mut Findings) {
        let mut space = std::mem::take(&mut self.space);
        self.decoder.finish(&mut space);
        self.take(&space);
        self.open();
        for scanner in self.scanners {
            let (names, exceeded) = scanner.finish();
            findings.inside.extend(names);
            findings.exceeded = findings.exceeded.or(exceeded);
        }
        findings.texts.extend(self.text);
        // Without a colon it has no field, and what else it may seem to exceed says nothing.
        let message = self.message.filter(|message| message.has_colon);
        findings
            .messages
            .extend(message.map(|message| message.walker.finish()));
    }
}

/// What octets begin, whatever the part is called.
fn recognize(head: &[u8]) -> &'static [Holder] {
    match head {
        [b'P', b'K', ..] => &[Holder::Zip],
        [0x1F, 0x8B, ..] => &[Holder::Gzip],
        [0x78, 0x9F, 0x3E, 0x22] => TNEF,
        _ => &[],
    }
}

/// An attachment within TNEF lies there as it is, so what it lists is seen too.
pub(super) const TNEF: &[Holder] = &[Holder::Tnef, Holder::Zip];
