//! A message as it comes in: decoded, its header collected, its parts walked, and held until it can go on.

use std::sync::Arc;

use sekisho_policy::event::{EndFacts, Newlines, Scan};
use sekisho_policy::{ContentNeeds, Ruleset};
use sekisho_smtp::command::BdatCommand;
use sekisho_smtp::data::{BareNewlines, DataProgress, Decoder};
use sekisho_smtp::header::{Edits, HeaderProgress, HeaderReader};
use sekisho_smtp::mime::Walker;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::lone_dot::{Seam, holds_lone_dot};
use super::pace::Pace;
use crate::content;
use crate::held::Held;
use crate::live::Live;
use crate::memory::{Claim, Owner};
use crate::shared::Shared;

/// Octets of memory without which no message is begun.
pub(in crate::session) const RESERVED: u64 = 32 * 1024;
/// What a session has read and not yet dealt with.
const READ_AHEAD: u64 = 16 * 1024;
/// What the walker keeps of parts and their names, roughly.
const PARTS: u64 = 64 * 1024;

/// One message on its way in.
#[derive(Debug)]
pub(in crate::session) struct Intake {
    decoder: Decoder,
    carriage: Carriage,
    header: Header,
    /// What is to be done with the header section.
    pub(super) edits: Edits,
    pub(super) letters: Letters,
    walker: Option<Walker>,
    needs: ContentNeeds,
    /// Names of the patterns that were found so far.
    pub(super) matched: Vec<Box<str>>,
    digest: Option<Sha256>,
    /// What came in and has not gone on.
    pub(super) held: Held,
    /// The most octets that it may have.
    most: u64,
    ended: bool,
    lone_dot: bool,
    seam: Seam,
    /// What is kept to look at the message: its header section, its text.
    looking: Claim,
    pace: Pace,
}

/// What it takes to read the header section of a message of which the client says SMTPUTF8. Others go as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letters {
    Ascii,
    Utf8,
}

/// How the client sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Carriage {
    /// By DATA, to its final dot.
    Dots,
    /// By BDAT, and so the state of the chunk that was announced last.
    Chunks(Chunk),
}

/// One chunk (RFC 3030).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Chunk {
    announced: BdatCommand,
    /// Octets of it that have not come.
    left: u64,
}

impl From<BdatCommand> for Chunk {
    fn from(announced: BdatCommand) -> Self {
        Self {
            announced,
            left: announced.size,
        }
    }
}

#[derive(Debug)]
enum Header {
    Reading(HeaderReader),
    Complete(HeaderReader),
    TooLong,
}

impl Intake {
    pub(super) fn new(
        shared: &Shared,
        live: &Live,
        owner: Owner,
        carriage: Carriage,
        max_size: Option<u64>,
        needs: ContentNeeds,
    ) -> Self {
        let limits = &shared.limits;
        // Whether bare newlines are refused is policy's to say at the end; here they are always mended, so that none
        // ever goes on.
        let decoder = match carriage {
            Carriage::Dots => Decoder::new(BareNewlines::Normalize),
            Carriage::Chunks(_) => Decoder::of_chunks(BareNewlines::Normalize),
        };
        Self {
            decoder,
            carriage,
            header: Header::Reading(HeaderReader::default()),
            edits: Edits::UNKNOWN,
            letters: Letters::Ascii,
            walker: content::walker(needs),
            needs,
            matched: Vec::new(),
            digest: needs.engines.then(Sha256::new),
            held: Held::new(
                limits.held_in_memory,
                &live.memory,
                owner,
                shared.metrics.process(),
            ),
            most: max_size.unwrap_or(u64::MAX).min(limits.message),
            ended: false,
            lone_dot: false,
            seam: Seam::default(),
            looking: live.memory.claim(),
            pace: Pace::new(limits, &live.limits),
        }
    }

