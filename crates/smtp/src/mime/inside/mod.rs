//! Names within what a part holds, read off its decoded octets as they pass: nothing is unpacked and nothing trusted
//! that says where the next name would be. A listing is found by its signatures, wherever they stand, so stored archives
//! within archives, archives behind a program, and those with a damaged index are seen too.

mod cp437;
mod expect;
mod gzip;
mod tnef;
mod uuencode;
mod zip;

use std::collections::BTreeSet;

pub(super) use expect::{WINMAIL, expected};

use super::report::{LimitExceeded, MAX_NAME};
use super::steps;

/// What a name was found within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// A zip archive: its local headers and its directory; jar and office documents are such.
    Zip,
    /// The original name in a gzip header (RFC 1952).
    Gzip,
    /// The attachments of a `winmail.dat`.
    Tnef,
    /// The `begin` line of uuencoded text.
    Uuencode,
}

/// A name within a part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inner {
    /// What it was found within.
    pub holder: Holder,
    /// The name with its folders, as text; never empty.
    pub name: String,
}

/// The names found within one part by one scanner, and how many more there may be. Each has its own, so that it does not
/// matter which of several comes first to a limit.
#[derive(Debug)]
struct Found {
    names: BTreeSet<Inner>,
    names_left: usize,
    octets_left: usize,
}

impl Found {
    fn add(&mut self, holder: Holder, name: String) -> Result<(), LimitExceeded> {
        let inner = Inner { holder, name };
        if inner.name.is_empty() || self.names.contains(&inner) {
            return Ok(());
        }
        if self.names_left == 0 || self.octets_left < inner.name.len() {
            return Err(LimitExceeded::InnerNames);
        }
        self.names_left -= 1;
        self.octets_left -= inner.name.len();
        self.names.insert(inner);
        Ok(())
    }
}

/// What begins at a signature.
enum Look {
    /// Its end has not come yet.
    Partial,
    /// Nothing.
    Chance,
    /// Names, in so many octets.
    Names { names: Vec<String>, octets: usize },
    /// A name too long to be one of a file.
    TooLong,
}

/// Octets of entries may exceed those of the stream by so much: what looks like an entry by chance may lie within one.
const OVERLAP: usize = 1024 * 1024;

/// Looks for the names of one kind of holder.
#[derive(Debug)]
pub(super) struct Scanner {
    holder: Holder,
    /// The end of what came, from where an entry may begin.
    carry: Vec<u8>,
    /// Whether what comes next is the beginning of the stream.
    fresh: bool,
    /// How many octets of entries may still be read. Entries that follow one another are no longer than the stream; only
    /// hostile ones that lie within one another are, and would cost its square.
    budget: usize,
    found: Found,
    /// The limit at which it stopped.
    exceeded: Option<LimitExceeded>,
}

impl Scanner {
    /// A scanner at the start of a part, which may find so many names of so many octets together.
    pub(super) fn new(holder: Holder, names: usize, octets: usize) -> Self {
        // A line begins where the stream does.
        let carry = match holder {
            Holder::Uuencode => b"\n".to_vec(),
            Holder::Zip | Holder::Gzip | Holder::Tnef => Vec::new(),
        };
        Self {
            holder,
            carry,
            fresh: true,
            budget: OVERLAP,
            found: Found {
                names: BTreeSet::new(),
                names_left: names,
                octets_left: octets,
            },
            exceeded: None,
        }
    }

    pub(super) fn holder(&self) -> Holder {
        self.holder
    }

    /// Takes decoded octets.
    pub(super) fn feed(&mut self, octets: &[u8]) {
        self.budget = self.budget.saturating_add(octets.len());
        if self.carry.is_empty() {
            let done = self.scan_or_stop(octets, false);
            self.carry.extend_from_slice(&octets[done..]);
        } else {
            let mut window = std::mem::take(&mut self.carry);
            window.extend_from_slice(octets);
            let done = self.scan_or_stop(&window, false);
            window.drain(..done);
            self.carry = window;
        }
    }

