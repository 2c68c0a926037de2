//! Counts what the walker does in its tests, which show that work grows with the message and not with its square.

#[cfg(test)]
std::thread_local! {
    static TAKEN: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Octets looked at, or comparisons made, here.
#[cfg(test)]
pub(super) fn add(count: usize) {
    TAKEN.set(TAKEN.get() + count as u64);
}

/// Nothing outside tests.
#[cfg(not(test))]
#[inline(always)]
pub(super) fn add(_: usize) {}

/// How many steps `work` took.
#[cfg(test)]
pub(super) fn count(work: impl FnOnce()) -> u64 {
    let before = TAKEN.get();
    work();
    TAKEN.get() - before
}
