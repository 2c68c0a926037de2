//! What engines answer, read strictly: a score and names, never content. The engine is not trusted: what makes no sense is no
//! answer, and what is not used is not looked at. It stands by itself, so that the fuzz targets can take it alone.

mod rspamd;
mod spamd;

use sekisho_policy::opinion::{EngineFault, MAX_SYMBOLS, Symbol};

pub(crate) use rspamd::rspamd;
pub(crate) use spamd::spamd;

/// No engine gives more points; its own test patterns are worth a thousand.
const MAX_POINTS: f64 = 1_000_000.0;
/// Engines' own names are shorter.
const MAX_NAME: usize = 64;

/// Points in thousandths.
///
/// # Errors
/// [`EngineFault::BadAnswer`] for what is no number, or one beyond all measure.
fn thousandths(points: f64) -> Result<i64, EngineFault> {
    // Comparing this way round turns NaN away too.
    if points.abs() <= MAX_POINTS {
        #[expect(clippy::cast_possible_truncation, reason = "it was bounded just now")]
        return Ok((points * 1000.0).round() as i64);
    }
    Err(EngineFault::BadAnswer)
}

/// A symbol with a name that can be shown anywhere; others are left out.
fn symbol(name: &str, points: Option<i64>) -> Option<Symbol> {
    let shown = name.bytes().all(|octet| octet.is_ascii_graphic());
    (shown && (1..=MAX_NAME).contains(&name.len())).then(|| Symbol {
        name: name.into(),
        points,
    })
}

/// The symbols to keep, the weightiest first. Those without weight were merely noticed, and are kept only where nothing has any.
fn weightiest(mut symbols: Vec<Symbol>) -> Vec<Symbol> {
    let weight = |symbol: &Symbol| symbol.points.unwrap_or_default().unsigned_abs();
    if symbols.iter().any(|symbol| weight(symbol) > 0) {
        symbols.retain(|symbol| weight(symbol) > 0);
    }
    symbols.sort_by(|a, b| weight(b).cmp(&weight(a)).then_with(|| a.name.cmp(&b.name)));
    symbols.truncate(MAX_SYMBOLS);
    symbols
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sekisho_policy::opinion::Score;

    use super::*;

    const RSPAMD: &[u8] = br#"{"is_skipped":false,"score":2.4,"required_score":15.0,"action":"reject","symbols":{
        "MIME_GOOD":{"name":"MIME_GOOD","score":-0.1,"description":"Known content-type","options":["text/plain"]},
        "GTUBE":{"name":"GTUBE","score":2.5}},"messages":{},"message-id":"x@example.jp","time_real":0.001}"#;
    const SPAMD: &[u8] =
        b"SPAMD/1.1 0 EX_OK\r\nContent-length: 15\r\nSpam: True ; 15.0 / 5.0\r\n\r\nGTUBE,NO_RELAYS";

    fn check(read: Result<Score, EngineFault>) {
        let Ok(score) = read else { return };
        assert!(score.points.unsigned_abs() <= 1_000_000_000);
        assert!(score.symbols.len() <= MAX_SYMBOLS);
        for symbol in &score.symbols {
            assert!((1..=MAX_NAME).contains(&symbol.name.len()));
            assert!(symbol.name.bytes().all(|octet| octet.is_ascii_graphic()));
            let weight = symbol.points.unwrap_or_default();
            assert!(weight.unsigned_abs() <= 1_000_000_000);
        }
    }

    /// Replaces, removes and repeats octets of `real`.
    fn mutated(real: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
        let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
        prop::collection::vec(change, 0..8).prop_map(move |changes| {
            let mut answer = real.to_vec();
            for (at, octet, what) in changes {
                let at = at.index(answer.len() + 1);
                match what {
                    0 => answer.insert(at, octet),
                    1 => answer.truncate(at.max(1)),
                    2 => answer.extend_from_within(at..),
                    _ => {
                        if let Some(place) = answer.get_mut(at) {
                            *place = octet;
                        }
                    }
                }
            }
            answer
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

        #[test]
        fn what_is_read_is_within_bounds(json in mutated(RSPAMD), text in mutated(SPAMD), noise: Vec<u8>) {
            for octets in [&json, &text, &noise] {
                check(rspamd(octets));
                check(spamd(octets));
            }
            // What follows a whole answer makes it none, and so does a cut before its body.
            prop_assert!(rspamd(&[&json[..], b"x"].concat()).is_err());
            if spamd(&text).is_ok() {
                let head = text.windows(4).position(|four| four == b"\r\n\r\n");
                for cut in 0..head.map_or(0, |at| at + 4) {
                    prop_assert!(spamd(&text[..cut]).is_err());
                }
            }
        }
    }

    #[test]
    fn the_samples_are_answers() {
        assert!(rspamd(RSPAMD).is_ok() && spamd(SPAMD).is_ok());
    }
}