    /// Takes what was still incomplete when the part ended. Answers with the names found, and the limit if one was exceeded.
    pub(super) fn finish(mut self) -> (BTreeSet<Inner>, Option<LimitExceeded>) {
        let window = std::mem::take(&mut self.carry);
        self.scan_or_stop(&window, true);
        (self.found.names, self.exceeded)
    }

    /// Whether nothing more can come.
    pub(super) fn is_spent(&self) -> bool {
        let is_over = self.holder == Holder::Gzip && !self.fresh && self.carry.is_empty();
        is_over || self.exceeded.is_some()
    }

    fn scan_or_stop(&mut self, window: &[u8], last: bool) -> usize {
        if self.exceeded.is_some() {
            return window.len();
        }
        match self.scan(window, last) {
            Ok(done) => done,
            Err(limit) => {
                self.exceeded = Some(limit);
                window.len()
            }
        }
    }

    /// Looks at each signature. Answers with how many octets are done with.
    fn scan(&mut self, window: &[u8], last: bool) -> Result<usize, LimitExceeded> {
        steps::add(window.len());
        let mut from = 0;
        while let Some(at) = self.find(&window[from..]) {
            let start = from + at;
            steps::add(1);
            match self.look(&window[start..], last) {
                Look::Partial => return Ok(start),
                Look::Chance => {}
                Look::Names { names, octets } => {
                    steps::add(octets);
                    self.budget = self
                        .budget
                        .checked_sub(octets)
                        .ok_or(LimitExceeded::InnerNames)?;
                    for name in names {
                        self.found.add(self.holder, name)?;
                    }
                }
                Look::TooLong => return Err(LimitExceeded::InnerNames),
            }
            self.fresh = false;
            // Only past the signature's first octet: a length that an entry states is a lie as easily as not.
            from = start + 1;
        }
        self.fresh &= window.is_empty();
        Ok(from.max(window.len() - self.overlap(window)))
    }

    /// Where a signature may begin.
    fn find(&self, window: &[u8]) -> Option<usize> {
        match self.holder {
            Holder::Zip => zip::find(window),
            Holder::Gzip => (self.fresh && !window.is_empty()).then_some(0),
            Holder::Tnef => tnef::find(window),
            Holder::Uuencode => uuencode::find(window),
        }
    }

    fn look(&self, window: &[u8], last: bool) -> Look {
        let look = match self.holder {
            Holder::Zip => zip::look(window),
            Holder::Gzip => gzip::look(window),
            Holder::Tnef => tnef::look(window),
            Holder::Uuencode => uuencode::look(window, last),
        };
        match look {
            Look::Partial if last => Look::Chance,
            look => look,
        }
    }

    /// Octets at the end of a window with which a signature may begin.
    fn overlap(&self, window: &[u8]) -> usize {
        match self.holder {
            Holder::Zip => usize::from(window.ends_with(b"P")),
            Holder::Gzip | Holder::Tnef => 0,
            Holder::Uuencode => {
                let tail = &window[window.len().saturating_sub(uuencode::SIGNATURE.len() - 1)..];
                memchr::memrchr(b'\n', tail).map_or(0, |at| tail.len() - at)
            }
        }
    }
}

/// A little-endian number of two octets.
fn number16(octets: &[u8], at: usize) -> Option<usize> {
    let pair = octets.get(at..)?.first_chunk::<2>()?;
    Some(usize::from(u16::from_le_bytes(*pair)))
}

/// A little-endian number of four octets.
fn number32(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*octets.get(at..)?.first_chunk::<4>()?))
}

/// Up to the first zero octet: what programs in C take.
fn until_zero(octets: &[u8]) -> &[u8] {
    octets.split(|b| *b == 0).next().unwrap_or_default()
}

/// Whether octets may be a name: no control characters.
fn is_plausible(name: &[u8]) -> bool {
    name.iter().all(|b| !b.is_ascii_control())
}

#[cfg(test)]
mod tests;
