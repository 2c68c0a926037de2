//! Which rules have something to do at a stage: in evaluation order, without walking past the rules for other accounts.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::event::Event;
use crate::matching::account_of;
use crate::rules::Stages;
use crate::ruleset::Armed;
use crate::snapshot::Enforcement;

/// The rules of each stage.
#[derive(Debug, Default)]
pub(crate) struct ByStage([OneStage; Stages::COUNT]);

#[derive(Debug, Default)]
struct OneStage {
    /// Rules that may apply to any account.
    any: Vec<usize>,
    /// Rules that name their accounts, by account in ASCII lower case.
    named: HashMap<Box<[u8]>, Vec<usize>>,
}

impl ByStage {
    /// Indexes every rule that is not `Off`.
    pub(crate) fn new(rules: &[Armed]) -> Self {
        let mut stages = Self::default();
        for (at, rule) in rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.enforcement != Enforcement::Off)
        {
            for (stage, list) in stages.0.iter_mut().enumerate() {
                if rule.stages.contains(Stages::at(stage)) {
                    list.add(at, rule);
                }
            }
        }
        stages
    }

    /// The places of the rules that could apply to `event`, ascending.
    pub(crate) fn places(&self, event: &Event) -> impl Iterator<Item = usize> {
        let stage = &self.0[Stages::of(&event.stage).index()];
        Merged {
            one: &stage.any,
            other: stage.named_for(event),
        }
    }
}

impl OneStage {
    fn add(&mut self, at: usize, rule: &Armed) {
        match rule.applies.named_accounts() {
            Some(names) => {
                for name in names {
                    self.named
                        .entry(name.as_bytes().into())
                        .or_default()
                        .push(at);
                }
            }
            None => self.any.push(at),
        }
    }

    fn named_for(&self, event: &Event) -> &[usize] {
        let Some(account) = account_of(event).filter(|_| !self.named.is_empty()) else {
            return &[];
        };
        let lower: SmallVec<[u8; 64]> = account
            .as_str()
            .bytes()
            .map(|byte| byte.to_ascii_lowercase())
            .collect();
        self.named.get(&lower[..]).map_or(&[], Vec::as_slice)
    }
}

/// Two ascending lists as one.
struct Merged<'a> {
    one: &'a [usize],
    other: &'a [usize],
}

impl Iterator for Merged<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let from = match (self.one.first(), self.other.first()) {
            (Some(one), Some(other)) if other < one => &mut self.other,
            (Some(_), _) => &mut self.one,
            (None, _) => &mut self.other,
        };
        let (&first, rest) = from.split_first()?;
        *from = rest;
        Some(first)
    }
}
