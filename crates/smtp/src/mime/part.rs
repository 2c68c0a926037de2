//! What the header section of a part says.

use super::parameters;
use crate::header::Headers;

/// Names, or boundaries, that one part may state.
pub(super) const MAX_STATED: usize = 16;

/// A part that names a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Every name that a reader might take, without repetition: `filename` and `name` may disagree.
    pub names: Vec<String>,
    /// The content type in lower case, `type/subtype`; `text/plain` where none is stated.
    pub content_type: String,
}

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
    pub(super) attachment: Option<Attachment>,
    pub(super) content: Content,
}

impl Part {
    pub(super) fn read(section: &[u8], default: ChildType) -> Self {
        // A section that begins with a continuation begins with a field, to some readers.
        let headers = Headers::new(section.trim_ascii_start());
        let mut names = Vec::new();
        let mut boundaries = Vec::new();
        let mut types = Vec::new();
        for field in headers.named("Content-Type") {
            let (head, parameters) = parameters::split(&field.unfolded());
            add_new(&mut names, parameters::texts(&parameters, "name"));
            // Not a name for Content-Type, and some readers take it.
            add_new(&mut names, parameters::texts(&parameters, "filename"));
            let plain = parameters.iter().filter(|p| p.name == "boundary");
            add_new(&mut boundaries, plain.map(|p| p.value.clone()));
            let read = parameters::texts(&parameters, "boundary");
            add_new(&mut boundaries, read.into_iter().map(String::into_bytes));
            types.push(head);
        }
        for field in headers.named("Content-Disposition") {
            let (_, parameters) = parameters::split(&field.unfolded());
            add_new(&mut names, parameters::texts(&parameters, "filename"));
            add_new(&mut names, parameters::texts(&parameters, "name"));
        }
        let content_type = types
            .first()
            .cloned()
            .unwrap_or_else(|| "text/plain".to_owned());
        let attachment = (!names.is_empty()).then_some(Attachment {
            names,
            content_type,
        });
        Self {
            attachment,
            content: content(&types, boundaries, default),
        }
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
