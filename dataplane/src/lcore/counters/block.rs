//! The numbers of one lcore, all together.

use super::{Counter, LoopBlock, PortBlock, StageBlock};
use crate::eal::PORTS_MAX;
use crate::reason::StageId;

/// All counters of one lcore.
#[derive(Debug)]
pub(in crate::lcore) struct Block {
    pub(in crate::lcore) ports: [PortBlock; PORTS_MAX],
    pub(in crate::lcore) stages: [StageBlock; StageId::COUNT],
    pub(in crate::lcore) turns: LoopBlock,
    /// Fragments that wait: no sum, but how many there are.
    pub(in crate::lcore) held: Counter,
}

impl Block {
    pub(in crate::lcore) fn new() -> Box<Self> {
        Box::new(Self {
            ports: std::array::from_fn(|_| PortBlock::default()),
            stages: std::array::from_fn(|_| StageBlock::default()),
            turns: LoopBlock::default(),
            held: Counter::default(),
        })
    }

    pub(in crate::lcore) fn copy_from(&self, other: &Self) {
        for (to, from) in self.ports.iter().zip(&other.ports) {
            to.copy_from(from);
        }
        for (to, from) in self.stages.iter().zip(&other.stages) {
            to.copy_from(from);
        }
        self.turns.copy_from(&other.turns);
        self.held.set(other.held.get());
    }
}
