//! Short ways to write operations, and the runtime.

use std::future::Future;
use std::sync::LazyLock;

use sekisho_policy::signal::{Added, Award, Awards};
use sekisho_policy::{Item, Key, Millis, Op, Outcome, Signal, Span, Timestamp};
use tokio::runtime::Runtime;

pub(crate) fn key(name: &str) -> Key {
    Key::new(name.as_bytes())
}

pub(crate) fn gate(name: &str, cost: u64, limit: u64, window: u64) -> Op {
    Op::Gate {
        key: key(name),
        cost,
        limit,
        window: Millis(window),
    }
}

pub(crate) fn meter(name: &str, cost: u64, window: u64) -> Op {
    Op::Meter {
        key: key(name),
        cost,
        window: Millis(window),
    }
}

pub(crate) fn read(name: &str, window: u64) -> Op {
    Op::Read {
        key: key(name),
        window: Millis(window),
    }
}

pub(crate) fn distinct(name: &str, item: u32, window: u64) -> Op {
    Op::Distinct {
        key: key(name),
        item: item_of(item),
        window: Millis(window),
    }
}

pub(crate) fn admit(name: &str, item: u32, most: u64, window: u64) -> Op {
    Op::Admit {
        key: key(name),
        item: item_of(item),
        most,
        window: Millis(window),
    }
}

pub(crate) fn forget(name: &str, item: u32) -> Op {
    Op::Forget {
        key: key(name),
        item: item_of(item),
    }
}

pub(crate) fn count(name: &str, window: u64) -> Op {
    Op::Count {
        key: key(name),
        window: Millis(window),
    }
}

pub(crate) fn lock(name: &str, base: u64, growth: u32, max: u64) -> Op {
    Op::Lock {
        key: key(name),
        base: Millis(base),
        growth,
        max: Millis(max),
    }
}

pub(crate) fn locked(name: &str) -> Op {
    Op::Locked { key: key(name) }
}

pub(crate) fn clear(name: &str) -> Op {
    Op::Clear { key: key(name) }
}

pub(crate) fn forgive(name: &str, before: u64) -> Op {
    Op::Forgive {
        key: key(name),
        before: Timestamp(before),
    }
}

pub(crate) fn disown(key: &Key, from: u64, to: u64, keep: u64) -> Op {
    Op::Disown {
        key: key.clone(),
        span: Span {
            from: Timestamp(from),
            to: Timestamp(to),
        },
        keep: Millis(keep),
    }
}

pub(crate) fn heed(key: &Key, mark: &Key) -> Op {
    Op::Heed {
        key: key.clone(),
        mark: mark.clone(),
    }
}

pub(crate) fn award(name: &str, signal: Signal, points: u32, hold: u64, keep: u64) -> Op {
    Op::Award {
        key: key(name),
        signal,
        points,
        hold: Millis(hold),
        keep: Millis(keep),
    }
}

pub(crate) fn points(name: &str, keep: u64) -> Op {
    Op::Points {
        key: key(name),
        keep: Millis(keep),
    }
}

/// The window, the first time, how long one is remembered.
pub(crate) fn correspond(name: &str, items: &[u32], spans: (u64, u64, u64)) -> Op {
    Op::Correspond {
        key: key(name),
        items: items.iter().map(|&item| hash_of(item)).collect(),
        window: Millis(spans.0),
        learn: Millis(spans.1),
        keep: Millis(spans.2),
    }
}

/// Keyed hashes differ from their first octets on.
fn hash_of(number: u32) -> Item {
    (u128::from(number) << 80).to_be_bytes()
}

pub(crate) fn awards(added: Added, list: &[(Signal, u32, u64)]) -> Outcome {
    let list = list.iter().map(|&(signal, points, at)| Award {
        signal,
        points,
        at: Timestamp(at),
    });
    Outcome::Awards(Box::new(Awards {
        list: list.collect(),
        added,
    }))
}

pub(crate) fn until(at: u64) -> Outcome {
    Outcome::Until(Some(Timestamp(at)))
}

pub(crate) fn passed(total: u64) -> Outcome {
    Outcome::Passed { total }
}

pub(crate) fn full(total: u64, retry_at: impl Into<Option<u64>>) -> Outcome {
    Outcome::Full {
        total,
        retry_at: retry_at.into().map(Timestamp),
    }
}

fn item_of(number: u32) -> Item {
    u128::from(number).to_be_bytes()
}

/// Runs a future on the one runtime of this process, where connections go on living between calls.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all();
        builder.build().expect("a runtime")
    });
    RUNTIME.block_on(future)
}
