//! From what the wire layer read of a message to what policy judges. Public for those who judge messages that were never sent.

use sekisho_policy::event::{EndFacts, FromHeader, HeaderFacts, Scan};
use sekisho_policy::{Address, ContentNeeds, Ruleset};
use sekisho_smtp::header::{self, Headers};
use sekisho_smtp::mime::{self, Report, Walker, WalkerLimits};

/// Octets of a message's text in which patterns are looked for.
const MAX_TEXT: usize = 256 * 1024;

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
    let extensions = report.names().flat_map(mime::extensions);
    let mut extensions: Vec<Box<str>> = extensions.map(Into::into).collect();
    extensions.sort_unstable();
    extensions.dedup();
    let is_cut = report.text.as_ref().is_some_and(|text| text.is_cut);
    // What lies beyond a bound was not seen, so nobody can call it clean.
    let scan = if report.exceeded.is_some() || is_cut {
        Scan::OverLimits
    } else {
        Scan::Complete
    };
    EndFacts {
        extensions,
        matched,
        scan,
        ..EndFacts::default()
    }
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
