//! Finds what is not plain text in a chunk: line ends, proper and not, and NUL.

/// The next place where a clean run of octets is interrupted or a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A CRLF begins here.
    LineEnd(usize),
    /// A CR or an LF that stands alone.
    Bare(usize),
    /// A NUL.
    Nul(usize),
    /// A CR that ends the chunk: the next one tells what it is.
    LastCr(usize),
    /// Nothing up to the end of the chunk.
    Nothing,
}

pub(super) fn next_stop(chunk: &[u8], from: usize) -> Stop {
    let Some(offset) = memchr::memchr3(b'\r', b'\n', 0, &chunk[from..]) else {
        return Stop::Nothing;
    };
    let at = from + offset;
    match (chunk[at], chunk.get(at + 1)) {
        (b'\r', Some(b'\n')) => Stop::LineEnd(at),
        (b'\r', None) => Stop::LastCr(at),
        (0, _) => Stop::Nul(at),
        _ => Stop::Bare(at),
    }
}
