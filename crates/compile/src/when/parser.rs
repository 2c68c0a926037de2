//! Tokens to an expression, with CEL's precedences: `||`, `&&`, comparisons, `!`, members.

use sekisho_policy::expr::{Comparison, Expr, MAX_NODES, TextTest, Value};

use super::Refused;
use super::fields::{self, Place, Type};
use super::lexer::{Token, tokens};
use crate::suggest::did_you_mean;

/// How deep parentheses and `!` may be nested.
const MAX_DEPTH: usize = 32;

/// Reads an expression of the subset.
pub(crate) fn parse(text: &str) -> Result<Expr, Refused> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    let expr = parser.any()?;
    parser.end()?;
    let parts = count(&expr);
    if parts > MAX_NODES {
        let message = format!("has {parts} parts, {MAX_NODES} is the most");
        return Err(Refused::new(1, message).mend("use the lists of match, or several objects"));
    }
    Ok(expr)
}

/// How many parts an expression has, as `policy` counts them.
fn count(expr: &Expr) -> usize {
    1 + match expr {
        Expr::All(parts) | Expr::Any(parts) => parts.iter().map(count).sum(),
        Expr::Not(inner) => count(inner),
        Expr::In(_, values) => values.len(),
        _ => 0,
    }
}

/// What stands on one side of a comparison.
enum Operand {
    Condition(Expr, usize),
    Field(Place),
    Constant(Value, usize),
    List(Vec<(Value, usize)>, usize),
}

impl Operand {
    fn column(&self) -> usize {
        match self {
            Self::Condition(_, column) | Self::Constant(_, column) | Self::List(_, column) => {
                *column
            }
            Self::Field(place) => place.column,
        }
    }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> (&Token, usize) {
        let (token, column) = &self.tokens[self.at.min(self.tokens.len() - 1)];
        (token, *column)
    }

    fn next(&mut self) -> (Token, usize) {
        let (token, column) = self.peek();
        let taken = (token.clone(), column);
        self.at += 1;
        taken
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek().0, Token::Sign(found) if *found == sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), Refused> {
        let column = self.peek().1;
        if self.take(sign) {
            Ok(())
        } else {
            Err(Refused::new(column, format!("`{sign}` is missing here")))
        }
    }

    /// Nothing follows.
    fn end(&self) -> Result<(), Refused> {
        self.no_operator()?;
        let (token, column) = self.peek();
        let what = match token {
            Token::End => return Ok(()),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::Word(word) => format!("`{word}`"),
            Token::Int(_) | Token::Text(_) => "a constant".to_owned(),
        };
        Err(Refused::new(column, format!("{what} has no place here"))
            .mend("join conditions with && and ||"))
    }

    /// What CEL would allow to follow an operand and the subset does not is named.
    fn no_operator(&self) -> Result<(), Refused> {
        let (token, column) = self.peek();
        let what = match token {
            Token::Sign("?") => "the conditional ?:".to_owned(),
            Token::Sign(sign @ ("+" | "-" | "*" | "/" | "%")) => format!("arithmetic with {sign}"),
            Token::Sign("[") => "indexing with []".to_owned(),
            Token::Sign("{") => "building messages with {}".to_owned(),
            Token::Sign(".") => {
                "a member of something else than account, source or message".to_owned()
            }
            _ => return Ok(()),
        };
        Err(Refused::new(column, format!("{what} is not in the subset")))
    }

    fn any(&mut self) -> Result<Expr, Refused> {
        let mut parts = vec![self.all()?];
        while self.take("||") {
            parts.push(self.all()?);
        }
        Ok(only(parts, Expr::Any))
    }

    fn all(&mut self) -> Result<Expr, Refused> {
        let mut parts = vec![self.condition()?];
        while self.take("&&") {
            parts.push(self.condition()?);
        }
        Ok(only(parts, Expr::All))
    }