    /// Claims what the message surely needs; `false` if it cannot be had.
    pub(super) fn reserve(&mut self) -> bool {
        self.looking.set(RESERVED)
    }

    /// Claims what is kept by now to look at the message.
    pub(super) fn settle_looking(&mut self) -> bool {
        let octets = self.octets();
        let header = match &self.header {
            Header::Reading(reader) | Header::Complete(reader) => reader.section().len() as u64,
            Header::TooLong => 0,
        };
        let walked = self.walker.as_ref().map_or(0, |_| octets.min(PARTS));
        let text = if self.needs.text && self.walker.is_some() {
            // The text, the room that a growing text has beyond it, and as much again that the allocator does not give back at
            // once when a crowd of messages goes from being looked at to being sent.
            3 * octets.min(content::MAX_TEXT as u64)
        } else {
            0
        };
        let looked_at = READ_AHEAD + 2 * header + walked + text;
        self.looking.set(looked_at.max(RESERVED))
    }

    /// Forgets the message, of which only the end still matters: what it took is there for others at once.
    pub(in crate::session) fn let_go(&mut self) {
        self.held.clear();
        self.walker = None;
        self.header = Header::TooLong;
        self.digest = None;
        self.looking.release();
    }

    /// When the next octets must have come, by the pace that the message has to keep.
    pub(super) fn due(&self) -> Instant {
        self.pace.due(self.octets())
    }

    /// Whether the client is fast enough for the message to pass while it comes in. Once it does, it must remain so.
    pub(super) fn may_stream(&mut self) -> bool {
        self.pace.stream(self.octets())
    }

    /// Takes octets of the message; answers with how many of `input` belonged to it.
    pub(super) fn take(&mut self, input: &[u8]) -> usize {
        let input = self.part_of_chunk(input);
        let before = self.held.memory_len();
        let progress = self.decoder.decode_into(input, self.held.memory());
        let taken = self.conclude(progress, input.len());
        if self.ended && self.is_chunked() {
            let memory = self.held.memory();
            self.decoder.finish(|piece| memory.extend_from_slice(piece));
        }
        let fresh = &self.held.memory()[before..];
        if let Some(walker) = &mut self.walker {
            walker.feed(fresh);
        }
        if let Some(digest) = &mut self.digest {
            digest.update(fresh);
        }
        let mut seam = self.seam.pass(&input[..taken]);
        if self.ended {
            seam |= self.seam.end();
        }
        if self.decoder.stats().bare_newlines > 0 {
            self.lone_dot |= seam || holds_lone_dot(&input[..taken]);
        }
        if let Header::Reading(reader) = &mut self.header {
            let progress = reader.feed(fresh);
            self.advance_header(progress);
        }
        if self.ended {
            // A message may be all header.
            self.advance_header(HeaderProgress::Complete { consumed: 0 });
        }
        taken
    }

    /// Follows the message to its end, or to that of the chunk, without keeping it.
    pub(super) fn skip(&mut self, input: &[u8]) -> usize {
        let input = self.part_of_chunk(input);
        let progress = self.decoder.decode(input, |_| {});
        self.conclude(progress, input.len())
    }

