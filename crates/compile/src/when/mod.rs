//! `match.when`: a bounded subset of CEL to `policy::Expr`. What the subset lacks is refused by name and column.
//!
//! The text is read here and not by a CEL library, because those forget the columns of what they read, and because
//! nothing but this subset has to be understood. A test holds each expression against a CEL parser.

mod fields;
mod lexer;
mod parser;

pub(crate) use parser::parse;

/// Why an expression is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The column in the expression, in characters from 1.
    pub(crate) column: usize,
    /// What is wrong.
    pub(crate) message: String,
    /// What would mend it; may be empty.
    pub(crate) remedy: String,
}

impl Refused {
    fn new(column: usize, message: impl Into<String>) -> Self {
        Self {
            column,
            message: message.into(),
            remedy: String::new(),
        }
    }

    fn mend(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}
