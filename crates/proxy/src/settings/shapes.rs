//! Settings that several accounts have alike are held once: of a million accounts most have one of a few.

use std::collections::HashSet;
use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::sync::Arc;

use hashbrown::HashTable;
use sekisho_policy::AccountSettings;
use sekisho_policy::settings::OwnLimit;

/// Names of rules that are held once; further ones are held as often as they are named.
const MOST_NAMES: usize = 4096;

/// The different settings that there are.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    slots: Vec<Slot>,
    /// Places of `slots` by what is there.
    index: HashTable<u32>,
    free: Vec<u32>,
    names: HashSet<Arc<str>>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Slot {
    /// Absent where the place is free.
    settings: Option<Arc<AccountSettings>>,
    /// How many accounts have them.
    uses: u32,
}

impl Shapes {
    /// The place of `settings`, which one more account has.
    pub(super) fn take(&mut self, settings: &AccountSettings) -> u32 {
        let hash = self.hasher.hash_one(settings);
        let slots = &self.slots;
        let is_same = |&at: &u32| slots[at as usize].settings.as_deref() == Some(settings);
        if let Some(&at) = self.index.find(hash, is_same) {
            self.slots[at as usize].uses += 1;
            return at;
        }
        let settings = Some(Arc::new(self.sharing_names(settings)));
        let slot = Slot { settings, uses: 1 };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                // There are never as many as accounts, of which there are fewer.
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, at, |&at| {
            slots[at as usize]
                .settings
                .as_deref()
                .map_or(0, |settings| hasher.hash_one(settings))
        });
        at
    }

    /// One account fewer has what is at that place.
    pub(super) fn give_back(&mut self, at: u32) {
        let slot = &mut self.slots[at as usize];
        slot.uses -= 1;
        if slot.uses > 0 {
            return;
        }
        if let Some(settings) = slot.settings.take() {
            let hash = self.hasher.hash_one(&*settings);
            if let Ok(entry) = self.index.find_entry(hash, |&other| other == at) {
                entry.remove();
            }
        }
        self.free.push(at);
    }

    pub(super) fn at(&self, at: u32) -> Option<Arc<AccountSettings>> {
        self.slots.get(at as usize)?.settings.clone()
    }

    /// Each with its place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Arc<AccountSettings>)> {
        let slots = (0_u32..).zip(&self.slots);
        slots.filter_map(|(at, slot)| Some((at, slot.settings.as_ref()?)))
    }

    fn sharing_names(&mut self, settings: &AccountSettings) -> AccountSettings {
        let limits = settings.limits.iter().map(|limit| OwnLimit {
            rule: self.shared(&limit.rule),
            ..limit.clone()
        });
        AccountSettings {
            limits: limits.collect(),
            ..settings.clone()
        }
    }

    fn shared(&mut self, name: &Arc<str>) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        if self.names.len() < MOST_NAMES {
            self.names.insert(name.clone());
        }
        name.clone()
    }
}

#[cfg(test)]
mod tests {
    use sekisho_policy::Millis;
    use sekisho_policy::settings::LoginsFromAbroad;
    use sekisho_policy::snapshot::Unit;

    use super::*;

    fn own(count: u64) -> AccountSettings {
        let limit = OwnLimit {
            rule: "per-account".into(),
            unit: Unit::Recipients,
            per: Millis::HOUR,
            count,
        };
        AccountSettings {
            logins_from_abroad: Some(LoginsFromAbroad::Refuse),
            limits: [limit].into(),
            ..AccountSettings::default()
        }
    }

    #[test]
    fn what_is_alike_is_held_once_and_places_are_used_again() {
        let mut shapes = Shapes::default();
        let places: Vec<u32> = (0..1000).map(|at| shapes.take(&own(at % 10))).collect();
        assert_eq!(shapes.iter().count(), 10);
        for (at, &place) in (0..).zip(&places) {
            assert_eq!(shapes.at(place).as_deref(), Some(&own(at % 10)));
        }
        let names: HashSet<_> = shapes
            .iter()
            .map(|(_, own)| own.limits[0].rule.as_ptr())
            .collect();
        assert_eq!(names.len(), 1, "the name of the rule is held once");
        for &place in places.iter().filter(|&&place| place != places[3]) {
            shapes.give_back(place);
        }
        assert_eq!(shapes.iter().count(), 1);
        assert!(shapes.take(&own(77)) < 10);
        assert_eq!(shapes.take(&own(3)), places[3]);
    }
}
