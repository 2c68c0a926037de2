//! Standard output: written in one piece, in colour on a terminal, and without complaint when the reader left.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};

/// Writes `text` to standard output. A reader that went away (`| head`) has what it wanted.
///
/// # Errors
/// Standard output cannot be written for another reason.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output cannot be written"),
    }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Palette {
    Plain,
    Terminal,
}

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    Good,
    Warning,
    Bad,
    Quiet,
    Strong,
}

impl Palette {
    /// Colours where standard output is a terminal and `NO_COLOR` (no-color.org) is not set.
    pub(crate) fn of_stdout() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "NO_COLOR is an agreement of terminals, and this is the binary"
        )]
        let no_colour = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty());
        if io::stdout().is_terminal() && !no_colour {
            Self::Terminal
        } else {
            Self::Plain
        }
    }

    /// The text in this ink.
    pub(crate) fn paint(self, ink: Ink, text: &str) -> String {
        if self == Self::Plain {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Good => "32",
            Ink::Warning => "33",
            Ink::Bad => "31",
            Ink::Quiet => "2",
            Ink::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Text that goes to a terminal or a line-based log: control characters are shown, not obeyed.
pub(crate) fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
