//! Which of several endpoints takes a message: by chance in proportion to their weights, then the less busy of two.

/// One that may be chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// What it is called by the one who asks.
    pub(super) at: usize,
    /// Its share.
    pub(super) weight: u32,
    /// Connections to it that are in use or being made.
    pub(super) in_flight: u32,
    /// What connecting to it took of late, in microseconds; 0 is not known.
    pub(super) latency: u64,
}

/// An endpoint is slow if it takes so many times what the fastest takes, and so much more.
const SLOW_FACTOR: u64 = 4;
const SLOW_MICROS: u64 = 20_000;
/// Shares are counted in sixteenths; a slow one keeps two of them, or nobody would see that it has recovered.
const WHOLE: u64 = 16;
const LEAST: u64 = 2;

/// The one that takes the message of this seed. Those of weight 0 only where there are no others.
pub(super) fn choose(candidates: &mut Vec<Candidate>, seed: u64) -> Option<usize> {
    if candidates.iter().any(|candidate| candidate.weight > 0) {
        candidates.retain(|candidate| candidate.weight > 0);
    }
    if let [] | [_] = candidates[..] {
        return candidates.first().map(|candidate| candidate.at);
    }
    let latencies = candidates.iter().map(|candidate| candidate.latency);
    let fastest = latencies.filter(|latency| *latency > 0).min().unwrap_or(0);
    let first = draw(candidates, fastest, seed, None)?;
    let second = draw(candidates, fastest, mix(seed), Some(first))?;
    let (one, other) = (&candidates[first], &candidates[second]);
    let load =
        |of: &Candidate, beside: &Candidate| u64::from(of.in_flight) * share(beside, fastest);
    let chosen = if load(other, one) < load(one, other) {
        other
    } else {
        one
    };
    Some(chosen.at)
}

/// The index that a seed falls on, each with a chance of its share.
fn draw(candidates: &[Candidate], fastest: u64, seed: u64, except: Option<usize>) -> Option<usize> {
    let shares = || {
        let all = candidates.iter().enumerate();
        all.filter(move |(at, _)| Some(*at) != except)
            .map(move |(at, candidate)| (at, share(candidate, fastest)))
    };
    let total: u64 = shares().map(|(_, share)| share).sum();
    let mut point = seed.checked_rem(total)?;
    for (at, share) in shares() {
        if point < share {
            return Some(at);
        }
        point -= share;
    }
    None
}

/// The weight, less where the endpoint is slow.
fn share(candidate: &Candidate, fastest: u64) -> u64 {
    let own = candidate.latency;
    let usual = fastest.saturating_mul(SLOW_FACTOR);
    let part = if fastest > 0 && own > usual && own > fastest + SLOW_MICROS {
        (WHOLE.saturating_mul(usual) / own).clamp(LEAST, WHOLE)
    } else {
        WHOLE
    };
    u64::from(candidate.weight.max(1)) * part
}

/// The finaliser of SplitMix64: seeds that differ in one bit come far apart.
pub(super) const fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(of: &[(u32, u32, u64)]) -> Vec<Candidate> {
        let candidate =
            |(at, &(weight, in_flight, latency)): (usize, &(u32, u32, u64))| Candidate {
                at,
                weight,
                in_flight,
                latency,
            };
        of.iter().enumerate().map(candidate).collect()
    }

    /// How many of 10,000 messages each gets.
    fn taken(of: &[(u32, u32, u64)]) -> Vec<u32> {
        let mut taken = vec![0; of.len()];
        for seed in 0..10_000 {
            taken[choose(&mut candidates(of), mix(seed)).unwrap()] += 1;
        }
        taken
    }

    #[track_caller]
    fn assert_shares(of: &[(u32, u32, u64)], expected: &[u32]) {
        for (taken, expected) in taken(of).into_iter().zip(expected) {
            assert!(
                taken.abs_diff(*expected) <= 200,
                "{of:?}: {taken}, not {expected}"
            );
        }
    }

    #[test]
    fn shares_follow_weights_where_nobody_is_busy() {
        assert_shares(&[(1, 0, 0), (1, 0, 0)], &[5_000, 5_000]);
        assert_shares(&[(1, 0, 900), (3, 0, 1_000)], &[2_500, 7_500]);
        assert_shares(&[(0, 0, 0), (2, 0, 0), (0, 0, 0)], &[0, 10_000, 0]);
        assert_shares(&[(0, 0, 0), (0, 0, 0)], &[5_000, 5_000]);
        assert_eq!(choose(&mut Vec::new(), 7), None);
    }

    #[test]
    fn a_busy_endpoint_gets_less() {
        // It is the busier of any two: it is never chosen while another stands beside it.
        assert_shares(&[(1, 9, 0), (1, 1, 0)], &[0, 10_000]);
        // As busy as its weight says.
        assert_shares(&[(3, 9, 0), (1, 3, 0)], &[7_500, 2_500]);
    }

    #[test]
    fn a_slow_endpoint_gets_less_and_never_nothing() {
        assert_shares(&[(1, 0, 10_000), (1, 0, 1_000_000)], &[8_889, 1_111]);
        assert_shares(&[(1, 0, 10_000), (1, 0, 80_000)], &[6_667, 3_333]);
        // Milliseconds on one's own machine are no slowness.
        assert_shares(&[(1, 0, 100), (1, 0, 5_000)], &[5_000, 5_000]);
    }
}
