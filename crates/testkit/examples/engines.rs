//! Starts the real rspamd and spamd, prints where each listens, and stops them when standard input ends. For benches:
//! `cargo run -p sekisho-testkit --example engines -- WORKERS`.

use std::io::{Read as _, Write as _};

use sekisho_testkit::{Rspamd, Spamd};

fn main() -> std::io::Result<()> {
    let workers = std::env::args()
        .nth(1)
        .and_then(|count| count.parse().ok())
        .unwrap_or(1);
    let (rspamd, spamd) = (Rspamd::start(workers), Spamd::start(workers));
    let mut out = std::io::stdout().lock();
    if let Some(rspamd) = &rspamd {
        writeln!(out, "rspamd {}", rspamd.address())?;
    }
    if let Some(spamd) = &spamd {
        writeln!(out, "spamd {}", spamd.address())?;
    }
    writeln!(out, "ready")?;
    out.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
