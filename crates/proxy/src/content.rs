//! From what the wire layer read of a message to what policy judges. Public for those who judge messages that were never sent.

use std::collections::BTreeSet;

use sekisho_policy::event::{EndFacts, FromHeader, HeaderFacts, Scan, TextScan};
use sekisho_policy::{Address, ContentNeeds, Ruleset};
use sekisho_smtp::header::{self, Headers};
use sekisho_smtp::mime::{self, Report, Walker, WalkerLimits};

/// Octets of a message's text in which patterns are looked for.
pub(crate) const MAX_TEXT: usize = 256 * 1024;
/// Octets of text times patterns beyond which looking for them takes milliseconds, and other sessions would wait for it.
const MAX_INLINE: u64 = 1 << 20;
/// Extensions of attachments that are kept though nothing refuses them, and how long they may be.
const MAX_PLAIN: usize = 16;

/// What a message is walked by, if anything in it is looked at.
pub fn walker(needs: ContentNeeds) -> Option<Walker> {
    let walker = || Walker::new(WalkerLimits::default());
    match (needs.text, needs.attachments) {
        (true, _) => Some(walker().with_text(MAX_TEXT)),
        (false, true) => Some(walker()),
        (false, false) => None,
    }
}

/// The header section, as far as rules look at it.
pub fn header_facts(rules: &Ruleset, headers: &Headers<'_>) -> HeaderFacts {
    let mut matched = Vec::new();
    for field in headers.iter() {
        rules.scan_header(field.name, &field.decoded(), &mut matched);
    }
    HeaderFacts {
        from: author(&header::FromHeader::of(headers)),
        visible_recipients: u32::try_from(headers.visible_recipients()).unwrap_or(u32::MAX),
        matched,
        scan: Scan::Complete,
    }
}

/// A header section that nothing looks at, or that was too long to be looked at: then nobody can say who the
/// author is.
pub fn unread_header(scan: Scan) -> HeaderFacts {
    let from = match scan {
        Scan::Complete => FromHeader::Missing,
        Scan::OverLimits => FromHeader::Malformed,
    };
    HeaderFacts {
        from,
        visible_recipients: 0,
        matched: Vec::new(),
        scan,
    }
}

/// Whether [`end_facts`] of a message of so many octets is too much work to be done between others'.
pub(crate) fn is_long_work(rules: &Ruleset, octets: u64) -> bool {
    octets.min(MAX_TEXT as u64) * rules.text_patterns() as u64 > MAX_INLINE
}

/// What a walk shows, as far as rules look at it; `matched` are the patterns that the header matched. Octets, line ends and
/// opinions are known elsewhere.
pub fn end_facts(rules: &Ruleset, walked: Option<&Report>, mut matched: Vec<Box<str>>) -> EndFacts {
    let Some(report) = walked else {
        return EndFacts {
            matched,
            ..EndFacts::default()
        };
    };
    if let Some(text) = &report.text {
        rules.scan_text(&text.body, &mut matched);
    }
    // What lies beyond a bound was not seen, so nobody can call it clean.
    let scan = match report.exceeded {
        Some(_) => Scan::OverLimits,
        None => Scan::Complete,
    };
    let text = match &report.text {
        Some(text) if text.is_cut => TextScan::Cut,
        _ => TextScan::Complete,
    };
    EndFacts {
        extensions: extensions(rules, report),
        matched,
        scan,
        text,
        ..EndFacts::default()
    }
}

/// The extensions that rules refuse, and a few others by which an operator knows what was sent. Nothing else of a name: it
/// is content, and what is here is written down.
fn extensions(rules: &Ruleset, report: &Report) -> Vec<Box<str>> {
    let refused = report
        .names()
        .flat_map(mime::extensions)
        .filter(|extension| rules.refuses_extension(extension));
    let refused: BTreeSet<Box<str>> = refused.map(Into::into).collect();
    let stated = report.attachments.iter().flat_map(|part| &part.names);
    let plain = stated
        .filter_map(|name| mime::extensions(name).into_iter().next())
        .filter(|extension| is_plain(extension));
    let mut plain: Vec<Box<str>> = plain.map(Into::into).collect();
    plain.sort_unstable();
    plain.dedup();
    plain.truncate(MAX_PLAIN);
    let all: BTreeSet<Box<str>> = refused.into_iter().chain(plain).collect();
    all.into_iter().collect()
}

