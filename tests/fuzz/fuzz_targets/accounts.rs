//! What a proxy hears of accounts, and what it kept of them: nothing of it panics, hearing it twice changes nothing, and files that
//! somebody else wrote are read or put aside.
#![no_main]

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use libfuzzer_sys::fuzz_target;
use sekisho_policy::settings::SettingsChanges;
use sekisho_policy::states::States;
use sekisho_policy::{Account, Timestamp};
use sekisho_proxy::{KnownSettings, Restrictions};
use sekisho_runtime::Metrics;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else { return };
    match which % 4 {
        0 => hear_states(data),
        1 => hear_settings(data),
        2 => recall_restrictions(data),
        _ => recall_settings(data),
    }
});

fn hear_states(data: &[u8]) {
    let Ok(states) = serde_json::from_slice::<States>(data) else { return };
    let all = Restrictions::new(Metrics::new());
    let seen = || {
        let accounts = states.changes.iter().map(|change| &change.account);
        accounts.map(|account| all.standing(account, NOW).is_some()).collect::<Vec<_>>()
    };
    all.apply(&states);
    let once = (all.question(), seen());
    all.apply(&states);
    assert_eq!(all.question(), once.0);
    // Of an account that is named more than once the last word holds, however often all is said.
    assert_eq!(seen(), once.1);
    all.sweep(NOW);
}

fn hear_settings(data: &[u8]) {
    let Ok(said) = serde_json::from_slice::<SettingsChanges>(data) else { return };
    let known = KnownSettings::new(Metrics::new()).unwrap();
    known.apply(&said);
    let once = (known.question(), known.len());
    known.apply(&said);
    assert_eq!((known.question(), known.len()), once);
    for change in &said.changes {
        let _ = known.of(&change.account);
    }
}

/// Each line with the sum that it must have.
fn recall_restrictions(data: &[u8]) {
    let mut file = Vec::new();
    for line in data.split(|&octet| octet == b'\n') {
        let sum = digest(&SHA256, line);
        file.extend(sum.as_ref()[..4].iter().flat_map(|octet| format!("{octet:02x}").into_bytes()));
        file.push(b' ');
        file.extend_from_slice(line);
        file.push(b'\n');
    }
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "restrictions", "mail.journal", &file);
    let all = Restrictions::new(Metrics::new());
    all.recall(folder.path(), "mail");
    let _ = all.standing(&Account::canonical("a@example.jp", None), NOW);
    all.sweep(NOW);
}

/// A base with the sum that it must have, and what follows a line of its own as its journal.
fn recall_settings(data: &[u8]) {
    const CUT: &[u8] = b"\n--\n";
    let at = data.windows(CUT.len()).position(|window| window == CUT);
    let (base, journal) = at.map_or((data, &data[..0]), |at| (&data[..at], &data[at + CUT.len()..]));
    let mut file = base.to_vec();
    file.extend_from_slice(digest(&SHA256, base).as_ref());
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "settings", "mail.base", &file);
    put(folder.path(), "settings", "mail.journal", journal);
    let known = KnownSettings::new(Metrics::new()).unwrap();
    known.recall(folder.path(), "mail");
    let _ = known.of(&Account::canonical("a@example.jp", None));
}

fn put(state: &Path, folder: &str, name: &str, content: &[u8]) {
    std::fs::create_dir_all(state.join(folder)).unwrap();
    std::fs::write(state.join(folder).join(name), content).unwrap();
}
