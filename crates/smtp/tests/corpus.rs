//! The MIME walker over 6,046 real messages: the attachments that mail-parser and Python's `email` see, message by
//! message, and what must hold of messages that were altered.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../../../tests/fuzz/fuzz_targets/mime_body.rs"]
#[allow(unreachable_pub, reason = "it is the fuzz target's too")]
mod mime_body;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use mail_parser::{MessageParser, MimeHeaders as _};
use sekisho_smtp::mime::{Holder, Report, Walker, WalkerLimits};

fn walk(message: &[u8]) -> Report {
    let mut walker = Walker::new(WalkerLimits::default()).with_text(256 * 1024);
    message.chunks(1000).for_each(|chunk| walker.feed(chunk));
    walker.finish()
}

fn stated(report: &Report) -> BTreeSet<String> {
    report
        .attachments
        .iter()
        .flat_map(|a| &a.names)
        .map(|name| plain(name))
        .collect()
}

/// White space as one space: the three undo folds in their own ways.
fn plain(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// For each message the names of its parts, as Python sees them, and how many parts there are.
const SCRIPT: &str = r#"
import sys, email, json
from email.header import decode_header, make_header
read = sys.stdin.buffer
while line := read.readline():
    message = email.message_from_bytes(read.read(int(line)))
    names, parts = [], 0
    for part in message.walk():
        parts += 1
        name = part.get_filename()
        if name is not None:
            try:
                name = str(make_header(decode_header(name)))
            except Exception:
                pass
            names.append(name.encode("utf-8", "replace").decode())
    print(json.dumps([names, parts]))
"#;

fn ask_python(
    python: &std::path::Path,
    messages: &[(String, Vec<u8>)],
) -> Vec<(Vec<String>, usize)> {
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            for (_, message) in messages {
                writeln!(input, "{}", message.len()).unwrap();
                input.write_all(message).unwrap();
            }
        });
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn attachments_are_those_that_python_sees() {
    let (Some(corpus), Some(python)) = (
        sekisho_testkit::corpus(),
        sekisho_testkit::require("python3"),
    ) else {
        return;
    };
    let messages: Vec<(String, Vec<u8>)> = corpus.messages().collect();
    let answers = ask_python(&python, &messages);
    assert_eq!(answers.len(), messages.len());
    let mut differences = Differences::default();
    let mut compared = 0;
    for ((name, message), (theirs, parts)) in messages.iter().zip(answers) {
        let report = walk(message);
        assert_eq!(report.exceeded, None, "{name}");
        compared += theirs.len();
        let theirs: BTreeSet<String> = theirs
            .iter()
            .map(|n| plain(n))
            .filter(|n| !n.is_empty())
            .collect();
        differences.compare_names(name, &stated(&report), &theirs);
        differences.compare_parts(name, report.parts, parts);
    }
    assert!(compared > 80, "{compared} names compared");
    differences.check();
}

#[test]
fn attachments_are_those_that_mail_parser_sees() {
    let Some(corpus) = sekisho_testkit::corpus() else {
        return;
    };
    let mut differences = Differences::default();
    let mut compared = 0;
    for (name, message) in corpus.messages() {
        let report = walk(&message);
        let mut theirs = BTreeSet::new();
        if let Some(parsed) = MessageParser::default().parse(&message) {
            collect(&parsed, &mut theirs);
        }
        compared += theirs.len();
        differences.compare_names(&name, &stated(&report), &theirs);
    }
    assert!(compared > 80, "{compared} names compared");
    differences.check();
}

fn collect(message: &mail_parser::Message<'_>, names: &mut BTreeSet<String>) {
    for part in &message.parts {
        names.extend(part.attachment_name().map(plain));
        if let mail_parser::PartType::Message(inner) = &part.body {
            collect(inner, names);
        }
    }
}

/// A message by the beginning of its name, what we see and they do not, and why. What they see we must see.
type Explained = &'static [(&'static str, &'static [&'static str], &'static str)];

