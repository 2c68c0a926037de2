//! What kills proxies and has next hops fail, as often as clients have tried.

use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::dice::Dice;
use super::{EVERY, Site};

/// How often something was ended.
#[derive(Debug, Default)]
pub(super) struct Broken {
    pub(super) kills: u64,
    pub(super) failures: u64,
}

/// Breaks something every now and then until all clients are done.
pub(super) async fn run(
    site: &mut Site,
    mut progress: watch::Receiver<u64>,
    mut dice: Dice,
) -> Broken {
    let mut broken = Broken::default();
    let mut next = EVERY;
    while progress.wait_for(|made| *made >= next).await.is_ok() {
        let at = usize::from(dice.one_in(2));
        match dice.below(5) {
            0 | 1 => {
                block_in_place(|| kill(site, at));
                broken.kills += 1;
            }
            2 | 3 => {
                fail(site, &[at], dice.below(200)).await;
                broken.failures += 1;
            }
            _ => {
                fail(site, &[0, 1], dice.below(200)).await;
                broken.failures += 2;
            }
        }
        next += 1 + dice.below(2 * EVERY);
    }
    broken
}

/// SIGKILL, and a new process over the same files.
fn kill(site: &mut Site, at: usize) {
    let (world, proxy) = (&site.worlds[at], &mut site.proxies[at]);
    proxy.signal(Signal::KILL);
    proxy.wait();
    *proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
}

/// Next hops that fail, and are back after a while.
async fn fail(site: &mut Site, which: &[usize], millis: u64) {
    for &at in which {
        site.sinks[at].fail().await;
    }
    sleep(Duration::from_millis(millis)).await;
    for &at in which {
        site.sinks[at].recover().await;
    }
}
