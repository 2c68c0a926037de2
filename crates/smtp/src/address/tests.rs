//! Addresses of RFC 5321, RFC 6531 and of Japanese carriers; faults; round trips.

use proptest::prelude::*;

use super::*;

#[test]
fn accepts_what_the_rfcs_allow() {
    let cases = [
        // text, unquoted local part, domain for comparison
        ("Smith@bar.com", "Smith", "bar.com"),
        ("a.b+c=d@Example.JP", "a.b+c=d", "example.jp"),
        ("!#$%&'*+-/=?^_`{|}~@x", "!#$%&'*+-/=?^_`{|}~", "x"),
        ("\"a b\"@x.jp", "a b", "x.jp"),
        ("\"a@b\"@x.jp", "a@b", "x.jp"),
        ("\"a\\\"b\\\\\"@x.jp", "a\"b\\", "x.jp"),
        ("\"\"@x.jp", "", "x.jp"),
        ("\"a\\.b\"@x.jp", "a.b", "x.jp"),
        ("a@[192.0.2.1]", "a", "[192.0.2.1]"),
        ("a@[IPv6:2001:DB8:0::1]", "a", "[ipv6:2001:db8::1]"),
        ("用户@例え.jp", "用户", "xn--r8jz45g.jp"),
        ("a@BÜCHER.example", "a", "xn--bcher-kva.example"),
        ("a@my_host.example", "a", "my_host.example"),
        // Issued by Japanese mobile carriers.
        (
            "taro..yamada.@docomo.ne.jp",
            "taro..yamada.",
            "docomo.ne.jp",
        ),
        (".hanako@ezweb.ne.jp", ".hanako", "ezweb.ne.jp"),
    ];
    for (text, local, domain) in cases {
        let mailbox = Mailbox::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(
            (
                mailbox.unquoted_local().as_ref(),
                mailbox.ascii_domain().as_ref()
            ),
            (local, domain)
        );
        assert_eq!(mailbox.to_string(), text, "written as it was");
        assert_eq!(mailbox.canonical(), format!("{local}@{domain}"));
    }
}

#[test]
fn refuses_what_they_do_not() {
    let long_label = format!("a@{}.jp", "x".repeat(64));
    let long_domain = format!("a@{}x", "x.".repeat(128));
    let long_local = format!("{}@x.jp", "x".repeat(65));
    let cases = [
        ("", Error::AddressSyntax),
        ("a", Error::AddressSyntax),
        ("@x.jp", Error::AddressSyntax),
        ("..@x.jp", Error::AddressSyntax),
        ("a b@x.jp", Error::AddressSyntax),
        ("a@b@c", Error::AddressSyntax),
        ("\"a@x.jp", Error::AddressSyntax),
        ("\"a\"b@x.jp", Error::AddressSyntax),
        ("\"a\r\n\"@x.jp", Error::AddressSyntax),
        ("\"a\\é\"@x.jp", Error::AddressSyntax),
        ("a\u{3000}b@x.jp", Error::AddressSyntax),
        ("a\u{85}@x.jp", Error::AddressSyntax),
        ("a(c)@x.jp", Error::AddressSyntax),
        ("a@", Error::DomainSyntax),
        ("a@x..jp", Error::DomainSyntax),
        ("a@x.jp.", Error::DomainSyntax),
        ("a@-x.jp", Error::DomainSyntax),
        ("a@x-.jp", Error::DomainSyntax),
        ("a@[192.0.2]", Error::DomainSyntax),
        ("a@[192.0.2.256]", Error::DomainSyntax),
        ("a@[IPv6:1]", Error::DomainSyntax),
        ("a@[2001:db8::1]", Error::DomainSyntax),
        ("a@[x", Error::DomainSyntax),
        (&long_label, Error::DomainTooLong),
        (&long_domain, Error::DomainTooLong),
        (&long_local, Error::LocalPartTooLong),
    ];
    for (text, error) in cases {
        assert_eq!(Mailbox::parse(text), Err(error), "{text}");
    }
}

#[test]
fn reads_paths() {
    let cases = [
        ("<> x", Ok(("<>", " x"))),
        ("<a@b>", Ok(("<a@b>", ""))),
        (
            "<@one.example,@two.example:a@b> SIZE=1",
            Ok(("<a@b>", " SIZE=1")),
        ),
        ("<\"a>b\"@c>", Ok(("<\"a>b\"@c>", ""))),
        ("a@b", Err(Error::AddressSyntax)),
        ("<a@b", Err(Error::AddressSyntax)),
        ("< a@b>", Err(Error::AddressSyntax)),
        ("<<a@b>>", Err(Error::AddressSyntax)),
        ("<@one.example a@b>", Err(Error::AddressSyntax)),
        ("<@one.example,two.example:a@b>", Err(Error::AddressSyntax)),
        ("<postmaster>", Err(Error::AddressSyntax)),
    ];
    for (text, expected) in cases {
        let read = ReversePath::parse_prefix(text);
        assert_eq!(
            read.map(|(path, rest)| (path.to_string(), rest)),
            expected.map(|(p, r)| (p.to_owned(), r)),
            "{text}"
        );
    }
    let path = ForwardPath::parse_prefix("<POSTmaster> NOTIFY=NEVER").unwrap();
    assert_eq!(path, (ForwardPath::Postmaster, " NOTIFY=NEVER"));
    let path = ForwardPath::parse_prefix("<postmaster@x>").unwrap();
    assert_eq!(path.0.to_string(), "<postmaster@x>");
}

#[test]
fn holds_paths_to_256_octets() {
    let domain = format!("{}{}", "x23456789.".repeat(19), "x2345");
    let path = format!("<{}@{domain}>", "l".repeat(58));
    assert_eq!(path.len(), 256);
    assert!(ReversePath::parse_prefix(&path).is_ok());
    let path = format!("<{}@{domain}>", "l".repeat(59));
    assert_eq!(ReversePath::parse_prefix(&path), Err(Error::PathTooLong));
}

proptest! {
    /// What parses is written as it was, parses again to the same, and has a canonical form that is stable.
    #[test]
    fn keeps_what_it_accepts(text in "([a-zé.\"\\\\ ]{1,8}|\"[a-z @.]{0,6}\")@([a-zA-Zü_.-]{1,12}|\\[[0-9.]{7,9}\\])") {
        if let Ok(mailbox) = Mailbox::parse(&text) {
            prop_assert_eq!(mailbox.as_str(), &text);
            prop_assert_eq!(format!("{}@{}", mailbox.local(), mailbox.domain()), text.clone());
            prop_assert!(mailbox.ascii_domain().is_ascii());
            let upper = Mailbox::parse(&format!("{}@{}", mailbox.local(), mailbox.domain().to_uppercase()));
            if let Ok(upper) = upper {
                prop_assert_eq!(upper.canonical(), mailbox.canonical());
            }
            let path = format!("{} tail", ReversePath::Mailbox(mailbox.clone()));
            prop_assert_eq!(ReversePath::parse_prefix(&path), Ok((ReversePath::Mailbox(mailbox), " tail")));
        }
    }
}
