//! Spamd's answers: whatever it says, a score is within bounds, and nothing but names comes with it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_policy::opinion::{EngineFault, MAX_SYMBOLS};

/// The reader alone: the proxy around it would bring a tree of dependencies.
#[path = "../../../crates/proxy/src/classify/answer/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each target reads one protocol")]
mod answer;

use answer::spamd;

fuzz_target!(|answer: &[u8]| {
    let read = spamd(answer);
    assert_eq!(read, spamd(answer));
    let Ok(score) = read else { return };
    assert!(score.points.unsigned_abs() <= 1_000_000_000 && score.symbols.len() <= MAX_SYMBOLS);
    assert!(score.verdict.passes());
    for symbol in &score.symbols {
        assert!((1..=64).contains(&symbol.name.len()) && symbol.name.bytes().all(|octet| octet.is_ascii_graphic()));
        assert_eq!(symbol.points, None);
    }
    // An answer that is cut before its body is none.
    let body = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("fields end") + 4;
    for cut in (0..body).rev().take(64) {
        assert!(matches!(spamd(&answer[..cut]), Err(EngineFault::Broken | EngineFault::BadAnswer)));
    }
});
