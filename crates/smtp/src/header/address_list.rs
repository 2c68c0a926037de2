//! Address lists of RFC 5322 3.4: comments, quoted strings, groups and the obsolete forms are read; the result is strict.

use std::mem;
use std::ops::Range;

use super::encoded_word::{decode_words, holds_word};
use super::fields::unfold;
use super::tokens::{Token, Tokens};
use crate::Mailbox;

/// One item of an address list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The display name, encoded words decoded; empty if there is none.
    pub display: String,
    /// The address.
    pub mailbox: Mailbox,
}

/// Why a list is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListFault {
    /// It holds a NUL.
    Nul,
    /// Encoded words stand where an address should be, or within one (RFC 2047 section 5 forbids both).
    EncodedAddress,
    /// It does not follow the grammar.
    Syntax,
}

/// Parses an unfolded or folded list, such as the value of To. Members of groups are listed with the rest.
///
/// # Errors
/// Why it is malformed; nothing is returned of a list that is malformed in part.
pub fn parse_address_list(value: &[u8]) -> Result<Vec<Listed>, ListFault> {
    parse(value).map(|list| list.items)
}

/// How many addresses a list shows. Of one that is malformed, whatever might be one counts.
pub(super) fn count(value: &[u8]) -> usize {
    match parse(value) {
        Ok(list) => list.items.len(),
        Err(_) => {
            let separators = memchr::memchr2_iter(b',', b';', value).count();
            memchr::memchr_iter(b'@', value).count().max(separators + 1)
        }
    }
}

/// A list, and what was in it beside mailboxes.
#[derive(Debug, Default)]
pub(super) struct AddressList {
    pub(super) items: Vec<Listed>,
    pub(super) groups: usize,
    /// Forms that the grammar has and that readers read differently: source routes, empty items, comments or white space within
    /// an address, comments and encoded names that hold what looks like one.
    pub(super) oddities: usize,
}

pub(super) fn parse(value: &[u8]) -> Result<AddressList, ListFault> {
    if memchr::memchr(0, value).is_some() {
        return Err(ListFault::Nul);
    }
    // Old mail programs put names in other charsets as they are; a broken octet may stand in a name, not in an address.
    let line = unfold(value);
    let text = String::from_utf8_lossy(&line);
    let mut parser = Parser {
        text: &text,
        tokens: Tokens::new(&text),
        words: Vec::new(),
        span: 0..0,
        named: false,
        list: AddressList::default(),
    };
    parser.run()?;
    parser.list.oddities += usize::from(parser.tokens.misleads());
    Ok(parser.list)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Tokens<'a>,
    /// What came since the last separator.
    words: Vec<Token<'a>>,
    /// Where in the text they are.
    span: Range<usize>,
    /// Whether an address in angle brackets came since the last separator.
    named: bool,
    list: AddressList,
}

impl<'a> Parser<'a> {
    fn run(&mut self) -> Result<(), ListFault> {
        let mut in_group = false;
        while let Some(token) = self.tokens.next()? {
            match token {
                Token::Special(',') => self.end_item()?,
                Token::Special('<') => self.take_angle()?,
                Token::Special(':') if !in_group && !self.words.is_empty() => {
                    // A name before the colon must be a phrase, as a display name must.
                    display_name(&self.words)?;
                    self.words.clear();
                    self.list.groups += 1;
                    in_group = true;
                }
                Token::Special(';') if in_group => {
                    self.end_item()?;
                    in_group = false;
                    self.expect_separator()?;
                }
                Token::Special(':' | ';' | '>') => return Err(ListFault::Syntax),
                word => self.take_word(word),
            }
        }
        self.end_item()?;
        if in_group {
            Err(ListFault::Syntax)
        } else {
            Ok(())
        }
    }

    fn take_word(&mut self, word: Token<'a>) {
        let end = self.position();
        if self.words.is_empty() {
            self.span.start = end - word.len();
        }
        self.span.end = end;
        self.words.push(word);
    }

    /// Octets of the text that were read.
    fn position(&self) -> usize {
        self.text.len() - self.tokens.rest().len()
    }

    /// Ends an item without angle brackets. Empty items are obsolete syntax.
    fn end_item(&mut self) -> Result<(), ListFault> {
        if self.words.is_empty() {
            self.list.oddities += usize::from(!mem::take(&mut self.named));
            return Ok(());
        }
        let mailbox = addr_spec(&mem::take(&mut self.words))?;
        self.compare(self.span.clone(), &mailbox);
        self.list.items.push(Listed {
            display: String::new(),
            mailbox,
        });
        Ok(())
    }