fn is_plain(extension: &str) -> bool {
    extension.len() <= MAX_PLAIN && extension.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn author(from: &header::FromHeader) -> FromHeader {
    match from {
        header::FromHeader::One(mailbox) => FromHeader::One(Address::new(
            &mailbox.unquoted_local(),
            &mailbox.ascii_domain(),
        )),
        header::FromHeader::Missing => FromHeader::Missing,
        header::FromHeader::Several => FromHeader::Several,
        header::FromHeader::Malformed(_) => FromHeader::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use sekisho_policy::Envelope;
    use serde_json::{Value, json};

    use super::*;

    fn rules(patterns: Value) -> Ruleset {
        let object = |kind: &str| json!({ "kind": kind, "namespace": "default", "name": "test" });
        let snapshot = json!({
            "schema": 1,
            "gateway": {
                "object": object("MailGateway"),
                "listeners": [],
                "authentication": { "requirement": "Optional", "backends": ["upstream"], "mechanisms": ["PLAIN"] },
                "upstream": {
                    "endpoints": [{ "host": "127.0.0.1", "port": 25 }],
                    "tls": "Off", "clientIdentity": "None", "recipientCheck": "AtRcpt",
                },
                "afterData": 45_000,
                "onUnavailable": { "config": "Keep", "message": "Defer" },
                "privacy": { "recipients": "Plain", "clientAddressInReceived": "Include" },
            },
            "rules": [{
                "object": object("SubmissionPolicy"), "enforcement": "Enforce", "brake": "Default",
                "rule": "SubmissionPolicy",
                "spec": {
                    "bareNewlines": "Normalize", "envelopeSender": "Any", "headerSender": "Any", "recipientDomains": "Any",
                    "blockedExtensions": ["exe", "a long extension"],
                    "classify": { "rules": patterns, "suspectAt": 5000, "spamAt": 10000 },
                },
            }],
            "pools": {},
        });
        let snapshot = serde_json::from_value(snapshot).unwrap();
        Ruleset::load(&Envelope::seal(1, snapshot)).unwrap()
    }

    fn seen(rules: &Ruleset, message: &str) -> EndFacts {
        let needs = ContentNeeds {
            text: true,
            attachments: true,
            ..ContentNeeds::default()
        };
        let mut walker = walker(needs).unwrap();
        walker.feed(message.as_bytes());
        end_facts(rules, Some(&walker.finish()), Vec::new())
    }

    #[test]
    fn of_names_only_extensions_are_kept() {
        let names = [
            "Offer to Tanaka.Our price.is 500.pdf",
            "invoice.exe.pdf",
            "minutes. Please read this",
            "x.a long extension",
            "x.seventeenoctetsxx",
            "no extension",
        ];
        let part = |name: &str| format!("--b\r\nContent-Type: a/b; name=\"{name}\"\r\n\r\n\r\n");
        let head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
        let parts: String = names.iter().map(|name| part(name)).collect();
        let facts = seen(&rules(json!([])), &format!("{head}{parts}"));
        let kept: Vec<&str> = facts.extensions.iter().map(|name| &**name).collect();
        assert_eq!(kept, ["a long extension", "exe", "pdf"]);
        // Those that are refused are there however many others are.
        let many: String = (0..100).map(|n| part(&format!("x.a{n:02}"))).collect();
        let facts = seen(&rules(json!([])), &format!("{head}{many}{}", part("x.exe")));
        assert_eq!(facts.extensions.len(), MAX_PLAIN + 1);
        assert!(facts.extensions.iter().any(|name| &**name == "exe"));
    }

    #[test]
    fn a_long_text_is_cut_and_that_is_not_a_scan_that_failed() {
        let pattern = json!({ "name": "pills", "matches": "pills", "score": 1000 });
        let rules = rules(json!([pattern]));
        let text = |octets: usize| format!("X: y\r\n\r\npills {}", "x".repeat(octets));
        for (octets, text_scan) in [(1000, TextScan::Complete), (MAX_TEXT, TextScan::Cut)] {
            let facts = seen(&rules, &text(octets));
            assert_eq!((facts.scan, facts.text), (Scan::Complete, text_scan));
            assert_eq!(facts.matched, ["pills".into()] as [Box<str>; 1]);
        }
    }

    #[test]
    fn many_patterns_over_much_text_are_long_work() {
        let pattern = |n: usize| json!({ "name": format!("p{n}"), "matches": "x", "score": 1 });
        let rules = |count| rules((0..count).map(pattern).collect());
        assert!(!is_long_work(&rules(0), u64::MAX));
        assert!(!is_long_work(&rules(4), u64::MAX), "1 MiB is not much");
        assert!(is_long_work(&rules(5), u64::MAX));
        assert!(is_long_work(&rules(256), 5000));
        assert!(!is_long_work(&rules(256), 4096));
    }
}
