//! What a file name would be opened as.

/// Extensions that are looked at, from the last.
const MAX_EXTENSIONS: usize = 8;

/// The extensions of a name in lower case, last first: `Invoice.PDF.exe . ` gives `exe`, `pdf`. What Windows drops
/// (trailing dots and spaces, characters that it has in no name) and what deceives (invisible and direction-changing
/// characters) is removed first; folders and the streams of NTFS do not count.
pub fn extensions(name: &str) -> Vec<String> {
    let visible: String = name.chars().filter(|c| !is_lost(*c)).collect();
    // A name that ends as a folder's does is taken for a file's all the same.
    let visible = visible.trim_end_matches(|c| is_dropped(c) || matches!(c, '/' | '\\'));
    let file = visible.rsplit(['/', '\\']).next().unwrap_or_default();
    let file = strip_stream(file);
    let file = file.trim_end_matches(is_dropped);
    let mut pieces: Vec<&str> = file.split('.').skip(1).collect();
    pieces.reverse();
    // A semicolon ends a name to those who do not know quotes.
    let trimmed = pieces
        .into_iter()
        .map(|piece| piece.split_once(';').map_or(piece, |(before, _)| before))
        .map(|piece| piece.trim_matches(is_dropped));
    trimmed
        .filter(|piece| !piece.is_empty())
        .take(MAX_EXTENSIONS)
        .map(str::to_lowercase)
        .collect()
}

/// `evil.exe::$DATA` and `evil.exe:x.txt` are opened as `evil.exe`. A drive letter before the colon is no stream.
fn strip_stream(file: &str) -> &str {
    match file.split_once(':') {
        Some((before, after)) if before.chars().count() == 1 => {
            after.split(':').next().unwrap_or(after)
        }
        Some((before, _)) => before,
        None => file,
    }
}

/// What stands at the end of a name and is not kept: what Windows drops, and quotes of those who take `'` for one.
fn is_dropped(c: char) -> bool {
    matches!(c, '.' | '\'') || c.is_whitespace()
}

/// What is not seen or not stored: control characters, what has no width, and what Windows has in no name.
fn is_lost(c: char) -> bool {
    c.is_control() || is_format(c) || matches!(c, '"' | '<' | '>' | '|' | '?' | '*')
}

/// Characters without a width: joiners, marks of direction, variation selectors, fillers and tags.
pub(crate) fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{AD}'
            | '\u{34F}'
            | '\u{61C}'
            | '\u{115F}'
            | '\u{1160}'
            | '\u{17B4}'
            | '\u{17B5}'
            | '\u{180B}'..='\u{180F}'
    ) || matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}')
        || matches!(c, '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::extensions;

    #[test]
    fn sees_through_disguises() {
        let cases: [(&str, &[&str]); 27] = [
            ("a.exe;", &["exe"]),
            ("a.exe;b.txt", &["txt", "exe"]),
            ("'a.exe'", &["exe"]),
            ("taro's.pdf", &["pdf"]),
            ("a.exe/", &["exe"]),
            ("a.exe/. /", &["exe"]),
            ("C:\\x\\a.exe\\", &["exe"]),
            ("a.exe/b.txt", &["txt"]),
            ("report.pdf", &["pdf"]),
            ("report", &[]),
            ("", &[]),
            (".exe", &["exe"]),
            ("Invoice.PDF.exe . ", &["exe", "pdf"]),
            ("invoice.exe...", &["exe"]),
            ("invoice.exe\u{3000}", &["exe"]),
            ("invoice. exe", &["exe"]),
            ("\u{202E}fdp.exe", &["exe"]),
            ("invoice\u{202E}.e\u{200B}xe", &["exe"]),
            ("invoice.exe\u{3164}", &["exe"]),
            ("invoice.e\u{34F}x\u{2066}e\u{2069}", &["exe"]),
            ("invoice.pdf\u{A0}\u{A0}\u{2003}.exe\t", &["exe", "pdf"]),
            ("a.exe\0.txt", &["txt", "exe"]),
            ("C:\\temp\\a.scr", &["scr"]),
            ("C:a.scr", &["scr"]),
            ("\"a.e?xe\"", &["exe"]),
            ("a.exe::$DATA", &["exe"]),
            ("見積書.ＥＸＥ.js", &["js", "ｅｘｅ"]),
        ];
        for (name, expected) in cases {
            assert_eq!(extensions(name), expected, "{name:?}");
        }
    }
}
