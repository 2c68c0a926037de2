//! Archives by hand: honest ones, damaged ones, and those that lie.

use super::*;

const NAMES: usize = 100;
const OCTETS: usize = 10_000;

/// The names found, the same however the octets are cut.
fn scan(holder: Holder, octets: &[u8]) -> (Vec<String>, Option<LimitExceeded>) {
    let scan = |size: usize| {
        let mut scanner = Scanner::new(holder, NAMES, OCTETS);
        octets.chunks(size).for_each(|chunk| scanner.feed(chunk));
        let (names, exceeded) = scanner.finish();
        let names: Vec<String> = names.into_iter().map(|inner| inner.name).collect();
        (names, exceeded)
    };
    let whole = scan(usize::MAX);
    for size in [1, 2, 3, 7, 31, 100] {
        assert_eq!(scan(size), whole, "in chunks of {size}");
    }
    whole
}

fn names(holder: Holder, octets: &[u8]) -> Vec<String> {
    let (names, exceeded) = scan(holder, octets);
    assert_eq!(exceeded, None);
    names
}

struct Entry<'a> {
    name: &'a [u8],
    flags: u16,
    method: u16,
    extra: &'a [u8],
    data: &'a [u8],
}

impl<'a> Entry<'a> {
    fn new(name: &'a str) -> Self {
        Self {
            name: name.as_bytes(),
            flags: 0,
            method: 8,
            extra: &[],
            data: b"",
        }
    }

    fn lengths(&self) -> [u8; 4] {
        let [a, b] = (self.name.len() as u16).to_le_bytes();
        let [c, d] = (self.extra.len() as u16).to_le_bytes();
        [a, b, c, d]
    }

    fn local(&self) -> Vec<u8> {
        let fields: [&[u8]; 9] = [
            b"PK\x03\x04\x14\0",
            &self.flags.to_le_bytes(),
            &self.method.to_le_bytes(),
            &[0; 8],
            &[0xFF; 8],
            &self.lengths(),
            self.name,
            self.extra,
            self.data,
        ];
        fields.concat()
    }

    fn central(&self) -> Vec<u8> {
        let fields: [&[u8]; 9] = [
            b"PK\x01\x02\x14\0\x14\0",
            &self.flags.to_le_bytes(),
            &self.method.to_le_bytes(),
            &[0; 8],
            &[0xFF; 8],
            &self.lengths(),
            &[0; 14],
            self.name,
            self.extra,
        ];
        fields.concat()
    }
}

#[test]
fn a_zip_lists_its_entries_whichever_header_a_reader_goes_by() {
    let local = Entry::new("docs/a.txt").local();
    let central = Entry::new("evil.exe").central();
    assert_eq!(
        names(Holder::Zip, &[local, central].concat()),
        ["docs/a.txt", "evil.exe"]
    );
    // Sizes that follow the data, encryption and zip64 change nothing.
    let later = Entry {
        flags: 1 | 1 << 3,
        method: 99,
        extra: b"\x01\0\x10\0................",
        data: b"PK\x07\x08............",
        ..Entry::new("b.scr")
    };
    assert_eq!(names(Holder::Zip, &later.local()), ["b.scr"]);
    // Behind a program, and without its end.
    let stub = [
        b"MZ PK P\0PK\x05\x06".as_slice(),
        &Entry::new("c.js").local(),
        b"PK\x03",
    ]
    .concat();
    assert_eq!(names(Holder::Zip, &stub), ["c.js"]);
}

#[test]
fn a_stored_zip_within_a_zip_is_seen_even_in_what_claims_to_be_a_header() {
    let inner = Entry::new("inner.exe").local();
    let outer = Entry {
        method: 0,
        data: &inner,
        ..Entry::new("outer.zip")
    };
    assert_eq!(
        names(Holder::Zip, &outer.local()),
        ["inner.exe", "outer.zip"]
    );
    let hiding = Entry {
        extra: &inner,
        ..Entry::new("outer.zip")
    };
    assert_eq!(
        names(Holder::Zip, &hiding.local()),
        ["inner.exe", "outer.zip"]
    );
}

