//! Attachments, what lies within them, and text: see `mime_body.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod mime_body;

fuzz_target!(|data: &[u8]| mime_body::check(data));
