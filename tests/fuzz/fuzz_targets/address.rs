//! Addresses: kept as written, bounded, with a canonical form that is stable and holds no octet that could break out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_smtp::{Mailbox, header::parse_address_list};

fuzz_target!(|text: &str| {
    let Ok(mailbox) = Mailbox::parse(text) else { return };
    assert_eq!(mailbox.as_str(), text);
    assert!(mailbox.local().len() <= 64 && mailbox.domain().len() <= 255);
    assert!(!text.chars().any(char::is_control));
    assert_eq!(mailbox.is_ascii(), text.is_ascii());
    assert!(mailbox.ascii_domain().is_ascii());

    // Quoting what was unquoted gives the same mailbox, and so does writing the domain in A-labels.
    let quoted: String = mailbox.unquoted_local().chars().flat_map(|c| match c {
        '"' | '\\' => vec!['\\', c],
        c => vec![c],
    }).collect();
    if quoted.len() + 2 <= 64 {
        let domain = mailbox.ascii_domain();
        let again = Mailbox::parse(&format!("\"{quoted}\"@{domain}")).unwrap();
        assert_eq!(again.canonical(), mailbox.canonical());
    }

    // A header that shows the mailbox shows that one, unless it looks like an encoded word.
    if let Ok(listed) = parse_address_list(format!("<{text}>").as_bytes()) {
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].mailbox, mailbox);
    } else {
        assert!(text.contains("=?") || text.contains('\u{FFFD}'), "{text}");
    }
});