#[test]
fn names_in_a_zip_become_text() {
    let cases: [(u16, &[u8], &str); 5] = [
        (UTF8_FLAG, "日本.exe".as_bytes(), "日本.exe"),
        (0, "日本.exe".as_bytes(), "日本.exe"),
        (0, b"\x81\xE1.exe", "üß.exe"),
        (UTF8_FLAG, b"\x81.exe", "\u{FFFD}.exe"),
        // Shift_JIS, of which a reader in Japan makes 表.exe. The extension is the same.
        (0, b"\x95\x5C.exe", "ò\\.exe"),
    ];
    for (flags, name, expected) in cases {
        let entry = Entry {
            name,
            flags,
            ..Entry::new("")
        };
        assert_eq!(names(Holder::Zip, &entry.local()), [expected]);
        assert_eq!(names(Holder::Zip, &entry.central()), [expected]);
    }
    let other = [b"up\x0D\0\x01....".as_slice(), b"evil.exe"].concat();
    let second = Entry {
        extra: &other,
        ..Entry::new("a.txt")
    };
    assert_eq!(names(Holder::Zip, &second.central()), ["a.txt", "evil.exe"]);
}

const UTF8_FLAG: u16 = 1 << 11;

#[test]
fn what_begins_like_an_entry_by_chance_is_none() {
    let strange = Entry {
        method: 0x5A5A,
        name: b"\x01\x02\x03",
        ..Entry::new("")
    };
    let empty = Entry::new("");
    let long = [b'x'; 5000];
    let long = Entry {
        method: 0x5A5A,
        name: &long,
        ..Entry::new("")
    };
    for entry in [strange, empty, long] {
        assert_eq!(names(Holder::Zip, &entry.local()), [""; 0]);
    }
}

#[test]
fn a_zip_that_lists_too_much_exceeds_a_limit() {
    let many: Vec<u8> = (0..=NAMES)
        .flat_map(|n| Entry::new(&n.to_string()).local())
        .collect();
    let (names, exceeded) = scan(Holder::Zip, &many);
    assert_eq!(
        (names.len(), exceeded),
        (NAMES, Some(LimitExceeded::InnerNames))
    );
    let wide: Vec<u8> = (0..3)
        .flat_map(|n| Entry::new(&format!("{n}{}", "x".repeat(4000))).local())
        .collect();
    assert_eq!(scan(Holder::Zip, &wide).1, Some(LimitExceeded::InnerNames));
    let long = "x".repeat(MAX_NAME + 1);
    assert_eq!(
        scan(Holder::Zip, &Entry::new(&long).local()).1,
        Some(LimitExceeded::InnerNames)
    );
    // The same name again and again is one.
    let same = Entry::new("same").local().repeat(NAMES * 2);
    assert_eq!(scan(Holder::Zip, &same), (vec!["same".to_owned()], None));
}

/// Each entry claims to hold the next ones, so that reading them all would cost the square of the length.
fn overlapping(entries: usize) -> Vec<u8> {
    let mut entry = Entry::new("n").local();
    entry[28..30].copy_from_slice(&u16::MAX.to_le_bytes());
    let mut all = entry.repeat(entries);
    all.resize(all.len() + 70_000, 0);
    all
}

#[test]
fn entries_within_entries_cost_no_square() {
    let steps = |entries: usize| {
        let octets = overlapping(entries);
        steps::count(|| {
            let mut scanner = Scanner::new(Holder::Zip, NAMES, OCTETS);
            octets
                .chunks(16 * 1024)
                .for_each(|chunk| scanner.feed(chunk));
            let (_, exceeded) = scanner.finish();
            assert_eq!(exceeded, Some(LimitExceeded::InnerNames));
        })
    };
    let (one, two) = (steps(20_000), steps(40_000));
    assert!(two <= one + 700_000, "{one} and {two}");
    // Starts alone, which never come to an end.
    let starts = |count: usize| {
        let octets = b"PK\x03\x04PK\x01\x02PK".repeat(count);
        steps::count(|| {
            let mut scanner = Scanner::new(Holder::Zip, NAMES, OCTETS);
            octets
                .chunks(16 * 1024)
                .for_each(|chunk| scanner.feed(chunk));
            scanner.finish();
        })
    };
    let (one, two) = (starts(50_000), starts(100_000));
    assert!(two <= 2 * one + 200_000, "{one} and {two}");
}

