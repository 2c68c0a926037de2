//! A From made to be shown as somebody else's: the server and client cases of espoofer (Chen, Paxson, Jiang, "Composition
//! Kills", USENIX Security 2020) and what grew out of them. Whatever two readers read differently is nobody's address.

use super::{FromFault, FromHeader, HeaderProgress, HeaderReader, Headers, ListFault};

/// Whose account it is.
const OWN: &str = "taro@x.jp";

fn judged(section: &str) -> FromHeader {
    FromHeader::of(&Headers::new(section.as_bytes()))
}

fn is_own(section: &str) -> bool {
    judged(section)
        .mailbox()
        .is_some_and(|mailbox| mailbox.canonical() == OWN)
}

#[test]
fn a_second_author_is_seen_wherever_it_hides() {
    // Mail programs show the first, the last or all of them; Gmail and Outlook.com refused or showed the last.
    for section in [
        "From: taro@x.jp\r\nFrom: boss@bank.example\r\n",
        "From: boss@bank.example\r\nFrom: taro@x.jp\r\n",
        " From: boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "\tFrom: boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "From: taro@x.jp\r\nFrom : boss@bank.example\r\n",
        "From : boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "From\t: boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "From\x0c: boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "From\x0b: boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "From\r\n : boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "From: taro@x.jp\r\nFrom\r\n\t: boss@bank.example\r\n",
        "Fro\r\n m: boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "fRoM: boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "From\0: boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "\0From: boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "From\u{a0}: boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "\u{feff}From: boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "\u{ff26}rom: boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "From boss@bank.example Sat Nov 21 22:27:20 2026\r\nFrom: taro@x.jp\r\n",
        ">From: boss@bank.example\r\nno colon\r\nFrom: taro@x.jp\r\n",
        ": boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "From: taro@x.jp\r\nno colon here\r\nSubject: x\r\n",
        "From: taro@x.jp\r\nX Y: z\r\nSubject: x\r\n",
        "Subject: x\r\n \r\nFrom: boss@bank.example\r\nFrom: taro@x.jp\r\n",
        "From: taro@x.jp\r\n\t \r\nFrom: boss@bank.example\r\n",
    ] {
        assert!(!is_own(section), "{section:?}");
    }
}

#[test]
fn a_list_that_could_name_somebody_else_is_nobodys() {
    for value in [
        // Several.
        "taro@x.jp, boss@bank.example",
        "<taro@x.jp>, <boss@bank.example>",
        "boss@bank.example,<taro@x.jp>",
        "taro@x.jp; boss@bank.example",
        "taro@x.jp boss@bank.example",
        // Empty items, which some count as the first.
        ",taro@x.jp",
        "taro@x.jp,",
        "<taro@x.jp>, ",
        ", ,<taro@x.jp>",
        // Encoded: what decodes before it parses sees another list (Yahoo and Outlook on the web did).
        "=?utf-8?B?PGFkbWluQGJhbmsuZXhhbXBsZT4=?=,<taro@x.jp>",
        "=?utf-8?B?PGFkbWluQGJhbmsuZXhhbXBsZT4=?= <taro@x.jp>",
        "=?utf-8?Q?boss=40bank.example=2C?= <taro@x.jp>",
        "=?utf-8?Q?boss=40bank.example=00?= <taro@x.jp>",
        "=?utf-8?Q?x=0D=0AFrom:_boss=40bank.example?= <taro@x.jp>",
        "\"=?utf-8?Q?=3Cboss=40bank.example=3E?=\" <taro@x.jp>",
        "=?utf-8?Q?=3Cboss=40bank?= =?utf-8?Q?.example=3E?= <taro@x.jp>",
        "=?utf-8?Q?taro=40x.jp?=",
        "=?utf-8?Q?taro?=@x.jp",
        "taro@=?utf-8?Q?x.jp?=",
        // Source routes.
        "<@bank.example:taro@x.jp>",
        "<@bank.example,@any.example:taro@x.jp>",
        "Boss <@bank.example:taro@x.jp>",
        "<boss@bank.example:taro@x.jp>",
        // A comma that is escaped where nothing can be.
        "<boss@bank.example>\\,<taro@x.jp>",
        // An address beside the one in brackets.
        "<boss@bank.example>taro@x.jp",
        "<taro@x.jp>boss@bank.example",
        "boss@bank.example <taro@x.jp>",
        "boss@bank.example<taro@x.jp>",
        "<taro@x.jp><boss@bank.example>",
        "<<boss@bank.example>taro@x.jp>",
        "<taro@x.jp> (x) boss@bank.example",
        // Comments within the address, and comments that hold one.
        "taro(boss@bank.example)@x.jp",
        "taro@(x)x.jp",
        "taro@x(y).jp",
        "<taro(x)@x.jp>",
        "<(boss@bank.example)taro@x.jp>",
        "<taro@x.jp(boss)>",
        "(<boss@bank.example>) taro@x.jp",
        "taro@x.jp (<boss@bank.example>)",
        "taro@x.jp (boss@bank.example)",
        "taro@x.jp (boss\\@bank.example)",
        "(x (<boss@bank.example>)) <taro@x.jp>",
        // White space within it (obsolete).
        "taro @x.jp",
        "taro@ x.jp",
        "<ta . ro@x.jp>",
        "<taro\r\n @x.jp>",
        // Groups.
        "boss: taro@x.jp;",
        "boss@bank.example: taro@x.jp;",
        "\"boss@bank.example\": <taro@x.jp>;",
        "g:;",
        "g:;, taro@x.jp",
        // Unbalanced.
        "\"boss@bank.example <taro@x.jp>",
        "\"boss\\\" <taro@x.jp>",
        "boss\" <taro@x.jp>",
        "(boss <taro@x.jp>",
        "boss) <taro@x.jp>",
        "(boss\\) <taro@x.jp>",
        "<taro@x.jp",
        "taro@x.jp>",
        "[taro@x.jp]",
        "taro@x.jp [boss]",
        // What no address holds.
        "taro@x.jp\0",
        "taro@x.jp\0@bank.example",
        "taro@x.jp\x7f",
        "taro@x.jp\u{b}",
        "taro\u{85}@x.jp",
        "taro@x.jp\\",
        "taro@x.jp.",
        "taro@x..jp",
        "taro@.x.jp",
        "taro@x.jp@bank.example",
        "boss@bank.example@x.jp",
        "taro%bank.example@x.jp@",
        "mailto:taro@x.jp",
        "taro@x.jp trailing words",
        "taro",
        "",
        " ",
        "<>",
        "(taro@x.jp)",
        "\"taro@x.jp\"",
        // Look-alikes: Cyrillic а and о, a dot and an at sign of other widths, an invisible letter.
        "tar\u{43e}@x.jp",
        "taro@х.jp",
        "taro@x\u{3002}jp@x.jp",
        "taro\u{ff20}x.jp",
        "taro\u{200b}@x.jp",
        "t\u{430}ro@x.jp",
        "\u{202e}taro@x.jp",
        "\u{ff54}aro@x.jp",
    ] {
        assert!(!is_own(&format!("From: {value}\r\n")), "{value:?}");
    }
}

