//! What the header section of a part says.

use super::extension::extensions;
use super::inside::{Holder, WINMAIL, expected};
use super::parameters::{self, Parameter};
use super::report::{Attachment, LimitExceeded, MAX_STATED};
use super::text::{Markup, TextKind};
use super::transfer::Encoding;
use crate::header::Headers;

/// What lies below a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Parts between delimiters; with several boundaries stated, whichever comes.
    Multipart {
        boundaries: Vec<Vec<u8>>,
        children: ChildType,
    },
    /// A message with a header section of its own.
    Message,
    /// Anything else.
    Leaf,
}

/// What a part is that states no type (RFC 2046 5.1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChildType {
    Text,
    Message,
}

/// A part's header section, read.
pub(super) struct Part {
    /// With names, or with none.
    pub(super) attachment: Attachment,
    pub(super) content: Content,
    pub(super) body: Body,
    /// Why it cannot be seen as its reader will, if so.
    pub(super) unseen: Option<LimitExceeded>,
}

/// How to look at the body of a part.
pub(super) struct Body {
    /// One, or those that disagree.
    pub(super) encodings: Vec<Encoding>,
    /// What it is said to hold.
    pub(super) holders: Vec<Holder>,
    /// If it is text.
    pub(super) text: Option<TextKind>,
}

impl Part {
    pub(super) fn read(section: &[u8], default: ChildType) -> Self {
        // A section that begins with a continuation begins with a field, to some readers.
        let headers = Headers::new(section.trim_ascii_start());
        let mut stated = Stated::default();
        for field in headers.of_content() {
            let value = field.unfolded();
            let name = field.name;
            stated.add(name, &value);
            if let Some(value) = parameters::without_comments(&value) {
                stated.add(name, &value);
            }
        }
        stated.into_part(default)
    }
}

/// What the fields say.
#[derive(Default)]
struct Stated {
    types: Vec<String>,
    names: Vec<String>,
    disposition_names: Vec<String>,
    boundaries: Vec<Vec<u8>>,
    charset: Option<Vec<u8>>,
    encodings: Vec<Encoding>,
}

impl Stated {
    /// Takes in what a field says, or what some readers make of it.
    fn add(&mut self, field: &str, value: &[u8]) {
        if field.eq_ignore_ascii_case("Content-Type") {
            let (head, parameters) = parameters::split(value);
            self.add_type(head, &parameters);
        } else if field.eq_ignore_ascii_case("Content-Disposition") {
            let (_, parameters) = parameters::split(value);
            for name in ["filename", "name"] {
                let names = parameters::texts(&parameters, name);
                add_new(&mut self.disposition_names, names);
            }
        } else if field.eq_ignore_ascii_case("Content-Transfer-Encoding") {
            let encoding = Encoding::named(value);
            if !self.encodings.contains(&encoding) {
                self.encodings.push(encoding);
            }
        }
    }

    fn add_type(&mut self, head: String, parameters: &[Parameter]) {
        add_new(&mut self.names, parameters::texts(parameters, "name"));
        // Not a name for Content-Type, and some readers take it.
        add_new(&mut self.names, parameters::texts(parameters, "filename"));
        let plain = parameters.iter().filter(|p| p.is("boundary"));
        add_new(&mut self.boundaries, plain.map(|p| p.value.clone()));
        let read = parameters::texts(parameters, "boundary");
        add_new(
            &mut self.boundaries,
            read.into_iter().map(String::into_bytes),
        );
        if self.charset.is_none() {
            let read = parameters::texts(parameters, "charset").into_iter().next();
            self.charset = read.map(String::into_bytes);
        }
        if !self.types.contains(&head) {
            self.types.push(head);
        }
    }

    fn into_part(mut self, default: ChildType) -> Part {
        add_new(&mut self.names, self.disposition_names);
        let content = content(&self.types, self.boundaries, default);
        let mut holders = expected(&self.types, &self.names);
        if self.encodings.contains(&Encoding::Uuencode) {
            holders.push(Holder::Uuencode);
        }
        // Its octets are looked at as they are.
        self.encodings
            .retain(|encoding| *encoding != Encoding::Uuencode);
        if self.encodings.is_empty() {
            self.encodings.push(Encoding::Identity);
        }
        if self.names.is_empty() && self.types.iter().any(|kind| kind.contains("ms-tnef")) {
            self.names.push(WINMAIL.to_owned());
        }
        let is_fragment = self.types.iter().any(|kind| kind == "message/partial");
        let markup = markup(&self.types, &self.names);
        if markup.is_some() {
            holders.push(Holder::Uuencode);
        }
        let charset = self.charset.filter(|label| !is_ascii(label));
        let text = markup.map(|markup| TextKind { charset, markup });
        let first = self.types.into_iter().next();
        let content_type = first.unwrap_or_else(|| "text/plain".to_owned());
        Part {
            attachment: Attachment::new(self.names, content_type),
            content,
            body: Body {
                encodings: self.encodings,
                holders,
                text,
            },
            unseen: is_fragment.then_some(LimitExceeded::Fragment),
        }
    }
}

/// Under these names anything comes, so what the octets look like says more.
fn is_ascii(label: &[u8]) -> bool {
    matches!(
        label.trim_ascii().to_ascii_lowercase().as_slice(),
        b"" | b"us-ascii" | b"ascii" | b"utf-8" | b"utf8"
    )
}

/// How a body is to be read as text; `None` if it is none.
fn markup(types: &[String], names: &[String]) -> Option<Markup> {
    let is_html = |kind: &String| {
        kind == "text/html" || kind == "application/xhtml+xml" || kind == "image/svg+xml"
    };
    let opens_as_html = |name: &String| {
        let last = extensions(name).into_iter().next().unwrap_or_default();
        matches!(
            last.as_str(),
            "htm" | "html" | "shtml" | "xhtml" | "xht" | "svg" | "hta"
        )
    };
    // A multipart that is a leaf states no boundary, and a type without a slash is none (RFC 2045 5.2).
    let is_text = |kind: &String| {
        kind.starts_with("text") || kind.starts_with("multipart/") || !kind.contains('/')
    };
    if types.iter().any(is_html) || names.iter().any(opens_as_html) {
        Some(Markup::Html)
    } else if types.is_empty() || types.iter().any(is_text) {
        Some(Markup::None)
    } else {
        None
    }
}

fn content(types: &[String], boundaries: Vec<Vec<u8>>, default: ChildType) -> Content {
    let multipart = types.iter().find(|t| t.starts_with("multipart/"));
    let message = |t: &String| {
        matches!(
            t.as_str(),
            "message/rfc822" | "message/global" | "message/news"
        )
    };
    match multipart {
        Some(_) if boundaries.is_empty() => Content::Leaf,
        Some(kind) if kind == "multipart/digest" => Content::Multipart {
            boundaries,
            children: ChildType::Message,
        },
        Some(_) => Content::Multipart {
            boundaries,
            children: ChildType::Text,
        },
        None if types.iter().any(message) => Content::Message,
        None if types.is_empty() && default == ChildType::Message => Content::Message,
        None => Content::Leaf,
    }
}

/// Adds what is not there yet. The walker gives up at [`MAX_STATED`], so more is not looked at.
fn add_new<T: Default + PartialEq>(stated: &mut Vec<T>, found: impl IntoIterator<Item = T>) {
    for value in found {
        if stated.len() > MAX_STATED {
            return;
        }
        if value != T::default() && !stated.contains(&value) {
            stated.push(value);
        }
    }
}
