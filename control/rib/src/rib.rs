//! The state of the kernel, and its way into the tables.

use std::collections::BTreeMap;

use ironlane_fib::{VrfId, Writer};

use crate::change::{Change, ObjectKind, PortBinding};
use crate::object::IfIndex;
use crate::report::CommitReport;

/// What the kernel has, and what the tables make of it.
#[derive(Debug)]
pub struct Rib {
    vrf: VrfId,
    bindings: BTreeMap<IfIndex, PortBinding>,
}

impl Rib {
    /// An empty one, which writes to the tables of `vrf`.
    pub fn new(vrf: VrfId) -> Self {
        Self {
            vrf,
            bindings: BTreeMap::new(),
        }
    }

    /// The VRF whose tables it writes.
    pub fn vrf(&self) -> VrfId {
        self.vrf
    }

    /// Takes in an event, or an entry of a dump. Nothing is written before [`Rib::commit`].
    pub fn apply(&mut self, _change: Change) {}

    /// A dump of this kind begins: what it does not name is gone when it ends.
    pub fn sync_begin(&mut self, _kind: ObjectKind) {}

    /// A dump of this kind ended without interruption: sweeps what it did not name, and tells
    /// how much that was.
    pub fn sync_end(&mut self, _kind: ObjectKind) -> usize {
        0
    }

    /// Says which port stands behind an interface, or that its MAC or MTU is another.
    pub fn bind_port(&mut self, ifindex: IfIndex, binding: PortBinding) {
        self.bindings.insert(ifindex, binding);
    }

    /// The interface has no port any more: Linux forwards what leaves by it.
    pub fn unbind_port(&mut self, ifindex: IfIndex) -> Option<PortBinding> {
        self.bindings.remove(&ifindex)
    }

    /// All ports and their interfaces.
    pub fn bindings(&self) -> impl Iterator<Item = (IfIndex, PortBinding)> {
        self.bindings
            .iter()
            .map(|(&ifindex, &binding)| (ifindex, binding))
    }

    /// Writes to the tables what changed since the last commit, and nothing else.
    pub fn commit(&mut self, _writer: &mut Writer) -> CommitReport {
        CommitReport::default()
    }
}
