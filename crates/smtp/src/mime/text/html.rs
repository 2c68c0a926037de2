//! HTML to the text that is on the screen, in one pass and without a tree.

mod references;

use self::references::{Place, decode};
use super::{Collector, steps};

/// Attributes that lead somewhere.
const ADDRESSES: [&str; 6] = ["href", "src", "action", "data", "formaction", "background"];
/// Elements within a line; what is none of them begins a line and ends one.
const INLINE: [&str; 34] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font",
    "i", "img", "input", "ins", "kbd", "label", "mark", "nobr", "q", "s", "samp", "small", "span",
    "strike", "strong", "sub", "sup", "tt", "u", "var", "wbr",
];
/// Elements that show nothing of what they hold. A template is none of them: readers that do not know it show it.
const HIDDEN: [&str; 2] = ["script", "style"];
/// Elements that hold text up to their end tag, whatever it looks like: a comment within them hides nothing.
const RAW: [&str; 7] = [
    "title",
    "textarea",
    "xmp",
    "iframe",
    "noembed",
    "noframes",
    "plaintext",
];

/// Appends the text of `html`, then where its links lead.
pub(super) fn render(html: &str, out: &mut Collector) {
    let mut page = Page {
        out,
        links: String::new(),
        gap: Gap::Line,
        endless: Vec::new(),
    };
    let mut rest = html;
    while let Some(at) = memchr::memchr(b'<', rest.as_bytes()) {
        page.take_text(&rest[..at]);
        steps::add(at + 1);
        rest = page.take_tag(&rest[at..]);
    }
    page.take_text(rest);
    let Page { out, links, .. } = page;
    out.end_line();
    out.push(&links);
}

/// What separates the next word from the last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Space,
    /// A line ends, or none began.
    Line,
}

struct Page<'a> {
    out: &'a mut Collector,
    links: String,
    gap: Gap,
    /// What was found not to end: the same has no end further on, and is not looked for.
    endless: Vec<&'static str>,
}

