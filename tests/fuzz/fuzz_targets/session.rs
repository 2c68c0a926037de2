//! A whole session, its client and its next hop at their worst: see `oracle.rs` of the proxy's tests.
#![no_main]
#![allow(dead_code, clippy::unwrap_used, reason = "the fixtures of a test, which uses all of them")]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;

#[path = "../../../crates/proxy/tests/it/oracle.rs"]
mod oracle;
#[path = "../../../crates/proxy/tests/it/world.rs"]
mod world;

thread_local! {
    static ARENA: RefCell<oracle::Arena> = RefCell::new(oracle::Arena::new());
}

fuzz_target!(|script: &[u8]| ARENA.with_borrow_mut(|arena| arena.play(script)));
