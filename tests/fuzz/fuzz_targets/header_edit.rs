//! Editing a header section: the cuts make no difference, what goes are whole lines, and what must go is gone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_smtp::header::{Editor, Edits, Headers};

fn pass(message: &[u8], edits: Edits, size: usize) -> Vec<u8> {
    let mut editor = Editor::new("mail.example.jp", edits);
    let mut passed = Vec::new();
    for chunk in message.chunks(size) {
        passed.extend_from_slice(&editor.pass(chunk));
    }
    passed.extend(editor.finish());
    passed
}

fuzz_target!(|data: &[u8]| {
    let [size, message @ ..] = data else { return };
    let edits = Edits::of(&Headers::new(message));
    let whole = pass(message, edits, usize::MAX);
    assert_eq!(pass(message, edits, usize::from(*size).max(1)), whole);
    let mut rest = message;
    for line in whole.split_inclusive(|octet| *octet == b'\n') {
        let at = memchr::memmem::find(rest, line).expect("what goes on was in the message, in this order");
        rest = &rest[at + line.len()..];
    }
    // To whom a newline is only CRLF, as it is wherever the editor stands.
    let bare = |at: usize| at == 0 || message[at - 1] != b'\r';
    if memchr::memchr_iter(b'\n', message).any(bare) {
        return;
    }
    for field in Headers::new(&whole).iter() {
        assert!(!field.name.to_ascii_lowercase().starts_with("x-sekisho-"));
    }
});