impl Page<'_> {
    fn take_text(&mut self, text: &str) {
        let is_space = |c: char| c.is_ascii_whitespace();
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.trim_start_matches(is_space);
            if word.len() < rest.len() {
                self.gap = self.gap.max(Gap::Space);
            }
            let end = word.bytes().position(|b| b.is_ascii_whitespace());
            let end = end.unwrap_or(word.len());
            if end > 0 {
                self.close_gap();
                let out = &mut *self.out;
                decode(&word[..end], Place::Text, |piece| out.push(piece));
            }
            rest = &word[end..];
        }
    }

    fn close_gap(&mut self) {
        match self.gap {
            Gap::None => {}
            Gap::Space => self.out.push(" "),
            Gap::Line => self.out.end_line(),
        }
        self.gap = Gap::None;
    }

    /// Takes what begins with `<`; answers with what follows it.
    fn take_tag<'h>(&mut self, html: &'h str) -> &'h str {
        let after = &html[1..];
        if let Some(comment) = after.strip_prefix("!--") {
            // An empty comment may lack its own end.
            let short = comment
                .strip_prefix('>')
                .or_else(|| comment.strip_prefix("->"));
            return short.unwrap_or_else(|| self.pass_by(comment, "--", behind_comment));
        }
        let (is_end, body) = match after.strip_prefix('/') {
            Some(body) => (true, body),
            None => (false, after),
        };
        match body.chars().next() {
            Some(c) if c.is_ascii_alphabetic() => {}
            Some('!' | '?') => return self.pass_by(&body[1..], ">", behind_tag),
            _ if is_end => return self.pass_by(body, ">", behind_tag),
            _ => {
                self.take_text("<");
                return after;
            }
        }
        let name_end = body.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>'));
        let (name, attributes) = body.split_at(name_end.unwrap_or(body.len()));
        let name = name.to_ascii_lowercase();
        let rest = self.take_attributes(attributes);
        if HIDDEN.contains(&name.as_str()) && !is_end {
            return find_end_tag(rest, &name).map_or("", |at| &rest[at..]);
        }
        let raw = RAW.iter().find(|raw| **raw == name);
        if let Some(raw) = raw.filter(|_| !is_end) {
            return self.take_raw(rest, raw);
        }
        if matches!(name.as_str(), "td" | "th") {
            self.gap = self.gap.max(Gap::Space);
        } else if !INLINE.contains(&name.as_str()) {
            self.gap = Gap::Line;
        }
        rest
    }

    /// What follows the end of what began before `html`, as `find` finds it; all of it if it has no end, since readers may
    /// show it then.
    fn pass_by<'h>(
        &mut self,
        html: &'h str,
        what: &'static str,
        find: impl FnOnce(&'h str) -> Option<&'h str>,
    ) -> &'h str {
        if self.endless.contains(&what) {
            return html;
        }
        let rest = find(html);
        steps::add(html.len() - rest.map_or(0, str::len));
        rest.unwrap_or_else(|| {
            self.endless.push(what);
            html
        })
    }

    /// Takes the text of an element that holds no markup; answers with what follows it. Without an end it holds the
    /// rest to some readers, and nothing to others: then the rest is both.
    fn take_raw<'h>(&mut self, html: &'h str, name: &'static str) -> &'h str {
        if self.endless.contains(&name) {
            return html;
        }
        self.gap = Gap::Line;
        if let Some(at) = find_end_tag(html, name) {
            self.take_text(&html[..at]);
            return &html[at..];
        }
        if !self.endless.iter().any(|what| RAW.contains(what)) {
            self.take_text(html);
            self.gap = Gap::Line;
        }
        self.endless.push(name);
        html
    }

    /// Keeps the addresses among the attributes; answers with what follows the tag.
    fn take_attributes<'h>(&mut self, html: &'h str) -> &'h str {
        let mut rest = html;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if rest.is_empty() {
                return rest;
            }
            if let Some(after) = rest.strip_prefix('>') {
                return after;
            }
            // An equals sign may begin a name.
            let first = rest.chars().next().map_or(0, char::len_utf8);
            let tail = &rest[first..];
            let ends = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '=');
            let (name, after) = rest.split_at(first + tail.find(ends).unwrap_or(tail.len()));
            let Some(value) = after.trim_ascii_start().strip_prefix('=') else {
                rest = after;
                continue;
            };
            let value = value.trim_ascii_start();
            let (value, after) = match split_value(value) {
                Some(split) => split,
                // The quote has no end, so readers may show what follows it.
                None => {
                    let shown = &value[1..];
                    let end = shown.find(['>', '\n']).unwrap_or(shown.len());
                    if is_address(name) {
                        self.keep_link(&shown[..end]);
                    }
                    return shown;
                }
            };
            if is_address(name) {
                self.keep_link(value);
            }
            rest = after;
        }
    }

    /// Spaces and line ends within an address are dropped, as browsers do.
    fn keep_link(&mut self, value: &str) {
        let before = self.links.len();
        let links = &mut self.links;
        decode(value.trim_ascii(), Place::Attribute, |piece| {
            links.extend(piece.chars().filter(|c| !matches!(c, '\r' | '\n' | '\t')));
        });
        if self.links.len() > before {
            self.links.push('\n');
        }
    }
}

fn is_address(name: &str) -> bool {
    ADDRESSES
        .iter()
        .any(|address| address.eq_ignore_ascii_case(name))
}

/// What follows the end of a comment, of which browsers know two.
fn behind_comment(html: &str) -> Option<&str> {
    let ends_here = |at: &usize| html[..*at].ends_with("--") || html[..*at].ends_with("--!");
    let end = memchr::memchr_iter(b'>', html.as_bytes()).find(ends_here)?;
    Some(&html[end + 1..])
}

fn behind_tag(html: &str) -> Option<&str> {
    html.split_once('>').map(|(_, rest)| rest)
}

/// A value in quotes, or up to white space or the end of the tag, and what follows; `None` if its quote has no end.
fn split_value(html: &str) -> Option<(&str, &str)> {
    match html.as_bytes().first() {
        Some(b'"') => html[1..].split_once('"'),
        Some(b'\'') => html[1..].split_once('\''),
        _ => {
            let end = html.find(|c: char| c.is_ascii_whitespace() || c == '>');
            Some(html.split_at(end.unwrap_or(html.len())))
        }
    }
}

/// Where the end tag of an element begins that holds no markup.
fn find_end_tag(html: &str, name: &str) -> Option<usize> {
    let mut tags = html.match_indices("</").map(|(at, _)| at);
    tags.find(|at| {
        steps::add(1);
        let after = &html.as_bytes()[at + 2..];
        let tail = after.get(name.len());
        let is_name = after
            .get(..name.len())
            .is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()));
        is_name && tail.is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'>' | b'/'))
    })
}
