//! Attachments made to pass by their names: what mail filters are known to miss and some mail program opens as a program.
//! What counts is what `blockedExtensions` looks at: the extensions of all names that a report has.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::walk_with;
use crate::mime::{LimitExceeded, WalkerLimits, extensions};

/// Whether a filter of `exe` stops the message, however it is cut; over a limit counts as stopped, since it is not clean.
fn is_stopped(message: &str) -> bool {
    let message = message.replace("\r\n", "\n").replace('\n', "\r\n");
    let stopped = [1, 5, 64, usize::MAX].map(|size| {
        let report = walk_with(WalkerLimits::default(), message.as_bytes(), size);
        report.exceeded.is_some()
            || report
                .names()
                .flat_map(extensions)
                .any(|extension| extension == "exe")
    });
    assert!(stopped.iter().all(|s| *s == stopped[0]), "{message:?}");
    stopped[0]
}

fn part(header: &str) -> String {
    format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n{header}\n\nbody\n--b--\n")
}

#[test]
fn a_name_is_seen_through_its_spelling() {
    let evades = |header: &&&str| !is_stopped(&part(header));
    let evading: Vec<_> = [
        // Continuations (RFC 2231): gaps, doubles, disorder, leading zeros, a charset in the middle, both forms at once.
        "Content-Disposition: attachment; filename*0=a; filename*2=.exe",
        "Content-Disposition: attachment; filename*1=a; filename*2=.exe",
        "Content-Disposition: attachment; filename*00=a.; filename*01=exe",
        "Content-Disposition: attachment; filename*1=.exe; filename*0=a",
        "Content-Disposition: attachment; filename*0=a; filename*0=.exe",
        "Content-Disposition: attachment; filename*0=a.txt; filename*0=a; filename*1=.exe",
        "Content-Disposition: attachment; filename*0*=utf-8''a%2E; filename*1*=e%78e",
        "Content-Disposition: attachment; filename*0*=utf-8''a; filename*1=.exe",
        "Content-Disposition: attachment; filename*0=a; filename*1*=%2eexe",
        "Content-Disposition: attachment; filename=a.txt; filename*=utf-8''a.exe",
        "Content-Disposition: attachment; filename*=utf-8''a.txt; filename=a.exe",
        "Content-Disposition: attachment; filename=a.txt; filename*0=a.e; filename*1=xe",
        "Content-Disposition: attachment; filename*=a.exe",
        "Content-Disposition: attachment; filename*='a.exe",
        "Content-Disposition: attachment; filename*=bogus''a%2eexe",
        "Content-Disposition: attachment; filename*=\"utf-8''a%2eexe\"",
        "Content-Disposition: attachment; filename*0=\"a.\";\n filename*1=\"exe\"",
        "Content-Disposition: attachment; FILENAME*0=a.; FileName*1=exe",
        // Charsets that hide letters.
        "Content-Disposition: attachment; filename*=utf-7''a.exe",
        "Content-Disposition: attachment; filename*=utf-16le''a%00.%00e%00x%00e%00",
        "Content-Disposition: attachment; filename*=utf-16be''%00a%00.%00e%00x%00e",
        "Content-Disposition: attachment; filename*=iso-2022-jp''%1b%28Ba.exe",
        "Content-Type: a/b; name=\"=?utf-16le?B?YQAuAGUAeABlAA==?=\"",
        "Content-Type: a/b; name=\"=?utf-16be?Q?=00a=00.=00e=00x=00e?=\"",
        // Encoded words where none may be, cut up, and with other things around them.
        "Content-Type: a/b; name=\"=?utf-8?B?YS5leGU=?=\"",
        "Content-Type: a/b; name=\"=?utf-8?B?YS5leGU?=\"",
        "Content-Type: a/b; name=\"=?utf-8?Q?a?= =?utf-8?Q?.exe?=\"",
        "Content-Type: a/b; name=\"=?utf-8?Q?a?=\n =?utf-8?Q?.exe?=\"",
        "Content-Type: a/b; name=\"=?utf-8?Q?a?=.exe\"",
        "Content-Type: a/b; name=\"a=?utf-8?Q?.exe?=\"",
        "Content-Type: a/b; name=\"=?utf-8?q?a=2e=65=78=65?=\"",
        "Content-Type: a/b; name=\"=?UTF-8?b?YS5l?= =?UTF-8?b?eGU=?=\"",
        "Content-Disposition: attachment; filename==?utf-8?B?YS5leGU=?=",
        "Content-Disposition: attachment; filename*0==?utf-8?Q?a.e; filename*1=xe?=",
        // Quotes that are not closed, in the wrong place, or of the wrong sort.
        "Content-Type: a/b; name\"==?utf-x?Q?x=2Eexe?=\"",
        "Content-Disposition: attachment; \"filename\"=a.exe",
        "Content-Disposition: attachment; file name=a.exe",
        // What only some readers take for a piece is none to the others.
        "Content-Disposition: attachment; filename*0=a.; file name*1=txt; filename*1=exe",
        "Content-Disposition: attachment; filename*0=a.; file name*1=exe; filename*1=txt",
        "Content-Disposition: attachment; filename=\"a.exe",
        "Content-Disposition: attachment; filename=a.exe\"",
        "Content-Disposition: attachment; filename=\"a.e\"xe; filename=a.exe",
        "Content-Disposition: attachment; filename='a.exe'",
        "Content-Disposition: attachment; filename=\"a.exe;\"",
        "Content-Disposition: attachment; filename=\"a\\.exe\"",
        "Content-Disposition: attachment; filename=\"a.e\\xe\"",
        "Content-Disposition: attachment; filename=\\\"a.exe\\\"",
        "Content-Disposition: attachment; x=\"; filename=a.exe",
        "Content-Disposition: attachment; x=\"\\\"; filename=a.exe",
        "Content-Disposition: attachment; x=y\"; filename=a.exe",
        "Content-Disposition: attachment; filename=\"\"; filename=a.exe",
        // Separators: none, many, of white space, folded anywhere.
        "Content-Disposition: attachment;filename=a.exe",
        "Content-Disposition: ;filename=a.exe",
        "Content-Disposition: filename=a.exe;filename=a.exe",
        "Content-Disposition: attachment;;;; filename=a.exe",
        "Content-Disposition: attachment; filename =a.exe",
        "Content-Disposition: attachment; filename= a.exe",
        "Content-Disposition: attachment; filename\t=\t\"a.exe\"",
        "Content-Disposition: attachment; filename=\n a.exe",
        "Content-Disposition: attachment; filename\n =a.exe",
        "Content-Disposition:\n\tattachment;\n\tfilename=\n\t\"a.exe\"",
        "Content-Disposition: attachment; filename=\"a.\n exe\"",
        "Content-Disposition: attachment (filename=a.txt); filename=a.exe",
        // Comments, which some readers know.
        "Content-Disposition: attachment; (x) filename=a.exe",
        "Content-Disposition: attachment; filename (x) =a.exe",
        "Content-Disposition: attachment; filename=(x)a.exe",
        "Content-Disposition: attachment; filename=(x)\"a.exe\"",
        "Content-Disposition: attachment; filename=a.exe(x)",
        "Content-Disposition: attachment; filename=a.exe (x.txt)",
        "Content-Disposition: attachment; filename=a.exe(; x=y)",
        "Content-Disposition: attachment; filename=(;)a.exe",
        "Content-Disposition: attachment; filename=a.exe((x)\\); y",
        "Content-Disposition: attachment; filename=a.exe(\"); filename=a.txt",
        "Content-Disposition: attachment; filename=a b.exe( filename=\" cexe\"",
        "Content-Disposition: attachment; filename*0=a.(x); filename*1=exe",
        // Two fields or two parameters that disagree, in either order.
        "Content-Type: a/b; name=a.exe\nContent-Disposition: attachment; filename=a.txt",
        "Content-Type: a/b; name=a.txt\nContent-Disposition: attachment; filename=a.exe",
        "Content-Type: a/b; name=a.txt; name=a.exe",
        "Content-Disposition: attachment; filename=a.exe\nContent-Disposition: attachment; filename=a.txt",
        "Content-Disposition: attachment; filename=a.txt\nContent-Disposition: attachment; filename=a.exe",
        "Content-Type: a/b; filename=a.exe",
        "Content-Disposition: attachment; name=a.exe",
        "Content-Disposition: inline; filename=a.exe",
        "Content-Type: text/plain; name=a.exe",
        "CONTENT-DISPOSITION : attachment; filename=a.exe",
        "Content-Disposition\t: attachment; filename=a.exe",
        // Names that end otherwise than they are opened.
        "Content-Disposition: attachment; filename=\"a.exe.\"",
        "Content-Disposition: attachment; filename=\"a.exe . . \"",
        "Content-Disposition: attachment; filename=\"a.exe\u{a0}\"",
        "Content-Disposition: attachment; filename=\"a.exe/\"",
        "Content-Disposition: attachment; filename=\"a.exe\\\\\\\\\"",
        "Content-Disposition: attachment; filename=\"a.pdf.exe\"",
        "Content-Disposition: attachment; filename=\"a.exe.pdf\"",
        "Content-Disposition: attachment; filename=\"a.pdf                                     .exe\"",
        "Content-Disposition: attachment; filename=\"a.exe:b.txt\"",
        "Content-Disposition: attachment; filename=\"a.exe::$DATA\"",
        "Content-Disposition: attachment; filename=\"\u{202e}fdp.exe\"",
        "Content-Disposition: attachment; filename=\"a.\u{200b}exe\"",
        "Content-Disposition: attachment; filename=\"a.e\0xe\"",
        "Content-Disposition: attachment; filename=\"a.exe\0.txt\"",
        "Content-Disposition: attachment; filename*=utf-8''a.exe%00.txt",
        "Content-Disposition: attachment; filename*=utf-8''a.%E2%80%8Bexe",
        "Content-Disposition: attachment; filename=\"../../a.exe\"",
        "Content-Disposition: attachment; filename=\"a.EXE\"",
    ]
    .iter()
    .filter(evades)
    .collect();
    assert!(evading.is_empty(), "{evading:#?}");
}

