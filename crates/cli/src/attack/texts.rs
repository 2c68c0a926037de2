//! What is sent: messages of the SpamAssassin corpus where it is installed, else a few of our own.

use std::fs;
use std::path::{Path, PathBuf};

/// Longer ones are left out: the run is about senders, not about bandwidth.
const LONGEST: u64 = 64 << 10;
/// How many of each sort are kept.
const KEPT: usize = 400;

const HAM: [&str; 4] = [
    "Subject: Minutes of Tuesday\n\nAttached are the minutes. Please send corrections until Friday.\n",
    "Subject: Lunch\n\nThe place at the station, at noon?\n",
    "Subject: Re: Invoice 2217\n\nThank you, it is paid.\n",
    "Subject: Photos from the trip\n\nThey are in the usual folder. The one with the ferry is the best.\n",
];
const SPAM: [&str; 3] = [
    "Subject: You are our WINNER\n\nClaim your lottery prize now: http://prize.example/claim\n",
    "Subject: Grand casino, free chips\nX-Mailer: MailBlaster Bulk 3\n\nPlay now. http://casino.example/\n",
    "Subject: Your parcel could not be delivered\n\nConfirm your address within 24 hours: http://parcel.example/login\n",
];

/// What is sent, with LF line ends and without the fields that say who writes to whom.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) ham: Vec<Vec<u8>>,
    pub(super) spam: Vec<Vec<u8>>,
    /// Where they are from.
    pub(super) origin: String,
}

impl Texts {
    /// Those of `corpus`, a folder with folders `easy-ham-1`, `spam-1` and the like; without one, where `make setup` puts it.
    pub(super) fn gather(corpus: Option<&Path>) -> Self {
        let folder = corpus.map_or_else(usual_place, Path::to_owned);
        let read = |kinds: &[&str]| {
            kinds
                .iter()
                .flat_map(|kind| messages(&folder.join(kind)))
                .take(KEPT)
                .collect::<Vec<_>>()
        };
        let (ham, spam) = (
            read(&["easy-ham-1", "easy-ham-2"]),
            read(&["spam-1", "spam-2"]),
        );
        if ham.is_empty() || spam.is_empty() {
            let own = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
            return Self {
                ham: own(&HAM),
                spam: own(&SPAM),
                origin: "a handful of made-up messages (`make setup` fetches a real corpus)".into(),
            };
        }
        Self {
            origin: format!(
                "{} honest and {} spam messages of the SpamAssassin corpus",
                ham.len(),
                spam.len()
            ),
            ham,
            spam,
        }
    }
}

/// A message of `text` from `sender` to `recipients`, with CRLF line ends.
pub(super) fn address(text: &[u8], sender: &str, recipients: &[String]) -> Vec<u8> {
    let mut message = format!(
        "From: <{sender}>\r\nTo: {}\r\n",
        recipients
            .iter()
            .map(|recipient| format!("<{recipient}>"))
            .collect::<Vec<_>>()
            .join(",\r\n ")
    )
    .into_bytes();
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        message.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        message.extend_from_slice(b"\r\n");
    }
    message
}

fn usual_place() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    variable("SEKISHO_DATA")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("sekisho")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/sekisho")))
        .unwrap_or_default()
        .join("datasets-spam-assassin/data")
}

fn messages(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let is_short = |path: &PathBuf| fs::metadata(path).is_ok_and(|data| data.len() <= LONGEST);
    paths
        .iter()
        .filter(|path| is_short(path))
        .take(KEPT)
        .filter_map(|path| fs::read(path).ok())
        .map(|message| without_people(&message))
        .collect()
}

/// The message without the line of an mbox and the fields that name its first sender, recipients and way.
fn without_people(message: &[u8]) -> Vec<u8> {
    const LEFT_OUT: [&str; 11] = [
        "from",
        "to",
        "cc",
        "bcc",
        "sender",
        "reply-to",
        "return-path",
        "delivered-to",
        "received",
        "x-original-to",
        "errors-to",
    ];
    let mut kept = Vec::with_capacity(message.len());
    let mut lines = message.split_inclusive(|octet| *octet == b'\n').peekable();
    lines.next_if(|line| line.starts_with(b"From "));
    let mut leaving_out = false;
    for line in lines.by_ref() {
        if line.trim_ascii_end().is_empty() {
            kept.extend_from_slice(line);
            break;
        }
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = line.split(|octet| *octet == b':').next().unwrap_or(line);
            let name = String::from_utf8_lossy(name)
                .trim_end()
                .to_ascii_lowercase();
            leaving_out = LEFT_OUT.contains(&name.as_str());
        }
        if !leaving_out {
            kept.extend_from_slice(line);
        }
    }
    lines.for_each(|line| kept.extend_from_slice(line));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_left_out_and_the_rest_is_kept() {
        let message = b"From x@example Mon\nReceived: from a\n\tby b\nFrom: Old <o@example>\nSubject: From: you\nCC: a,\n b\nX-A: 1\n\nFrom: body\nTo: body\n";
        assert_eq!(
            without_people(message),
            b"Subject: From: you\nX-A: 1\n\nFrom: body\nTo: body\n"
        );
        let sent = address(
            b"Subject: s\n\nb\n",
            "a@example.jp",
            &["b@c".into(), "d@e".into()],
        );
        assert_eq!(
            sent,
            b"From: <a@example.jp>\r\nTo: <b@c>,\r\n <d@e>\r\nSubject: s\r\n\r\nb\r\n"
        );
    }
}
