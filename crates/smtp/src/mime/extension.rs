//! What a file name would be opened as.

/// Extensions that are looked at, from the last.
const MAX_EXTENSIONS: usize = 8;

/// The extensions of a name in lower case, last first: `Invoice.PDF.exe . ` gives `exe`, `pdf`. What Windows drops
/// (trailing dots and spaces, characters that it has in no name) and what deceives (invisible and direction-changing
/// characters) is removed first; folders and the streams of NTFS do not count.
pub fn extensions(name: &str) -> Vec<String> {
    let visible: String = name.chars().filter(|c| !is_lost(*c)).collect();
    let file = visible.rsplit(['/', '\\']).next().unwrap_or_default();
    let file = strip_stream(file);
    let file = file.trim_end_matches(is_dropped);
    let mut pieces: Vec<&str> = file.split('.').skip(1).collect();
    pieces.reverse();
    let trimmed = pieces
        .into_iter()
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

fn is_dropped(c: char) -> bool {
    c == '.' || c.is_whitespace()
}

/// What is not seen or not stored: control characters, marks of direction, joiners and the like (Unicode categories
/// Cc and, in part, Cf), and what Windows has in no name.
fn is_lost(c: char) -> bool {
    c.is_control()
        || matches!(c, '"' | '<' | '>' | '|' | '?' | '*')
        || matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}')
        || matches!(c, '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::extensions;

    #[test]
    fn sees_through_disguises() {
        let cases: [(&str, &[&str]); 16] = [
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
