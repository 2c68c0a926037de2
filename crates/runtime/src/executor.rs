//! The threads of a process.

use std::io;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};

/// Threads for each core that may block: on files, on passwords, on a long look at a message.
const BLOCKING_PER_CORE: usize = 4;
const LEAST_BLOCKING: usize = 32;

/// One worker for each core, and so few threads that may block that a crowd of messages queues for them. Each has a stack and
/// keeps memory that it freed: with the 512 that tokio allows, they would take more than what the messages may.
///
/// # Errors
/// The system gives no threads, or no descriptors.
pub fn executor() -> io::Result<Runtime> {
    let cores = available_parallelism().map_or(1, NonZero::get);
    Builder::new_multi_thread()
        .max_blocking_threads((cores * BLOCKING_PER_CORE).max(LEAST_BLOCKING))
        .enable_all()
        .build()
}