#[test]
fn a_part_is_found_wherever_it_is() {
    const EXE: &str = "Content-Disposition: attachment; filename=a.exe";
    let zip =
        STANDARD.encode(b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0a.exe");
    let inner = format!("Content-Type: multipart/mixed; boundary=i\n\n--i\n{EXE}\n\nMZ\n");
    let evading: Vec<_> = [
        // Boundaries: not closed, closed early, one the beginning of another, quoted, folded, in upper case of its name, stated twice.
        format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n{EXE}"),
        format!("Content-Type: multipart/mixed; boundary=b\n\n--b--\n--b\n{EXE}\n\nMZ\n"),
        format!("Content-Type: multipart/mixed; boundary=b\n\n--b--\n\n\n--b\n{EXE}\n\nMZ\n--b--\n"),
        format!("Content-Type: multipart/mixed; boundary=\"b\"; boundary=c\n\n--c\n{EXE}\n\nMZ\n"),
        format!("Content-Type: multipart/mixed; BOUNDARY=b\n\n--b\n{EXE}\n\nMZ\n"),
        format!("Content-Type: multipart/mixed;\n boundary=\n \"b\"\n\n--b\n{EXE}\n\nMZ\n"),
        format!("Content-Type: multipart/mixed; boundary*=utf-8''%62\n\n--b\n{EXE}\n\nMZ\n"),
        format!("Content-Type: multipart/mixed; boundary=\"=?utf-8?Q?b?=\"\n\n--b\n{EXE}\n\nMZ\n"),
        format!("Content-Type: multipart/mixed; boundary=bb\nContent-Type: multipart/mixed; boundary=b\n\n--b\n{EXE}\n\nMZ\n"),
        format!("Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=b\n\n--b\n{EXE}\n\nMZ\n"),
        format!("Content-Type: multipart/anything-at-all; boundary=b\n\n--b\n{EXE}\n\nMZ\n"),
        format!("Content-Type: Multipart/Mixed (x); boundary=b\n\n--b\n{EXE}\n\nMZ\n"),
        format!("Content-Type:multipart/mixed;boundary=b\n\n--b\n{EXE}\n\nMZ\n"),
        format!("Content-Type: multipart/mixed; boundary=b\n\n--b  \t\n{EXE}\n\nMZ\n"),
        // The multipart says that it is encoded, which it cannot be.
        format!("Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n--b\n{EXE}\n\nMZ\n"),
        // Messages within messages, as such and encoded, in a digest, and under other types of message.
        format!("Content-Type: message/rfc822\n\n{inner}"),
        format!("Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\n{inner}"),
        format!("Content-Type: message/global\n\n{inner}"),
        format!("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{}", STANDARD.encode(&inner)),
        format!("Content-Type: multipart/digest; boundary=b\n\n--b\n\n{inner}"),
        format!("MIME-Version: 0.0\n{EXE}\n\nMZ\n"),
        format!("{EXE}\n\nMZ\n"),
        // A preamble that is none, and an epilogue that is one.
        format!("Content-Type: multipart/mixed; boundary=b\n\nx\n--b\n\n--b\n{EXE}\n\nMZ\n"),
        // Without MIME: uuencoded in a text.
        "Subject: x\n\nhello\nbegin 644 a.exe\n#86)C\n`\nend\n".to_owned(),
        "Subject: x\n\nbegin-base64 644 a.exe\nTVo=\n====\nbegin 644 a.exe\n".to_owned(),
        // Archives: base64 with rubbish in it, without padding, in one long line, in quoted-printable, twice encoded by name.
        format!("Content-Type: a/b; name=x.zip\nContent-Transfer-Encoding: base64\n\n!!{}!!\n", zip.replace('A', "A!\n")),
        format!("Content-Type: a/b; name=x.zip\nContent-Transfer-Encoding: base64\n\n{}", zip.trim_end_matches('=')),
        format!("Content-Type: a/b; name=x.zip\nContent-Transfer-Encoding:\n BASE64\n\n{zip}"),
        format!("Content-Type: a/b; name=x.zip\nContent-Transfer-Encoding: \"base64\"\n\n{zip}"),
        format!("Content-Type: a/b; name=x.zip\nContent-Transfer-Encoding: base64 (x)\n\n{zip}"),
        format!("Content-Type: a/b; name=x.zip\nContent-Transfer-Encoding: base64;\n\n{zip}"),
        "Content-Type: a/b; name=x.zip\nContent-Transfer-Encoding: quoted-printable\n\nPK=03=04=14=00=00=00=00=00=00=00=00=00=00=00=00=00=00=00=00=\n=00=00=00=00=00=05=00=00=00a.e=\nxe\n".to_owned(),
    ]
    .into_iter()
    .filter(|message| !is_stopped(message))
    .collect();
    assert!(evading.is_empty(), "{evading:#?}");
}

#[test]
fn an_honest_name_passes() {
    for header in [
        "Content-Disposition: attachment; filename=report.pdf",
        "Content-Disposition: attachment; filename=\"about .exe files.pdf\"",
        "Content-Disposition: attachment; filename=\"executive.txt\"",
        "Content-Disposition: attachment; filename=\"a.exercise.txt\"",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Disposition: attachment; filename*=utf-8''%E6%97%A5%E6%9C%AC.pdf",
    ] {
        assert!(!is_stopped(&part(header)), "{header:?}");
    }
}

/// Each piece alone shows nothing of the file that readers make of them.
#[test]
fn a_piece_of_a_message_is_not_called_clean() {
    for (message, exceeded, found) in [
        (
            "Content-Type: message/partial; id=x; number=2; total=3\n\nTVqQAAMA\n",
            Some(LimitExceeded::Fragment),
            0,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: MESSAGE/Partial; id=x\n\n\
             MIME-Version: 1.0\n\n--b\nContent-Disposition: attachment; filename=a.exe\n\nx\n--b--\n",
            Some(LimitExceeded::Fragment),
            1,
        ),
        (
            "Content-Type: text/plain\nContent-Type: message/partial; id=x\n\nx\n",
            Some(LimitExceeded::Fragment),
            0,
        ),
        ("Content-Type: message/partially\n\nx\n", None, 0),
    ] {
        let crlf = message.replace('\n', "\r\n");
        let report = walk_with(WalkerLimits::default(), crlf.as_bytes(), 7);
        assert_eq!(report.exceeded, exceeded, "{message}");
        assert_eq!(report.attachments.len(), found, "{message}");
    }
}
