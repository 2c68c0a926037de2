//! The file that restrictions are kept in: lines that are added to its end, each with a checksum, and now and then the whole anew.
//!
//! A line says all that is known of one account, or up to where the store was heard; a later one takes the place of an earlier one.
//! So a file that ends anywhere, as it does after a crash, says what was so a moment before.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use sekisho_policy::{Account, Restriction};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Restrictions;
use super::book::{Book, Entry, Told};
use super::table::{Head, Unwritten};
use crate::state_folder::{private, rename_safely};

/// The most octets of a file that are read.
const LARGEST: u64 = 1 << 30;
/// A file of fewer octets is never written anew for its length.
const SMALL: u64 = 256 << 10;
/// Accounts that are put into words at once: sessions that impose wait for no more.
const AT_A_TIME: usize = 1_000;
/// Octets of a checksum, and the space behind it.
const CHECKSUM: usize = 9;
/// What this version writes and reads.
const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line<'a> {
    Head {
        format: u32,
        revision: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        store: Option<Box<str>>,
    },
    Account {
        account: Account,
        /// Nothing where nothing restricts it any more.
        entries: Vec<Kept<'a>>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept<'a> {
    restriction: Cow<'a, Restriction>,
    told: Told,
}

/// What a file says.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) head: Head,
    pub(super) book: Book,
    pub(super) state: State,
}

/// In which state a file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Whole,
    /// Its last line was not finished: the process ended while it was written.
    Torn,
    /// Lines within it are not what was written. The others are taken all the same.
    Damaged,
}

/// The file as it is written.
#[derive(Debug, Default)]
pub(super) struct Journal {
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    head: Head,
    /// How long it was when it was last written whole, and how long it is.
    whole: u64,
    length: u64,
}

impl Journal {
    /// Writes what the file does not have yet: at its end, or the whole where that has become longer than twice what there is.
    pub(super) fn write(&mut self, path: &Path, all: &Restrictions) -> io::Result<()> {
        let open = self.open.take().filter(|open| open.path == path);
        let unwritten = all.write(super::Table::take_unwritten);
        let written = match (open, &unwritten) {
            (Some(mut open), Unwritten::Of(accounts)) if open.has_room() => {
                open.append(all, accounts).map(|()| open)
            }
            _ => Open::begin(path, all),
        };
        match written {
            Ok(open) => {
                self.open = Some(open);
                Ok(())
            }
            Err(error) => {
                // A line may be half there: nothing is added to this file any more.
                all.write(|table| table.give_back_unwritten(unwritten));
                Err(error)
            }
        }
    }
}

impl Open {
    fn has_room(&self) -> bool {
        self.length <= SMALL.max(2 * self.whole)
    }

    fn append(&mut self, all: &Restrictions, accounts: &HashSet<Account>) -> io::Result<()> {
        if accounts.is_empty() && all.head() == self.head {
            return Ok(());
        }
        let accounts: Vec<&Account> = accounts.iter().collect();
        for some in accounts.chunks(AT_A_TIME) {
            let mut lines = Vec::new();
            all.put_into_words(some.iter().copied(), &mut lines)?;
            self.file.write_all(&lines)?;
            self.length += lines.len() as u64;
        }
        // After what it is about: a file that ends before it asks for that again.
        let head = all.head();
        if head != self.head {
            let mut line = Vec::new();
            write_head(&head, &mut line)?;
            self.file.write_all(&line)?;
            self.length += line.len() as u64;
            self.head = head;
        }
        self.file.sync_data()
    }

    /// Writes the whole beside the file, and puts it in its place. What changes meanwhile is not written yet, and comes after.
    fn begin(path: &Path, all: &Restrictions) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let draft = path.with_extension("draft");
        let mut file = BufWriter::new(private().truncate(true).open(&draft)?);
        let head = all.head();
        let mut lines = Vec::new();
        write_head(&head, &mut lines)?;
        let accounts = all.restricted();
        let mut length = 0;
        for some in accounts.chunks(AT_A_TIME) {
            all.put_into_words(some.iter(), &mut lines)?;
            file.write_all(&lines)?;
            length += lines.len() as u64;
            lines.clear();
        }
        file.write_all(&lines)?;
        length += lines.len() as u64;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        rename_safely(&draft, path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            head,
            whole: length,
            length,
        })
    }
}

