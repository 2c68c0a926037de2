//! What the holder was told, so that it need only be told what changed; in requests of a bounded size.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::fleet::random;
use crate::fleet::reports::{Name, Told};
use crate::fleet::wire::{Connected, Gone, MAX_LINES, MAX_PUSH_BYTES, Part, Push};

/// Room for what is around the lines of a request.
const ENVELOPE_BYTES: usize = 1024;

type Lines = BTreeMap<Name, Told>;

/// One epoch: a whole table and its changes.
pub(super) struct Table {
    epoch: u64,
    sequence: u64,
    /// The revision of each line that was told.
    told: BTreeMap<Name, u64>,
}

impl Table {
    pub(super) fn new() -> Self {
        let epoch = u64::from(random::number()) << 32 | u64::from(random::number());
        Self {
            epoch,
            sequence: 0,
            told: BTreeMap::new(),
        }
    }

    /// The requests that tell all.
    pub(super) fn whole(&mut self, own: &Lines, now: Instant) -> serde_json::Result<Vec<Vec<u8>>> {
        self.told = revisions(own);
        let lines = own
            .iter()
            .map(|(name, told)| Line::connected(name, told, now));
        self.requests(lines, Part::Table, Part::TableEnd)
    }

    /// The requests that tell what changed; none if nothing did.
    pub(super) fn changes(
        &mut self,
        own: &Lines,
        now: Instant,
    ) -> serde_json::Result<Vec<Vec<u8>>> {
        let before = std::mem::replace(&mut self.told, revisions(own));
        let changed = own
            .iter()
            .filter(|(name, told)| before.get(*name) != Some(&told.revision))
            .map(|(name, told)| Line::connected(name, told, now));
        let gone = before
            .keys()
            .filter(|name| !own.contains_key(*name))
            .map(Line::gone);
        let lines: Vec<_> = changed.chain(gone).collect();
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        self.requests(lines.into_iter(), Part::Changes, Part::Changes)
    }

    /// A request that says nothing but that this replica is there.
    pub(super) fn heartbeat(&mut self) -> serde_json::Result<Vec<u8>> {
        let push = self.next(Part::Changes);
        serde_json::to_vec(&push)
    }

    fn requests(
        &mut self,
        lines: impl Iterator<Item = Line>,
        more: Part,
        last: Part,
    ) -> serde_json::Result<Vec<Vec<u8>>> {
        let mut requests = Vec::new();
        let mut push = self.next(more);
        let mut octets = ENVELOPE_BYTES;
        for line in lines {
            let size = line.size()? + 1;
            let count = push.connected.len() + push.gone.len();
            if count == MAX_LINES || octets + size > MAX_PUSH_BYTES {
                requests.push(serde_json::to_vec(&push)?);
                push = self.next(more);
                octets = ENVELOPE_BYTES;
            }
            octets += size;
            match line {
                Line::Connected(connected) => push.connected.push(connected),
                Line::Gone(gone) => push.gone.push(gone),
            }
        }
        push.part = last;
        requests.push(serde_json::to_vec(&push)?);
        Ok(requests)
    }

    fn next(&mut self, part: Part) -> Push {
        let sequence = self.sequence;
        self.sequence += 1;
        Push {
            epoch: self.epoch,
            sequence,
            part,
            connected: Vec::new(),
            gone: Vec::new(),
        }
    }
}

fn revisions(own: &Lines) -> BTreeMap<Name, u64> {
    own.iter()
        .map(|(name, told)| (name.clone(), told.revision))
        .collect()
}

enum Line {
    Connected(Connected),
    Gone(Gone),
}

impl Line {
    fn connected(name: &Name, told: &Told, now: Instant) -> Self {
        let age = now.duration_since(told.said.at).as_millis();
        Self::Connected(Connected {
            gateway: name.gateway.to_string(),
            proxy: name.proxy.to_string(),
            age_ms: u64::try_from(age).unwrap_or(u64::MAX),
            report: (*told.said.report).clone(),
        })
    }

    fn gone(name: &Name) -> Self {
        Self::Gone(Gone {
            gateway: name.gateway.to_string(),
            proxy: name.proxy.to_string(),
        })
    }

    fn size(&self) -> serde_json::Result<usize> {
        let json = match self {
            Self::Connected(connected) => serde_json::to_vec(connected)?,
            Self::Gone(gone) => serde_json::to_vec(gone)?,
        };
        Ok(json.len())
    }
}
