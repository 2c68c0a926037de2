//! Text to words and signs with their columns (the CEL specification, "Syntax").

use std::iter::Peekable;
use std::str::Chars;

use super::Refused;

/// One word or sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Int(i64),
    Text(String),
    /// One of the signs of CEL, among them those that the subset lacks.
    Sign(&'static str),
    End,
}

/// Signs, the longer before those that they begin with.
const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "(", ")", "[", "]", "{", "}", ".", ",", "!", "<", ">", "?",
    ":", "+", "-", "*", "/", "%",
];

/// The tokens of a text, each with its column; the last is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Refused> {
    let mut lexer = Lexer {
        chars: text.chars().peekable(),
        column: 1,
    };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let column = lexer.column;
        let token = lexer.token()?;
        let ended = token == Token::End;
        tokens.push((token, column));
        if ended {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    column: usize,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        self.column += 1;
        self.chars.next()
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().copied()
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(char) = self.peek().filter(|char| keep(*char)) {
            taken.push(char);
            self.next();
        }
        taken
    }

    fn skip_blanks(&mut self) {
        self.take_while(|char| matches!(char, ' ' | '\t' | '\n' | '\r' | '\u{c}'));
    }

    fn token(&mut self) -> Result<Token, Refused> {
        let column = self.column;
        let Some(first) = self.peek() else {
            return Ok(Token::End);
        };
        if first.is_ascii_digit() {
            return self.int(column);
        }
        if first == '"' || first == '\'' {
            return self.text(column, Escapes::Read);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let word = self.take_while(|char| char.is_ascii_alphanumeric() || char == '_');
            if matches!(self.peek(), Some('"' | '\'')) {
                return match word.as_str() {
                    "r" | "R" => self.text(column, Escapes::Keep),
                    _ => Err(Refused::new(column, "byte strings are not in the subset")
                        .mend("write a text in quotes")),
                };
            }
            return Ok(Token::Word(word));
        }
        self.sign(column)
    }

    fn sign(&mut self, column: usize) -> Result<Token, Refused> {
        let rest: String = self.chars.clone().take(2).collect();
        if rest == "//" {
            return Err(Refused::new(column, "comments are not in the subset"));
        }
        let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) else {
            return Err(Refused::new(
                column,
                format!(
                    "{:?} has no meaning here",
                    rest.chars().next().unwrap_or(' ')
                ),
            ));
        };
        for _ in sign.chars() {
            self.next();
        }
        Ok(Token::Sign(sign))
    }

    fn int(&mut self, column: usize) -> Result<Token, Refused> {
        let word =
            self.take_while(|char| char.is_ascii_alphanumeric() || char == '_' || char == '.');
        let number = match word.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16)
                .ok()
                .filter(|_| !digits.starts_with('+')),
            None => word.parse().ok(),
        };
        number.map(Token::Int).ok_or_else(|| {
            Refused::new(column, format!("{word} is no number of the subset"))
                .mend("whole numbers, like 5 or 1000000")
        })
    }

    fn text(&mut self, column: usize, escapes: Escapes) -> Result<Token, Refused> {
        let unended = || Refused::new(column, "the text has no end").mend("close the quotes");
        let quote = self.next().ok_or_else(unended)?;
        let mut text = String::new();
        loop {
            match self.next().ok_or_else(unended)? {
                char if char == quote => break,
                '\n' | '\r' => return Err(unended()),
                '\\' if escapes == Escapes::Read => text.push(self.escape()?),
                char => text.push(char),
            }
        }
        if text.is_empty() && self.peek() == Some(quote) {
            return Err(
                Refused::new(column, "texts in three quotes are not in the subset")
                    .mend("use one quote"),
            );
        }
        Ok(Token::Text(text))
    }

    fn escape(&mut self) -> Result<char, Refused> {
        let column = self.column - 1;
        let refused = || {
            Refused::new(column, "the escape has no meaning")
                .mend("use \\\\, \\', \\\", \\n, \\t or \\u1234")
        };
        match self.next().ok_or_else(refused)? {
            char @ ('\\' | '\'' | '"' | '`' | '?') => Ok(char),
            'n' => Ok('\n'),
            't' => Ok('\t'),
            'r' => Ok('\r'),
            'u' => {
                let digits: Option<String> = (0..4).map(|_| self.next()).collect();
                let code = digits.and_then(|digits| u32::from_str_radix(&digits, 16).ok());
                code.and_then(char::from_u32).ok_or_else(refused)
            }
            _ => Err(refused()),
        }
    }
}

/// Whether a backslash in a text stands for something else.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Read,
    Keep,
}
