//! On a terminal, one line that is written over: how far a change of many is.

use std::io::{IsTerminal as _, Write as _};

pub(super) fn show(far: &str) {
    let mut err = std::io::stderr();
    if err.is_terminal() {
        // Nobody has to see it.
        let _ = write!(err, "\r{far}\x1b[K");
        let _ = err.flush();
    }
}

pub(super) fn clear() {
    show("");
}