const NAMES: Explained = &[
    ("easy-ham-1/00067.", &["winmail.dat"], TNEF),
    ("easy-ham-2/01388.", &["winmail.dat"], TNEF),
    ("easy-ham-1/00986.", &["patch"], DISAGREE),
    (
        "spam-1/00307.",
        &["./MassMail-1509_files/image001.png"],
        DISAGREE,
    ),
    ("spam-2/01097.", &["J:Shun Tai-CapFilter Cap.JPG"], DISAGREE),
    (
        "spam-2/01306.",
        &["C:WINDOWSDesktopBrand New Premium.htm"],
        DISAGREE,
    ),
    ("spam-2/01359.", &["Yinxiang"], UNQUOTED),
];

/// How many parts we count more than Python, and why.
const PARTS: &[(&str, isize, &str)] = &[
    ("easy-ham-1/01436.", -2, STATUS),
    ("easy-ham-1/01542.", -2, STATUS),
    ("easy-ham-2/01311.", -2, STATUS),
    ("spam-1/00038.", 1, LAX),
];

const TNEF: &str = "TNEF without a name is winmail.dat to readers";
const DISAGREE: &str = "Content-Type and Content-Disposition state different names";
const UNQUOTED: &str = "the name has spaces and no quotes, so some readers stop at the first";
const STATUS: &str =
    "Python makes parts of the groups of fields in message/delivery-status (RFC 3464 2.1)";
const LAX: &str =
    "text follows the last delimiter on its line, so to some readers another part begins";

/// Collects what is not explained, and which explanations were needed.
#[derive(Default)]
struct Differences {
    unexplained: Vec<String>,
    used: BTreeSet<&'static str>,
}

impl Differences {
    fn compare_names(&mut self, message: &str, ours: &BTreeSet<String>, theirs: &BTreeSet<String>) {
        let known = NAMES.iter().find(|(name, ..)| message.starts_with(name));
        self.used.extend(known.map(|(name, ..)| *name));
        let more: Vec<&String> = ours.difference(theirs).collect();
        let expected = known.map_or(&[][..], |(_, names, _)| names);
        if more != expected || !theirs.is_subset(ours) {
            self.unexplained
                .push(format!("{message}: {ours:?}, theirs {theirs:?}"));
        }
    }

    fn compare_parts(&mut self, message: &str, ours: usize, theirs: usize) {
        let known = PARTS.iter().find(|(name, ..)| message.starts_with(name));
        let expected = known.map_or(0, |(_, more, _)| *more);
        if theirs.checked_add_signed(expected) != Some(ours) {
            self.unexplained
                .push(format!("{message}: {ours} parts, theirs {theirs}"));
        }
    }

    fn check(&self) {
        assert!(
            self.unexplained.is_empty(),
            "{}",
            self.unexplained.join("\n")
        );
        // An explanation that explains nothing is out of date.
        assert_eq!(self.used.len(), NAMES.len());
    }
}

#[test]
fn names_within_and_text_are_found_in_real_messages() {
    let Some(corpus) = sekisho_testkit::corpus() else {
        return;
    };
    let mut inside: BTreeMap<Holder, usize> = BTreeMap::new();
    let (mut with_text, mut cut) = (0, 0);
    for (_, message) in corpus.messages() {
        let report = walk(&message);
        for inner in report.attachments.iter().flat_map(|a| &a.inside) {
            *inside.entry(inner.holder).or_default() += 1;
        }
        let text = report.text.unwrap();
        with_text += usize::from(!text.body.trim().is_empty());
        cut += usize::from(text.is_cut);
    }
    // One message with three uuencoded files; the two winmail.dat hold rich text alone.
    assert_eq!(inside, BTreeMap::from([(Holder::Uuencode, 3)]));
    // Three of them are multiparts whose delimiter never comes.
    assert_eq!((with_text, cut), (6046, 0));
}

