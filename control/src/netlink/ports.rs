//! What happens to the taps, for the ports behind them.

use std::collections::HashMap;

use ironlane_fib::{Mac, PortId};
use ironlane_rib::{Change, IfIndex, Link};

/// Something was done to the tap of a port that the port should follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortEvent {
    /// The port.
    pub port: PortId,
    /// Its tap.
    pub ifindex: IfIndex,
    /// What was done.
    pub change: PortChange,
}

/// What was done to a tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortChange {
    /// `ip link set TAP up` or `down`; also told once when a port is bound.
    Admin(bool),
    /// `ip link set TAP mtu N`.
    Mtu(u32),
    /// `ip link set TAP address MAC`.
    Mac(Mac),
    /// The tap was deleted, or moved to another network namespace.
    Gone,
}

/// Who is told; called on the mirror's thread, and must not block.
pub type PortListener = Box<dyn FnMut(PortEvent) + Send>;

/// Compares links with what they were.
pub(super) struct PortWatch {
    links: HashMap<IfIndex, Seen>,
    ports: HashMap<IfIndex, PortId>,
    listener: PortListener,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    up: bool,
    carrier: bool,
    mtu: u32,
    mac: Option<Mac>,
}

impl PortWatch {
    pub fn new(listener: PortListener) -> Self {
        Self {
            links: HashMap::new(),
            ports: HashMap::new(),
            listener,
        }
    }

    /// A port has this tap from now on.
    pub fn bind(&mut self, ifindex: IfIndex, port: PortId) {
        let before = self.ports.insert(ifindex, port);
        if let (true, Some(link)) = (before != Some(port), self.links.get(&ifindex)) {
            let change = PortChange::Admin(link.up);
            (self.listener)(PortEvent {
                port,
                ifindex,
                change,
            });
        }
    }

    /// The tap is no port's any more.
    pub fn unbind(&mut self, ifindex: IfIndex) {
        self.ports.remove(&ifindex);
    }

    /// Looks at a change before the RIB takes it. True if a link changed with which the kernel may
    /// have changed more.
    pub fn see(&mut self, change: &Change) -> bool {
        match change {
            Change::SetLink(link) => self.set(link),
            Change::DelLink(ifindex) => {
                let known = self.links.remove(ifindex).is_some();
                if known {
                    self.tell(*ifindex, PortChange::Gone);
                }
                known
            }
            _ => false,
        }
    }

    /// Whole lists name no other links than those that `exists` knows: the rest went unseen.
    pub fn sweep(&mut self, exists: impl Fn(IfIndex) -> bool) {
        let known = self.links.keys().copied();
        let gone: Vec<_> = known.filter(|&ifindex| !exists(ifindex)).collect();
        for ifindex in gone {
            self.see(&Change::DelLink(ifindex));
        }
    }

    fn set(&mut self, link: &Link) -> bool {
        let new = Seen {
            up: link.up,
            carrier: link.carrier,
            mtu: link.mtu,
            mac: link.mac,
        };
        let old = self.links.insert(link.index, new);
        if old == Some(new) {
            return false;
        }
        if old.is_none_or(|old| old.up != new.up) {
            self.tell(link.index, PortChange::Admin(new.up));
        }
        let Some(old) = old else { return false };
        if old.mtu != new.mtu {
            self.tell(link.index, PortChange::Mtu(new.mtu));
        }
        if let (Some(mac), true) = (new.mac, old.mac != new.mac) {
            self.tell(link.index, PortChange::Mac(mac));
        }
        true
    }

    fn tell(&mut self, ifindex: IfIndex, change: PortChange) {
        if let Some(&port) = self.ports.get(&ifindex) {
            (self.listener)(PortEvent {
                port,
                ifindex,
                change,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_changes_is_told_once_and_of_ports_alone() {
        let (sender, told) = mpsc::channel();
        let mut watch = PortWatch::new(Box::new(move |event| sender.send(event).unwrap()));
        let link = |index, up, mtu, last| {
            let mac = Some([2, 0, 0, 0, 0, last]);
            Change::SetLink(Link {
                up,
                mtu,
                mac,
                ..Link::new(IfIndex(index))
            })
        };
        watch.see(&link(7, false, 1500, 1));
        watch.bind(IfIndex(7), PortId(3));
        watch.bind(IfIndex(7), PortId(3));
        for index in [7, 8] {
            watch.see(&link(index, true, 1500, 1));
            watch.see(&link(index, true, 1500, 1));
            watch.see(&link(index, true, 9000, 2));
            watch.see(&Change::DelLink(IfIndex(index)));
        }
        let changes: Vec<_> = told
            .try_iter()
            .map(|e| (e.port.0, e.ifindex.0, e.change))
            .collect();
        let expected = [
            PortChange::Admin(false),
            PortChange::Admin(true),
            PortChange::Mtu(9000),
            PortChange::Mac([2, 0, 0, 0, 0, 2]),
            PortChange::Gone,
        ];
        assert_eq!(changes, expected.map(|change| (3, 7, change)));
    }
}
