//! Rspamd's answers: whatever it says, a score is within bounds, and nothing but names comes with it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_policy::opinion::MAX_SYMBOLS;

/// A million points in thousandths.
const MOST: u64 = 1_000_000_000;

/// The reader alone: the proxy around it would bring a tree of dependencies.
#[path = "../../../crates/proxy/src/classify/answer/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each target reads one protocol")]
mod answer;

use answer::rspamd;

fuzz_target!(|body: &[u8]| {
    let read = rspamd(body);
    assert_eq!(read, rspamd(body));
    let Ok(score) = read else { return };
    assert!(score.points.unsigned_abs() <= MOST && score.symbols.len() <= MAX_SYMBOLS);
    let weight = |points: Option<i64>| points.unwrap_or_default().unsigned_abs();
    assert!(score.symbols.is_sorted_by_key(|symbol| std::cmp::Reverse(weight(symbol.points))));
    for symbol in &score.symbols {
        assert!((1..=64).contains(&symbol.name.len()) && symbol.name.bytes().all(|octet| octet.is_ascii_graphic()));
        assert!(weight(symbol.points) <= MOST);
    }
    // What follows a whole answer makes it none.
    assert!(rspamd(&[body, b"x"].concat()).is_err());
});
