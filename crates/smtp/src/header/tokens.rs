//! The tokens of structured fields (RFC 5322 3.2): words, quoted strings, domain literals and single characters.

use super::ListFault;
use crate::address::is_atext;

/// A token. Comments and white space are between them and leave no trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A run of atext and dots.
    Word(&'a str),
    /// A quoted string with its quotes.
    Quoted(&'a str),
    /// A domain literal with its brackets.
    Literal(&'a str),
    /// One of `< > @ , : ;`.
    Special(char),
}

impl Token<'_> {
    /// Octets as it was written.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Word(text) | Self::Quoted(text) | Self::Literal(text) => text.len(),
            Self::Special(c) => c.len_utf8(),
        }
    }
}

/// Splits a value into tokens.
pub(super) struct Tokens<'a> {
    rest: &'a str,
    /// Whether a comment held what readers without comments take for an address.
    misleads: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            misleads: false,
        }
    }

    /// Whether a comment so far held what could be an address.
    pub(super) fn misleads(&self) -> bool {
        self.misleads
    }

    /// What was not read.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, ListFault> {
        self.skip_comments()?;
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        let (length, token): (usize, fn(&'a str) -> Token<'a>) = match first {
            '<' | '>' | '@' | ',' | ':' | ';' => {
                self.rest = &self.rest[1..];
                return Ok(Some(Token::Special(first)));
            }
            '"' => (delimited_length(self.rest, '"')?, Token::Quoted),
            '[' => (delimited_length(self.rest, ']')?, Token::Literal),
            '.' => (self.word_length(), Token::Word),
            c if is_atext(c) => (self.word_length(), Token::Word),
            _ => return Err(ListFault::Syntax),
        };
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(Some(token(text)))
    }

    fn word_length(&self) -> usize {
        self.rest
            .find(|c| !(c == '.' || is_atext(c)))
            .unwrap_or(self.rest.len())
    }

    /// Skips white space and comments, which nest.
    fn skip_comments(&mut self) -> Result<(), ListFault> {
        let mut depth = 0_usize;
        let mut characters = self.rest.char_indices();
        while let Some((index, c)) = characters.next() {
            match c {
                '(' => depth += 1,
                ')' if depth > 0 => depth -= 1,
                '\\' if depth > 0 => {
                    let (_, escaped) = characters.next().ok_or(ListFault::Syntax)?;
                    self.misleads |= matches!(escaped, '<' | '>' | '@');
                }
                '<' | '>' | '@' if depth > 0 => self.misleads = true,
                _ if depth > 0 || is_blank(c) => {}
                _ => {
                    self.rest = &self.rest[index..];
                    return Ok(());
                }
            }
        }
        self.rest = "";
        if depth == 0 {
            Ok(())
        } else {
            Err(ListFault::Syntax)
        }
    }
}

/// Folds are undone before; a CR or LF that is left stands for nothing.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// Octets of what `text` begins with up to the closing character, both included; `\` takes the next character's meaning.
fn delimited_length(text: &str, close: char) -> Result<usize, ListFault> {
    let mut characters = text.char_indices().skip(1);
    while let Some((index, c)) = characters.next() {
        if c == close {
            return Ok(index + 1);
        }
        if c == '\\' {
            characters.next();
        }
    }
    Err(ListFault::Syntax)
}
