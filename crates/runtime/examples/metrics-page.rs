//! Writes docs/metrics.md to standard output: `make generate` runs it.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(sekisho_runtime::metrics::describe().as_bytes())
}