#[test]
fn a_gzip_header_names_the_file() {
    let head = |flags: u8| [0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 3];
    let named = [head(8).as_slice(), b"evil.exe\0\x03\0"].concat();
    assert_eq!(names(Holder::Gzip, &named), ["evil.exe"]);
    let extra = [
        head(4 | 8 | 16).as_slice(),
        b"\x03\0abcevil.exe\0a comment\0",
    ]
    .concat();
    assert_eq!(names(Holder::Gzip, &extra), ["evil.exe"]);
    for nameless in [
        head(0).to_vec(),
        head(8).to_vec(),
        b"\x1F".to_vec(),
        b"GIF".to_vec(),
        [b"x".as_slice(), &named].concat(),
    ] {
        assert_eq!(names(Holder::Gzip, &nameless), [""; 0]);
    }
    let long = [head(8).as_slice(), &[b'x'; MAX_NAME + 1]].concat();
    assert_eq!(scan(Holder::Gzip, &long).1, Some(LimitExceeded::InnerNames));
}

#[test]
fn tnef_names_its_attachments() {
    let attribute = |tag: u32, data: &[u8]| {
        let sum = data
            .iter()
            .fold(0u16, |sum, b| sum.wrapping_add(u16::from(*b)));
        let length = data.len() as u32;
        let fields: [&[u8]; 5] = [
            &[2],
            &tag.to_le_bytes(),
            &length.to_le_bytes(),
            data,
            &sum.to_le_bytes(),
        ];
        fields.concat()
    };
    let property = |tag: u32, value: &[u8]| {
        let length = value.len() as u32;
        let fields: [&[u8]; 4] = [
            &tag.to_le_bytes(),
            &1u32.to_le_bytes(),
            &length.to_le_bytes(),
            value,
        ];
        fields.concat()
    };
    let wide: Vec<u8> = "長い名前.exe\0"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let properties = [
        1u32.to_le_bytes().to_vec(),
        property(0x3701_0102, b"PR_ATTACH_DATA"),
        property(0x3707_001F, &wide),
        property(0x3704_001E, b"SHORT~1.EXE\0"),
    ]
    .concat();
    let tnef = [
        0x223E_9F78u32.to_le_bytes().to_vec(),
        vec![1, 0],
        attribute(0x0001_8010, b"title.exe\0"),
        attribute(0x0006_9005, &properties),
    ]
    .concat();
    assert_eq!(
        names(Holder::Tnef, &tnef),
        ["SHORT~1.EXE", "title.exe", "長い名前.exe"]
    );
    // What the attributes say of their own lengths is not believed.
    assert_eq!(
        names(Holder::Tnef, &tnef[7..]),
        ["SHORT~1.EXE", "title.exe", "長い名前.exe"]
    );
    let long = attribute(0x0001_8010, &[b'x'; 3 * MAX_NAME]);
    assert_eq!(scan(Holder::Tnef, &long).1, Some(LimitExceeded::InnerNames));
    let chance = [&0x0001_8010u32.to_le_bytes()[..], &u32::MAX.to_le_bytes()].concat();
    assert_eq!(names(Holder::Tnef, &chance), [""; 0]);
}

#[test]
fn uuencode_names_a_file_at_the_beginning_of_a_line() {
    let text = b"begin 644 a.exe\nM...\n`\nend\r\n\r\nbegin-base64 0755 b c.exe \r\nTVo=\n\nbegin 1 d.scr\nbegin  644\te.js";
    assert_eq!(
        names(Holder::Uuencode, text),
        ["a.exe", "b c.exe", "d.scr", "e.js"]
    );
    let text = b"I begin 644 a.exe\nbegin 1 of these\nbegin 998 x\nbegin\n644 x\nbeginning 644 x\nbegin 644\nx\nbegin 644";
    assert_eq!(names(Holder::Uuencode, text), [""; 0]);
    let long = [b"begin 644 ".as_slice(), &[b'x'; 5000]].concat();
    assert_eq!(names(Holder::Uuencode, &long), [""; 0]);
}