#[test]
fn what_honest_programs_write_is_ones_own() {
    for value in [
        "taro@x.jp",
        "<taro@x.jp>",
        "< taro@x.jp >",
        "taro@X.JP",
        "\"taro\"@x.jp",
        "taro@x.jp (Taro Yamada)",
        "(Taro) taro@x.jp",
        "Taro Yamada <taro@x.jp>",
        "\"Yamada, Taro\" <taro@x.jp>",
        "\"taro@x.jp\" <taro@x.jp>",
        "taro@x.jp <taro@x.jp>",
        "\"Taro (Sales) <x>\" <taro@x.jp>",
        "Taro\r\n\t<taro@x.jp>",
        "\r\n taro@x.jp",
        "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?= <taro@x.jp>",
        "=?utf-8?Q?M=C3=BCller=2C_Taro?= <taro@x.jp>",
        "=?utf-8?Q?taro=40x.jp?= <taro@x.jp>",
        "日本 太郎 <taro@x.jp>",
    ] {
        assert!(is_own(&format!("From: {value}\r\n")), "{value:?}");
    }
    // What stands beside From is not asked: readers show From.
    assert!(is_own(
        "Sender: a@b\r\nResent-From: a@b\r\nFrom: taro@x.jp\r\n"
    ));
    assert_eq!(
        judged("Sender: taro@x.jp\r\nResent-From: taro@x.jp\r\n"),
        FromHeader::Missing
    );
}

#[test]
fn the_fault_says_what_it_is() {
    for (value, fault) in [
        ("<@a.jp:taro@x.jp>", FromFault::Ambiguous),
        (",taro@x.jp", FromFault::Ambiguous),
        ("taro@x.jp\0", FromFault::List(ListFault::Nul)),
        ("g: taro@x.jp;", FromFault::Group),
    ] {
        assert_eq!(
            judged(&format!("From: {value}\r\n")),
            FromHeader::Malformed(fault),
            "{value}"
        );
    }
}

/// A section ends where the decoder's CRLF CRLF is, and nowhere else: what comes after is no header to anybody.
#[test]
fn a_section_has_one_end() {
    for (message, own) in [
        ("From: taro@x.jp\r\n\r\nFrom: boss@bank.example\r\n", true),
        ("\r\nFrom: taro@x.jp\r\n\r\n", false),
        ("X: y\r\n\r\nFrom: taro@x.jp\r\n\r\n", false),
        ("From: taro@x.jp\r\n \r\n\r\n", true),
    ] {
        let mut reader = HeaderReader::default();
        let progress = reader.feed(message.as_bytes());
        assert!(matches!(progress, HeaderProgress::Complete { .. }));
        let from = FromHeader::of(&reader.headers());
        let is_own = from.mailbox().is_some_and(|m| m.canonical() == OWN);
        assert_eq!(is_own, own, "{message:?}");
    }
    let long = format!("From: taro@x.jp\r\nX: {}\r\n", "y".repeat(300_000));
    assert_eq!(
        HeaderReader::default().feed(long.as_bytes()),
        HeaderProgress::TooLong
    );
    // However long a value is, it is read to its end.
    let padded = format!(
        "From: taro@x.jp{}, boss@bank.example\r\n",
        " ".repeat(9_000)
    );
    assert_eq!(judged(&padded), FromHeader::Several);
    let folded = format!(
        "From: taro@x.jp{}, boss@bank.example\r\n",
        "\r\n ".repeat(900)
    );
    assert_eq!(judged(&folded), FromHeader::Several);
}