/// A message with archives as Python writes them: deflated and stored, to a file and to a pipe (sizes after the data), a
/// zip within a zip, a gzip.
const ARCHIVES: &str = r#"
import gzip, io, sys, zipfile
from email.message import EmailMessage
class Pipe(io.RawIOBase):
    def __init__(self): self.octets = b""
    def writable(self): return True
    def write(self, octets): self.octets += bytes(octets); return len(octets)
def archive(target, names, method, content):
    with zipfile.ZipFile(target, "w", method) as file:
        for name in names: file.writestr(name, content)
    return target
inner = archive(io.BytesIO(), ["inner/evil.exe"], zipfile.ZIP_DEFLATED, b"MZ" * 1000).getvalue()
piped = archive(Pipe(), ["piped.js", "caf\u00e9.scr"], zipfile.ZIP_DEFLATED, b"x" * 1000).octets
stored = archive(io.BytesIO(), ["nested.zip"], zipfile.ZIP_STORED, inner).getvalue()
packed = io.BytesIO()
with gzip.GzipFile("packed.vbs", "wb", fileobj=packed) as file: file.write(b"x" * 100)
message = EmailMessage()
message["Subject"] = "archives"
message.set_content("see")
for name, octets in ("a.zip", piped), ("b.dat", stored), ("c", packed.getvalue()):
    message.add_attachment(octets, maintype="application", subtype="octet-stream", filename=name)
sys.stdout.buffer.write(message.as_bytes())
"#;

#[test]
fn names_in_archives_that_python_writes_are_found() {
    let Some(python) = sekisho_testkit::require("python3") else {
        return;
    };
    let output = Command::new(python)
        .args(["-c", ARCHIVES])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = walk(&output.stdout);
    let found: Vec<(&str, Vec<&str>)> = report
        .attachments
        .iter()
        .map(|a| {
            (
                a.names[0].as_str(),
                a.inside.iter().map(|inner| inner.name.as_str()).collect(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("a.zip", vec!["café.scr", "piped.js"]),
            ("b.dat", vec!["inner/evil.exe", "nested.zip"]),
            ("c", vec!["packed.vbs"]),
        ]
    );
}

/// What the fuzz target checks, over messages with a few octets changed, pieces cut out and pieces doubled.
#[test]
fn altered_messages_keep_the_properties_that_are_fuzzed() {
    let Some(corpus) = sekisho_testkit::corpus() else {
        return;
    };
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    // Those with parts: the others have nothing to go wrong.
    let multipart = |message: &Vec<u8>| memchr::memmem::find(message, b"boundary").is_some();
    let messages = corpus
        .messages()
        .map(|(_, message)| message)
        .filter(|m| multipart(m) && m.len() < 20_000);
    const TOKENS: [&[u8]; 12] = [
        b"\n--",
        b"\n\n",
        b"--",
        b"PK\x03\x04",
        b"=",
        b"\nbegin 644 ",
        b"Content-Transfer-Encoding: base64\n",
        b"Content-Type: message/rfc822\n",
        b"name=a.exe",
        b"<",
        b"&#",
        b"\xFF",
    ];
    for message in messages {
        for _ in 0..4 {
            let mut altered = vec![random(255) as u8];
            altered.extend_from_slice(&message);
            for _ in 0..1 + random(6) {
                let at = 1 + random(altered.len() - 1);
                let end = (at + random(200)).min(altered.len());
                match random(4) {
                    0 => altered[at] = random(256) as u8,
                    1 => drop(altered.drain(at..end)),
                    2 => {
                        let piece = altered[at..end].to_vec();
                        altered.splice(at..at, piece);
                    }
                    _ => drop(altered.splice(at..at, TOKENS[random(TOKENS.len())].iter().copied())),
                }
                if altered.len() < 2 {
                    break;
                }
            }
            mime_body::check(&altered);
        }
    }
}
