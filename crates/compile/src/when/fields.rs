//! What an expression can look at, and what each field can be compared with.

use sekisho_policy::expr::{Field, Value};

use super::Refused;
use crate::suggest::did_you_mean;

/// What the values of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// Any text.
    Text,
    /// A text that is kept in small letters.
    LowerText,
    /// A country's two capital letters.
    Country,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number.
    Number,
}

struct Known {
    root: &'static str,
    name: &'static str,
    field: Field,
    type_: Type,
}

const fn known(root: &'static str, name: &'static str, field: Field, type_: Type) -> Known {
    Known {
        root,
        name,
        field,
        type_,
    }
}

const FIELDS: [Known; 18] = [
    known("account", "name", Field::AccountName, Type::LowerText),
    known("account", "domain", Field::AccountDomain, Type::LowerText),
    known(
        "account",
        "network",
        Field::AccountNetwork,
        Type::Word(&["KnownGood", "New"]),
    ),
    known("source", "address", Field::SourceAddress, Type::Text),
    known("source", "country", Field::SourceCountry, Type::Country),
    known("source", "asn", Field::SourceAsn, Type::Number),
    known("source", "listener", Field::SourceListener, Type::Text),
    known("source", "helo", Field::SourceHelo, Type::Text),
    known(
        "source",
        "heloForm",
        Field::SourceHeloForm,
        Type::Word(&[
            "Unsaid",
            "Good",
            "Malformed",
            "OurName",
            "AddressLiteral",
            "BareAddress",
        ]),
    ),
    known(
        "source",
        "beforeGreeting",
        Field::SourceBeforeGreeting,
        Type::Word(&["Silent", "Talked"]),
    ),
    known(
        "source",
        "tls",
        Field::SourceTls,
        Type::Word(&["On", "Off"]),
    ),
    known("message", "sender", Field::MessageSender, Type::Text),
    known(
        "message",
        "senderDomain",
        Field::MessageSenderDomain,
        Type::LowerText,
    ),
    known("message", "recipient", Field::MessageRecipient, Type::Text),
    known(
        "message",
        "recipientDomain",
        Field::MessageRecipientDomain,
        Type::LowerText,
    ),
    known(
        "message",
        "recipients",
        Field::MessageRecipients,
        Type::Number,
    ),
    known("message", "size", Field::MessageSize, Type::Number),
    known(
        "message",
        "class",
        Field::MessageClass,
        Type::Word(&["Unclassified", "Clean", "Suspect", "Spam"]),
    ),
];

/// A field that stands in an expression.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) field: Field,
    pub(super) type_: Type,
    pub(super) column: usize,
}

/// The field `root.name`.
pub(super) fn find(root: &str, name: &str, column: usize) -> Result<Place, Refused> {
    if let Some(known) = FIELDS
        .iter()
        .find(|known| known.root == root && known.name == name)
    {
        return Ok(Place {
            field: known.field,
            type_: known.type_,
            column,
        });
    }
    let names: Vec<&str> = FIELDS
        .iter()
        .filter(|known| known.root == root)
        .map(|known| known.name)
        .collect();
    let remedy = did_you_mean(name, names.iter().copied(), || {
        format!("it has {}", names.join(", "))
    });
    Err(Refused::new(column, format!("{root} has no field {name}")).mend(remedy))
}

/// Whether a word begins a field.
pub(super) fn is_root(word: &str) -> bool {
    FIELDS.iter().any(|known| known.root == word)
}

/// What stands at the head of fields.
pub(super) const ROOTS: [&str; 3] = ["account", "source", "message"];

impl Place {
    /// The constant as it is compared with this field, or why it never could be equal.
    pub(super) fn fit(&self, value: Value, column: usize) -> Result<Value, Refused> {
        let mistyped = |expected: &str| {
            Err(Refused::new(
                column,
                format!("this field is compared with {expected}"),
            ))
        };
        match (self.type_, value) {
            (Type::Number, value @ Value::Int(_)) => Ok(value),
            (Type::Number, Value::Text(_)) => mistyped("a number"),
            (_, Value::Int(_)) => mistyped("a text in quotes"),
            (Type::LowerText, Value::Text(text)) => Ok(Value::Text(text.to_lowercase())),
            (Type::Country, Value::Text(text)) => match text.as_bytes() {
                [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(Value::Text(text)),
                _ => mistyped("a country's two capital letters, like \"JP\""),
            },
            (Type::Word(words), Value::Text(text)) if !words.contains(&text.as_str()) => {
                let remedy = did_you_mean(&text, words.iter().copied(), || {
                    format!("one of {}", words.join(", "))
                });
                Err(Refused::new(column, format!("this field is never \"{text}\"")).mend(remedy))
            }
            (_, value) => Ok(value),
        }
    }
}