impl Restrictions {
    fn head(&self) -> Head {
        self.read().head.clone()
    }

    /// The accounts that something restricts.
    pub(super) fn restricted(&self) -> Vec<Account> {
        let table = self.read();
        table
            .book
            .all()
            .map(|(account, _)| account.clone())
            .collect()
    }

    fn put_into_words<'a>(
        &self,
        accounts: impl Iterator<Item = &'a Account>,
        lines: &mut Vec<u8>,
    ) -> io::Result<()> {
        let table = self.read();
        for account in accounts {
            let entries = table.book.of(account).iter().map(|entry| Kept {
                restriction: Cow::Borrowed(&entry.restriction),
                told: entry.told,
            });
            let line = Line::Account {
                account: account.clone(),
                entries: entries.collect(),
            };
            write_line(&line, lines)?;
        }
        Ok(())
    }
}

fn write_head(head: &Head, lines: &mut Vec<u8>) -> io::Result<()> {
    let line = Line::Head {
        format: FORMAT,
        revision: head.revision,
        store: head.store.clone(),
    };
    write_line(&line, lines)
}

fn write_line(line: &Line<'_>, lines: &mut Vec<u8>) -> io::Result<()> {
    let began = lines.len();
    lines.extend([b' '; CHECKSUM]);
    serde_json::to_writer(&mut *lines, line)?;
    let sum = checksum(&lines[began + CHECKSUM..]);
    lines[began..began + CHECKSUM - 1].copy_from_slice(&sum);
    lines.push(b'\n');
    Ok(())
}

/// The first 32 bits of a digest, in hexadecimal digits: enough to tell what was written from what was not.
fn checksum(json: &[u8]) -> [u8; CHECKSUM - 1] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(json);
    let mut sum = [0; CHECKSUM - 1];
    for (digits, octet) in sum.chunks_exact_mut(2).zip(digest) {
        digits[0] = DIGITS[usize::from(octet >> 4)];
        digits[1] = DIGITS[usize::from(octet & 15)];
    }
    sum
}

/// Reads a file; `None` if there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<Read>> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > LARGEST {
        return Err(io::Error::other(format!("it has {length} octets")));
    }
    parse(&fs::read(path)?).map(Some)
}

/// # Errors
/// Nothing in it is ours, or a later version wrote it.
pub(super) fn parse(octets: &[u8]) -> io::Result<Read> {
    let mut read = Read {
        head: Head::default(),
        book: Book::default(),
        state: State::Whole,
    };
    let mut has_begun = false;
    for line in octets.split_inclusive(|&octet| octet == b'\n') {
        let Some(line) = read_line(line) else {
            read.state = State::Torn;
            continue;
        };
        if read.state != State::Whole {
            // Something that was written after it is there.
            read.state = State::Damaged;
        }
        has_begun |= matches!(line, Line::Head { .. });
        read.take(line)?;
    }
    if has_begun {
        Ok(read)
    } else {
        Err(io::Error::other("it is no file of restrictions"))
    }
}

fn read_line(line: &[u8]) -> Option<Line<'static>> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, json) = line.split_at_checked(CHECKSUM)?;
    let is_as_written = sum[CHECKSUM - 1] == b' ' && sum[..CHECKSUM - 1] == checksum(json);
    is_as_written
        .then(|| serde_json::from_slice(json).ok())
        .flatten()
}

impl Read {
    fn take(&mut self, line: Line<'_>) -> io::Result<()> {
        match line {
            Line::Head { format, .. } if format != FORMAT => Err(io::Error::other(format!(
                "it is of format {format}, and this version reads {FORMAT}"
            ))),
            Line::Head {
                revision, store, ..
            } => {
                self.head = Head { revision, store };
                Ok(())
            }
            Line::Account { account, entries } => {
                self.book.forget(&account);
                for Kept { restriction, told } in entries {
                    if self.book.has_room_of_own(&account, &restriction.origin) {
                        let restriction = restriction.into_owned().bounded();
                        self.book.put(&account, Entry::new(restriction, told));
                    }
                }
                Ok(())
            }
        }
    }
}
