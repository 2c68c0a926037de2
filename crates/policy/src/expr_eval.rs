//! Evaluates [`Expr`] over an event with three-valued logic: what is not known at a stage is neither true nor false.

use std::cmp::Ordering;
use std::io::Write;

use smallvec::SmallVec;

use crate::decision::Class;
use crate::event::{BeforeGreeting, Event, Network, Stage, Tls};
use crate::expr::{Comparison, Expr, Field, MAX_NODES, TextTest, Value};
use crate::matching::account_of;

/// Kleene's three values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    True,
    False,
    Unknown,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// Allocates nothing, but for a search within an address longer than 256 octets.
pub(crate) fn evaluate(expr: &Expr, event: &Event) -> Truth {
    match expr {
        Expr::All(all) => fold(all, event, Truth::False, Truth::True),
        Expr::Any(any) => fold(any, event, Truth::True, Truth::False),
        Expr::Not(inner) => match evaluate(inner, event) {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
        },
        Expr::Compare(field, comparison, value) => order(*field, value, event)
            .map_or(Truth::Unknown, |found| holds(*comparison, found).into()),
        Expr::In(field, values) => is_in(*field, values, event),
        Expr::Text(field, test, wanted) => {
            with_text(*field, event, |text| text.passes(*test, wanted))
                .map_or(Truth::Unknown, Truth::from)
        }
        Expr::Constant(value) => (*value).into(),
    }
}

/// `decisive` settles it at once, something unknown comes next, else it is `otherwise`.
fn fold(parts: &[Expr], event: &Event, decisive: Truth, otherwise: Truth) -> Truth {
    let mut result = otherwise;
    for part in parts {
        match evaluate(part, event) {
            truth if truth == decisive => return decisive,
            Truth::Unknown => result = Truth::Unknown,
            _ => {}
        }
    }
    result
}

fn is_in(field: Field, values: &[Value], event: &Event) -> Truth {
    let mut result = Truth::False;
    for value in values {
        match order(field, value, event) {
            Some(Ordering::Equal) => return Truth::True,
            None => result = Truth::Unknown,
            Some(_) => {}
        }
    }
    result
}

const fn holds(comparison: Comparison, found: Ordering) -> bool {
    match comparison {
        Comparison::Eq => found.is_eq(),
        Comparison::Ne => found.is_ne(),
        Comparison::Lt => found.is_lt(),
        Comparison::Le => found.is_le(),
        Comparison::Gt => found.is_gt(),
        Comparison::Ge => found.is_ge(),
    }
}

/// How the field compares with the value; `None` if it is not known.
fn order(field: Field, value: &Value, event: &Event) -> Option<Ordering> {
    match value {
        Value::Int(wanted) => number(field, event).map(|found| found.cmp(wanted)),
        Value::Text(wanted) => with_text(field, event, |text| text.order(wanted)),
    }
}

fn number(field: Field, event: &Event) -> Option<i64> {
    let clamp = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    match field {
        Field::SourceAsn => {
            let source = &event.session.source;
            source.own_ip().and(source.asn).map(i64::from)
        }
        Field::MessageRecipients => event
            .transaction
            .as_ref()
            .map(|transaction| i64::from(transaction.recipients)),
        Field::MessageSize => match &event.stage {
            Stage::End(end) => Some(clamp(end.bytes)),
            _ => event.transaction.as_ref()?.declared_size.map(clamp),
        },
        _ => None,
    }
}

/// Text in up to three pieces, so that an address needs no buffer.
struct Text<'a>([&'a str; 3]);

impl Text<'_> {
    fn bytes(&self) -> impl DoubleEndedIterator<Item = u8> {
        self.0.iter().flat_map(|piece| piece.bytes())
    }

    fn len(&self) -> usize {
        self.0.iter().map(|piece| piece.len()).sum()
    }

    fn order(&self, wanted: &str) -> Ordering {
        match self.0 {
            [whole, "", ""] => whole.cmp(wanted),
            _ => self.bytes().cmp(wanted.bytes()),
        }
    }

    fn passes(&self, test: TextTest, wanted: &str) -> bool {
        match test {
            TextTest::StartsWith => {
                wanted.len() <= self.len() && self.bytes().zip(wanted.bytes()).all(|(a, b)| a == b)
            }
            TextTest::EndsWith => {
                wanted.len() <= self.len()
                    && self
                        .bytes()
                        .rev()
                        .zip(wanted.bytes().rev())
                        .all(|(a, b)| a == b)
            }
            TextTest::Contains => self.contains(wanted),
        }
    }

    fn contains(&self, wanted: &str) -> bool {
        if self.0[1].is_empty() {
            return self.0[0].contains(wanted);
        }
        let mut whole: SmallVec<[u8; 256]> = SmallVec::new();
        self.0
            .iter()
            .for_each(|piece| whole.extend_from_slice(piece.as_bytes()));
        // The pieces are text, so that their concatenation is.
        std::str::from_utf8(&whole).is_ok_and(|whole| whole.contains(wanted))
    }
}