    /// A comparison, or something that is a condition by itself.
    fn condition(&mut self) -> Result<Expr, Refused> {
        let left = self.operand()?;
        self.no_operator()?;
        let (token, column) = self.peek();
        let comparison = match token {
            Token::Sign("==") => Some(Comparison::Eq),
            Token::Sign("!=") => Some(Comparison::Ne),
            Token::Sign("<") => Some(Comparison::Lt),
            Token::Sign("<=") => Some(Comparison::Le),
            Token::Sign(">") => Some(Comparison::Gt),
            Token::Sign(">=") => Some(Comparison::Ge),
            Token::Word(word) if word == "in" => None,
            _ => return alone(left),
        };
        self.at += 1;
        let right = self.operand()?;
        self.no_operator()?;
        if matches!(
            self.peek().0,
            Token::Sign("==" | "!=" | "<" | "<=" | ">" | ">=")
        ) {
            return Err(
                Refused::new(self.peek().1, "a chain of comparisons is not in the subset")
                    .mend("join two with &&"),
            );
        }
        match comparison {
            Some(comparison) => compare(left, comparison, right, column),
            None => is_in(left, right),
        }
    }

    fn operand(&mut self) -> Result<Operand, Refused> {
        let (token, column) = self.next();
        match token {
            Token::Sign("!") => self.nested(column, |parser| {
                let inner = alone(parser.operand()?)?;
                Ok(Operand::Condition(Expr::Not(Box::new(inner)), column))
            }),
            Token::Sign("(") => self.nested(column, |parser| {
                let inner = parser.any()?;
                parser.expect(")")?;
                Ok(Operand::Condition(inner, column))
            }),
            Token::Sign("[") => Ok(Operand::List(self.list()?, column)),
            Token::Sign("-") => match self.next() {
                (Token::Int(number), _) => Ok(Operand::Constant(Value::Int(-number), column)),
                _ => Err(Refused::new(
                    column,
                    "arithmetic with - is not in the subset",
                )),
            },
            Token::Sign("{") => Err(Refused::new(column, "maps are not in the subset")),
            Token::Int(number) => Ok(Operand::Constant(Value::Int(number), column)),
            Token::Text(text) => Ok(Operand::Constant(Value::Text(text), column)),
            Token::Word(word) => self.word(&word, column),
            Token::End => Err(Refused::new(
                column,
                "the expression ends where a condition is missing",
            )),
            Token::Sign(sign) => Err(Refused::new(
                column,
                format!("`{sign}` stands where a condition is missing"),
            )),
        }
    }

    fn nested(
        &mut self,
        column: usize,
        inner: impl FnOnce(&mut Self) -> Result<Operand, Refused>,
    ) -> Result<Operand, Refused> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Refused::new(
                column,
                format!("is nested more than {MAX_DEPTH} levels deep"),
            ));
        }
        let operand = inner(self);
        self.depth -= 1;
        operand
    }

    fn list(&mut self) -> Result<Vec<(Value, usize)>, Refused> {
        let mut values = Vec::new();
        while !self.take("]") {
            if !values.is_empty() {
                self.expect(",")?;
                if self.take("]") {
                    break;
                }
            }
            match self.operand()? {
                Operand::Constant(value, column) => values.push((value, column)),
                other => return Err(Refused::new(other.column(), "a list holds constants alone")),
            }
        }
        Ok(values)
    }

    fn word(&mut self, word: &str, column: usize) -> Result<Operand, Refused> {
        match word {
            "true" | "false" => {
                return Ok(Operand::Condition(Expr::Constant(word == "true"), column));
            }
            "null" => {
                let refused = Refused::new(column, "null is not in the subset");
                return Err(refused
                    .mend("a rule does not apply where a field that it asks for is not known"));
            }
            _ => {}
        }
        if matches!(self.peek().0, Token::Sign("(")) {
            let refused = Refused::new(
                column,
                format!("the function {word}() is not in the subset"),
            );
            let remedy = "it has ==, !=, <, <=, >, >=, in, startsWith(), endsWith() and contains()";
            return Err(refused.mend(remedy));
        }
        if !fields::is_root(word) {
            let remedy = did_you_mean(word, fields::ROOTS, || {
                format!("there are {}", fields::ROOTS.join(", "))
            });
            return Err(Refused::new(column, format!("there is no {word}")).mend(remedy));
        }
        if !self.take(".") {
            return Err(Refused::new(column, format!("{word} is no condition"))
                .mend(format!("name a field: {word}.x")));
        }
        let (name, name_column) = self.next();
        let Token::Word(name) = name else {
            return Err(Refused::new(name_column, "a field's name is missing here"));
        };
        let place = fields::find(word, &name, column)?;
        if self.take(".") {
            self.method(place)
        } else {
            Ok(Operand::Field(place))
        }
    }

    fn method(&mut self, place: Place) -> Result<Operand, Refused> {
        let (name, column) = self.next();
        let test = match &name {
            Token::Word(name) if name == "startsWith" => TextTest::StartsWith,
            Token::Word(name) if name == "endsWith" => TextTest::EndsWith,
            Token::Word(name) if name == "contains" => TextTest::Contains,
            Token::Word(name) => {
                let refused = Refused::new(
                    column,
                    format!("the function {name}() is not in the subset"),
                );
                return Err(refused.mend("texts have startsWith(), endsWith() and contains()"));
            }
            _ => return Err(Refused::new(column, "a function's name is missing here")),
        };
        self.expect("(")?;
        let argument = self.operand()?;
        self.expect(")")?;
        let Operand::Constant(value @ Value::Text(_), at) = argument else {
            return Err(Refused::new(argument.column(), "must be a text in quotes"));
        };
        match (place.type_, value) {
            (Type::Number, _) => Err(Refused::new(
                column,
                "this field is a number, and the test is for text",
            )),
            (Type::LowerText, Value::Text(text)) => Ok(Operand::Condition(
                Expr::Text(place.field, test, text.to_lowercase()),
                place.column,
            )),
            (_, Value::Text(text)) => Ok(Operand::Condition(
                Expr::Text(place.field, test, text),
                place.column,
            )),
            (_, Value::Int(_)) => Err(Refused::new(at, "must be a text in quotes")),
        }
    }
}

