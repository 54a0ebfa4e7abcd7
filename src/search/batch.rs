//! The proposals of one generation while they are collected.
use std::collections::BTreeSet;

use crate::space::Architecture;
use crate::space::Identity;

use super::Costs;
use super::Generation;
use super::Proposal;
use super::Situation;

/// Takes what is new to the run and within the hard limits, as long as there is room.
pub(super) struct Batch<'a> {
    situation: &'a Situation<'a>,
    seen: BTreeSet<Identity>,
    generation: Generation,
}

impl<'a> Batch<'a> {
    pub(super) fn new(situation: &'a Situation<'a>) -> Batch<'a> {
        Batch { situation, seen: BTreeSet::new(), generation: Generation::default() }
    }

    /// How many more are wanted.
    pub(super) fn room(&self) -> usize {
        self.situation.room - self.generation.proposals.len()
    }

    /// The costs of an architecture that may be proposed; never twice the same one.
    pub(super) fn look_at(&mut self, architecture: &Architecture) -> Option<Costs> {
        let identity = architecture.identity();
        if self.situation.known.contains(&identity) || self.seen.contains(&identity) {
            return None;
        }
        self.generation.looked_at += 1;
        let costs = (self.situation.costs)(architecture)?;
        self.seen.insert(identity);
        Some(costs)
    }

    /// Proposes what was looked at.
    pub(super) fn add(&mut self, architecture: Architecture, parent: Option<u64>) {
        debug_assert!(self.room() > 0, "a generation has no more than its room");
        self.generation.proposals.push(Proposal { parent, architecture });
    }

    /// Proposes it if it may be, and there is room.
    pub(super) fn offer(&mut self, architecture: Architecture, parent: Option<u64>) -> bool {
        let wanted = self.room() > 0 && self.look_at(&architecture).is_some();
        if wanted {
            self.add(architecture, parent);
        }
        wanted
    }

    pub(super) fn done(self) -> Generation {
        self.generation
    }
}
