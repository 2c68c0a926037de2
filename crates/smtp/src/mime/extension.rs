//! What a file name would be opened as.

/// The extensions of a name in lower case, last first: `Invoice.PDF.exe . ` gives `exe`, `pdf`. Trailing dots and
/// spaces, which Windows drops, and invisible and direction-changing characters, which deceive, are removed first.
pub fn extensions(name: &str) -> Vec<String> {
    let _ = name;
    unimplemented!()
}