/// One part as it is, several joined.
fn only(mut parts: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    if parts.len() == 1 {
        parts.remove(0)
    } else {
        join(parts)
    }
}

/// An operand that must be a condition by itself.
fn alone(operand: Operand) -> Result<Expr, Refused> {
    match operand {
        Operand::Condition(expr, _) => Ok(expr),
        other => Err(Refused::new(other.column(), "is no condition by itself")
            .mend("compare it with something")),
    }
}

fn compare(
    left: Operand,
    comparison: Comparison,
    right: Operand,
    column: usize,
) -> Result<Expr, Refused> {
    let (place, comparison, value, at) = match (left, right) {
        (Operand::Field(place), Operand::Constant(value, at)) => (place, comparison, value, at),
        (Operand::Constant(value, at), Operand::Field(place)) => {
            (place, mirrored(comparison), value, at)
        }
        _ => {
            let refused = Refused::new(
                column,
                "compares something else than a field with a constant",
            );
            return Err(refused.mend("write it like account.domain == \"example.jp\""));
        }
    };
    if place.type_ != Type::Number && !matches!(comparison, Comparison::Eq | Comparison::Ne) {
        let refused = Refused::new(column, "text has no order here");
        return Err(refused.mend("use ==, != or in"));
    }
    Ok(Expr::Compare(
        place.field,
        comparison,
        place.fit(value, at)?,
    ))
}

/// The comparison with its sides swapped.
fn mirrored(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Lt => Comparison::Gt,
        Comparison::Le => Comparison::Ge,
        Comparison::Gt => Comparison::Lt,
        Comparison::Ge => Comparison::Le,
        Comparison::Eq | Comparison::Ne => comparison,
    }
}

fn is_in(left: Operand, right: Operand) -> Result<Expr, Refused> {
    let Operand::Field(place) = left else {
        return Err(Refused::new(left.column(), "only a field can be in a list"));
    };
    let Operand::List(values, column) = right else {
        return Err(Refused::new(right.column(), "must be a list of constants")
            .mend("like [\"JP\", \"KR\"]"));
    };
    if values.is_empty() {
        return Err(Refused::new(column, "nothing is in an empty list"));
    }
    let values = values.into_iter().map(|(value, at)| place.fit(value, at));
    Ok(Expr::In(place.field, values.collect::<Result<_, _>>()?))
}

#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