/// Calls `use_text` with the field's text, if it has one and it is known.
fn with_text<R>(field: Field, event: &Event, use_text: impl FnOnce(&Text<'_>) -> R) -> Option<R> {
    let mut address = [0u8; 48];
    let whole = |text| Some([text, "", ""]);
    let source = &event.session.source;
    let pieces = match field {
        Field::AccountName => whole(account_of(event)?.as_str()),
        Field::AccountDomain => whole(account_of(event)?.as_str().rsplit_once('@')?.1),
        Field::AccountNetwork => whole(match event.account.as_ref()?.network {
            Network::New => "New",
            Network::KnownGood => "KnownGood",
        }),
        Field::SourceAddress => {
            let mut rest = &mut address[..];
            write!(rest, "{}", source.own_ip()?).ok()?;
            let unused = rest.len();
            whole(std::str::from_utf8(&address[..address.len() - unused]).ok()?)
        }
        Field::SourceCountry => whole(source.own_ip().and(source.country.as_ref())?.as_str()),
        Field::SourceListener => whole(&event.session.listener),
        Field::SourceHelo => whole(event.session.helo.as_deref()?),
        Field::SourceHeloForm => whole(event.session.helo_form.as_str()),
        Field::SourceBeforeGreeting => whole(match event.session.before_greeting {
            BeforeGreeting::Silent => "Silent",
            BeforeGreeting::Talked => "Talked",
        }),
        Field::SourceTls => whole(match event.session.tls {
            Tls::Off => "Off",
            Tls::On => "On",
        }),
        Field::MessageSender => match &event.transaction.as_ref()?.sender {
            Some(sender) => Some([sender.local(), "@", sender.domain()]),
            None => whole(""),
        },
        Field::MessageSenderDomain => whole(
            event
                .transaction
                .as_ref()?
                .sender
                .as_ref()
                .map_or("", |sender| sender.domain()),
        ),
        Field::MessageRecipient | Field::MessageRecipientDomain => {
            let Stage::Rcpt { recipient, .. } = &event.stage else {
                return None;
            };
            if field == Field::MessageRecipient {
                Some([recipient.local(), "@", recipient.domain()])
            } else {
                whole(recipient.domain())
            }
        }
        Field::MessageClass => whole(match event.transaction.as_ref()?.class {
            Class::Unclassified => "Unclassified",
            Class::Clean => "Clean",
            Class::Suspect => "Suspect",
            Class::Spam => "Spam",
        }),
        Field::SourceAsn | Field::MessageRecipients | Field::MessageSize => None,
    }?;
    Some(use_text(&Text(pieces)))
}

/// Why an expression cannot be put in force, if it cannot.
pub(crate) fn defect(expr: &Expr) -> Option<String> {
    let mut nodes = 0;
    walk(expr, &mut nodes)
}

fn walk(expr: &Expr, nodes: &mut usize) -> Option<String> {
    *nodes += 1;
    if *nodes > MAX_NODES {
        return Some(format!("has more than {MAX_NODES} parts"));
    }
    match expr {
        Expr::All(parts) | Expr::Any(parts) => parts.iter().find_map(|part| walk(part, nodes)),
        Expr::Not(inner) => walk(inner, nodes),
        Expr::Compare(field, _, value) => mistyped(*field, value),
        Expr::In(field, values) => {
            *nodes += values.len();
            if *nodes > MAX_NODES {
                return Some(format!("has more than {MAX_NODES} parts"));
            }
            values.iter().find_map(|value| mistyped(*field, value))
        }
        Expr::Text(field, _, _) => {
            is_number(*field).then(|| format!("{field:?} is a number, the test is for text"))
        }
        Expr::Constant(_) => None,
    }
}

fn mistyped(field: Field, value: &Value) -> Option<String> {
    let number = matches!(value, Value::Int(_));
    (is_number(field) != number).then(|| {
        let (a, b) = if number {
            ("text", "a number")
        } else {
            ("a number", "text")
        };
        format!("{field:?} is {a}, it is compared with {b}")
    })
}

const fn is_number(field: Field) -> bool {
    matches!(
        field,
        Field::SourceAsn | Field::MessageRecipients | Field::MessageSize
    )
}
