//! From what the wire layer read to what policy judges.

use sekisho_policy::event::{FromHeader, HeaderFacts, Scan};
use sekisho_policy::{Address, Ruleset};
use sekisho_smtp::header::{self, Headers};

/// The header section, as far as rules look at it.
pub(super) fn header(rules: &Ruleset, headers: &Headers<'_>) -> HeaderFacts {
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
pub(super) fn unread_header(scan: Scan) -> HeaderFacts {
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