    /// Takes an address in angle brackets, whose `<` was read, and the separator after it.
    fn take_angle(&mut self) -> Result<(), ListFault> {
        let words = mem::take(&mut self.words);
        let start = self.position();
        let mut inner = Vec::new();
        loop {
            match self.tokens.next()?.ok_or(ListFault::Syntax)? {
                Token::Special('>') => break,
                // A source route ends with a colon (obs-route).
                Token::Special(':') => check_route(&mem::take(&mut inner))?,
                token => inner.push(token),
            }
        }
        let mailbox = addr_spec(&inner)?;
        self.compare(start..self.position() - ">".len(), &mailbox);
        let display = match display_name(&words) {
            Ok(display) => display,
            // An unquoted address as the name is no phrase; if it is the same, all readers see the same.
            Err(_) if addr_spec(&words).as_ref() == Ok(&mailbox) => mailbox.to_string(),
            Err(fault) => return Err(fault),
        };
        if !words.is_empty() {
            let name = &self.text.as_bytes()[self.span.clone()];
            self.list.oddities += usize::from(holds_word(name) && misleads(&display));
        }
        self.named = true;
        self.list.items.push(Listed { display, mailbox });
        self.after_angle()
    }

    /// Notes an address that is not written in one piece.
    fn compare(&mut self, span: Range<usize>, mailbox: &Mailbox) {
        let written = self.text[span].trim_matches([' ', '\t']);
        self.list.oddities += usize::from(written != mailbox.as_str());
    }

    /// After `>` an item is over: a comma, the end of a group, or the end of the list.
    fn after_angle(&mut self) -> Result<(), ListFault> {
        let ahead = Tokens::new(self.tokens.rest()).next()?;
        match ahead {
            None | Some(Token::Special(',' | ';')) => Ok(()),
            Some(_) => Err(ListFault::Syntax),
        }
    }

    /// After `;` only a comma or the end.
    fn expect_separator(&mut self) -> Result<(), ListFault> {
        match self.tokens.next()? {
            None | Some(Token::Special(',')) => Ok(()),
            Some(_) => Err(ListFault::Syntax),
        }
    }
}

/// Whether a name that was encoded is an address, to readers that decode before they parse.
fn misleads(name: &str) -> bool {
    let is_list = name.contains('@') && name.contains([',', ';', ':']);
    is_list || name.contains(|c: char| matches!(c, '<' | '>') || c.is_control())
}

/// A phrase: words and quoted strings. An `@` in it is refused, since readers differ on which address is meant.
fn display_name(words: &[Token<'_>]) -> Result<String, ListFault> {
    let mut phrase = String::new();
    for word in words {
        if !phrase.is_empty() {
            phrase.push(' ');
        }
        match word {
            Token::Word(text) => phrase.push_str(text),
            Token::Quoted(text) => phrase.push_str(&unquote(text)),
            Token::Literal(_) | Token::Special(_) => return Err(ListFault::Syntax),
        }
    }
    Ok(decode_words(phrase.as_bytes()))
}

fn unquote(quoted: &str) -> String {
    let inner = quoted
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(quoted);
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        text.extend(if c == '\\' {
            characters.next()
        } else {
            Some(c)
        });
    }
    text
}

/// `local@domain` out of its tokens; dots may be set off by space or comments (obs-local-part, obs-domain).
fn addr_spec(tokens: &[Token<'_>]) -> Result<Mailbox, ListFault> {
    let mut text = String::new();
    let mut joined = true;
    for token in tokens {
        let piece = match token {
            Token::Word(piece) | Token::Quoted(piece) | Token::Literal(piece) => *piece,
            Token::Special('@') => "@",
            Token::Special(_) => return Err(ListFault::Syntax),
        };
        if holds_word(piece.as_bytes()) {
            return Err(ListFault::EncodedAddress);
        }
        // Two words without a dot or an `@` between them are no address.
        if !joined && !piece.starts_with(['.', '@']) {
            return Err(ListFault::Syntax);
        }
        joined = piece.ends_with(['.', '@']);
        text.push_str(piece);
    }
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(ListFault::Syntax);
    }
    Mailbox::parse(&text).map_err(|_| ListFault::Syntax)
}

/// `@one,@two` before the colon of a source route.
fn check_route(tokens: &[Token<'_>]) -> Result<(), ListFault> {
    let spelled = tokens
        .iter()
        .all(|token| matches!(token, Token::Word(_) | Token::Special('@' | ',')));
    if spelled && tokens.first() == Some(&Token::Special('@')) {
        Ok(())
    } else {
        Err(ListFault::Syntax)
    }
}
