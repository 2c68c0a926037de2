//! Globs over account names: `*` any run of characters, `?` one. ASCII letters match in either case.

/// The longest glob, in octets.
pub(crate) const MAX_LEN: usize = 320;

/// A set of globs; exact names are found by binary search.
#[derive(Clone, Debug, Default)]
pub(crate) struct Globs {
    /// Lower case, sorted.
    names: Vec<Box<str>>,
    patterns: Vec<Glob>,
}

/// One glob. `*@example.jp` and its like are most of them, and need no walk.
#[derive(Clone, Debug)]
enum Glob {
    EndsWith(Box<str>),
    Pattern(Box<str>),
}

impl Glob {
    fn new(glob: &str) -> Self {
        match glob.strip_prefix('*') {
            Some(end) if !is_pattern(end) => Self::EndsWith(end.into()),
            _ => Self::Pattern(glob.into()),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::EndsWith(end) => {
                let (name, end) = (name.as_bytes(), end.as_bytes());
                name.len()
                    .checked_sub(end.len())
                    .is_some_and(|head| name[head..].eq_ignore_ascii_case(end))
            }
            Self::Pattern(pattern) => matches(pattern, name),
        }
    }
}

impl Globs {
    pub(crate) fn new(globs: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut set = Self::default();
        for glob in globs {
            let glob = glob.as_ref().to_ascii_lowercase();
            if is_pattern(&glob) {
                set.patterns.push(Glob::new(&glob))
            } else {
                set.names.push(glob.into())
            }
        }
        set.names.sort_unstable();
        set.names.dedup();
        set
    }

    /// The names in lower case, if there is no pattern beside them and at least one.
    pub(crate) fn names_alone(&self) -> Option<&[Box<str>]> {
        (self.patterns.is_empty() && !self.names.is_empty()).then_some(&self.names)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        let lower = || name.bytes().map(|byte| byte.to_ascii_lowercase());
        self.names
            .binary_search_by(|held| held.bytes().cmp(lower()))
            .is_ok()
            || self.patterns.iter().any(|pattern| pattern.matches(name))
    }
}

pub(crate) fn is_pattern(glob: &str) -> bool {
    glob.contains(['*', '?'])
}

/// Whether `name` matches `pattern`, in time at most the product of their lengths, without allocating.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where to go on when a match fails: behind the last star, which then takes one octet more.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                retry = Some((p, n));
            }
            Some(b'?') => {
                p += 1;
                n += char_len(name[n]);
            }
            Some(byte) if byte.eq_ignore_ascii_case(&name[n]) => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((star, at)) = retry else {
                    return false;
                };
                p = star;
                n = at + char_len(name[at]);
                retry = Some((star, n));
            }
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

const fn char_len(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn table() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("?", "", false),
            ("?", "é", true),
            ("??", "é", false),
            ("*é", "aé", true),
            ("*@example.jp", "a@example.jp", true),
            ("*@example.jp", "a@example.jp.evil.test", false),
            ("*@example.jp", "A@Example.JP", true),
            ("a*b*c", "axxbyybzzc", true),
            ("a*b*c", "axxbyyb", false),
            ("news?@example.jp", "news1@example.jp", true),
            ("news?@example.jp", "news12@example.jp", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        let set = Globs::new(["b@x", "A@x", "*@y"]);
        for (name, expected) in [("a@x", true), ("B@X", true), ("c@x", false), ("c@y", true)] {
            assert_eq!(set.contains(name), expected, "{name}");
        }
    }

    proptest! {
        /// The same as the obvious recursive definition, alone and in a set.
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,8}", name in "[abé]{0,8}") {
            fn slow(pattern: &[char], name: &[char]) -> bool {
                match (pattern.split_first(), name.split_first()) {
                    (None, None) => true,
                    (Some(('*', rest)), _) if slow(rest, name) => true,
                    (Some(('*', _)), Some((_, tail))) => slow(pattern, tail),
                    (Some((p, rest)), Some((n, tail))) => (*p == '?' || p == n) && slow(rest, tail),
                    _ => false,
                }
            }
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = slow(&chars(&pattern), &chars(&name));
            prop_assert_eq!(matches(&pattern, &name), expected);
            prop_assert_eq!(Globs::new([&pattern]).contains(&name), expected);
        }
    }
}