    fn part_of_chunk<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        match self.carriage {
            Carriage::Dots => input,
            Carriage::Chunks(chunk) => {
                let left = usize::try_from(chunk.left).unwrap_or(usize::MAX);
                &input[..input.len().min(left)]
            }
        }
    }

    fn conclude(&mut self, progress: DataProgress, offered: usize) -> usize {
        let taken = match progress {
            DataProgress::More => offered,
            DataProgress::End { consumed } => {
                self.ended = true;
                consumed
            }
        };
        if let Carriage::Chunks(chunk) = &mut self.carriage {
            chunk.left -= taken as u64;
            self.ended = chunk.left == 0 && chunk.announced.last;
        }
        taken
    }

    fn is_chunked(&self) -> bool {
        matches!(self.carriage, Carriage::Chunks(_))
    }

    /// The chunk that has come in full, if the message goes on after it: the client waits to hear so.
    pub(super) fn complete_chunk(&self) -> Option<BdatCommand> {
        match self.carriage {
            Carriage::Chunks(chunk) if chunk.left == 0 && !self.ended => Some(chunk.announced),
            Carriage::Chunks(_) | Carriage::Dots => None,
        }
        .filter(|announced| !announced.last)
    }

    /// Goes on with the next chunk.
    pub(super) fn begin_chunk(&mut self, announced: BdatCommand) {
        self.carriage = Carriage::Chunks(announced.into());
    }

    /// Whether octets are needed to go on: a last chunk may have none.
    pub(super) fn wants_octets(&self) -> bool {
        match self.carriage {
            Carriage::Dots => !self.ended,
            Carriage::Chunks(chunk) => chunk.left > 0,
        }
    }

    /// How many octets the client will surely send before it can send a command.
    pub(super) fn octets_announced(&self) -> u64 {
        match self.carriage {
            Carriage::Dots => 0,
            Carriage::Chunks(chunk) => chunk.left,
        }
    }

    fn advance_header(&mut self, progress: HeaderProgress) {
        let Header::Reading(reader) = &mut self.header else {
            return;
        };
        match progress {
            HeaderProgress::More => {}
            HeaderProgress::Complete { .. } => {
                self.header = Header::Complete(std::mem::take(reader))
            }
            HeaderProgress::TooLong => self.header = Header::TooLong,
        }
    }

    /// SHA-256 of the message, once; nothing where no engine is asked.
    pub(super) fn digest(&mut self) -> Option<[u8; 32]> {
        self.digest.take().map(|digest| digest.finalize().into())
    }

    pub(super) fn needs(&self) -> ContentNeeds {
        self.needs
    }

    pub(super) fn has_header(&self) -> bool {
        !matches!(self.header, Header::Reading(_))
    }

    /// The header section, once: `None` if it was too long, or was looked at before.
    pub(super) fn header(&mut self) -> Option<HeaderReader> {
        match std::mem::replace(&mut self.header, Header::TooLong) {
            Header::Complete(reader) => Some(reader),
            Header::Reading(_) | Header::TooLong => None,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Octets of the message so far, without what we add and without stuffed dots.
    pub(in crate::session) fn octets(&self) -> u64 {
        self.decoder.stats().octets
    }

    pub(super) fn is_too_large(&self) -> bool {
        self.octets() > self.most
    }

    pub(in crate::session) fn saw_bare_newlines(&self) -> bool {
        self.decoder.stats().bare_newlines > 0
    }

    /// Whether a bare newline would have made a dot the end of the message for a lax receiver.
    pub(in crate::session) fn saw_smuggling(&self) -> bool {
        self.lone_dot
    }

    /// What is known of the whole message. Much work is done where no other session waits for it.
    pub(super) async fn end_facts(&mut self, live: &Arc<Live>) -> EndFacts {
        let walker = self.walker.take();
        let newlines = if self.saw_bare_newlines() {
            Newlines::Bare
        } else {
            Newlines::Clean
        };
        let matched = std::mem::take(&mut self.matched);
        let seen = if content::is_long_work(&live.rules, self.octets()) {
            let live = Arc::clone(live);
            let looking = spawn_blocking(move || look(&live.rules, walker, matched));
            // What could not be looked at is not clean.
            looking.await.unwrap_or_else(|_| EndFacts {
                scan: Scan::OverLimits,
                ..EndFacts::default()
            })
        } else {
            look(&live.rules, walker, matched)
        };
        EndFacts {
            bytes: self.octets(),
            newlines,
            ..seen
        }
    }
}

fn look(rules: &Ruleset, walker: Option<Walker>, matched: Vec<Box<str>>) -> EndFacts {
    content::end_facts(rules, walker.map(Walker::finish).as_ref(), matched)
}
