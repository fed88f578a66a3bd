//! Route bodies: all of a route but its key, stored once for all routes that share it.
//!
//! A full table has a million routes and a few hundred bodies. The kernel does the same
//! (`struct fib_info`), and marks a body dead to lose all its routes at once; so do we.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::change::Family;
use crate::hash::BuildFold;
use crate::object::{IfIndex, NexthopId, Path, Route, RouteKind, RouteTarget};
use crate::slot::SlotId;

/// `RT_SCOPE_HOST`: routes of this scope outlive their interface's going down.
const SCOPE_HOST: u8 = 254;

/// `RTPROT_RA`: routes from router advertisements never join a multipath route.
const PROTOCOL_RA: u8 = 9;

/// Number of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BodyId(u32);

/// What makes two routes' bodies the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BodyKey {
    pub(crate) family: Family,
    pub(crate) kind: RouteKind,
    pub(crate) protocol: u8,
    pub(crate) scope: u8,
    pub(crate) from: Option<IpNet>,
    pub(crate) prefsrc: Option<IpAddr>,
    pub(crate) mtu: Option<u32>,
    /// Flags that the kernel's link state sets (dead, linkdown) are cleared.
    pub(crate) target: RouteTarget,
}

impl BodyKey {
    /// The body of a route, and which of its paths the message said are dead: none of them if it
    /// is empty. IPv6 paths are sorted: the kernel lists siblings in any order.
    pub(crate) fn new(route: Route) -> (Self, Vec<bool>) {
        let family = Family::of(route.prefix.addr());
        let mut target = route.target;
        let mut dead = Vec::new();
        if let RouteTarget::Paths(paths) = &mut target {
            if family == Family::Ip6 {
                paths.sort();
            }
            if paths.iter().any(|path| path.dead) {
                dead = paths.iter().map(|path| path.dead).collect();
            }
            for path in paths.iter_mut() {
                (path.dead, path.linkdown) = (false, false);
            }
        }
        // The kernel calls a route a blackhole while its nexthop object is one.
        let by_object = matches!(target, RouteTarget::Object(_));
        let kind = match route.kind {
            RouteKind::Blackhole if by_object => RouteKind::Unicast,
            kind => kind,
        };
        let key = Self {
            family,
            kind,
            protocol: route.protocol,
            scope: route.scope,
            from: route.from,
            prefsrc: route.prefsrc,
            mtu: route.mtu,
            target,
        };
        (key, dead)
    }

    /// The metric `mtu` as slots know it: 0 for none.
    pub(crate) fn mtu(&self) -> u16 {
        self.mtu
            .map_or(0, |mtu| u16::try_from(mtu).unwrap_or(u16::MAX))
    }

    /// Paths of its own.
    pub(crate) fn paths(&self) -> &[Path] {
        match &self.target {
            RouteTarget::Paths(paths) => paths,
            RouteTarget::Object(_) => &[],
        }
    }

    /// The nexthop object that it uses.
    pub(crate) fn object(&self) -> Option<NexthopId> {
        match self.target {
            RouteTarget::Paths(_) => None,
            RouteTarget::Object(id) => Some(id),
        }
    }

    /// Whether the kernel joins IPv6 routes of one prefix and metric with this one into a
    /// multipath route (`rt6_qualify_for_ecmp`).
    pub(crate) fn joins_multipath(&self) -> bool {
        self.protocol != PROTOCOL_RA
            && !self.paths().is_empty()
            && self.paths().iter().all(|path| path.gateway.is_some())
    }

    /// Whether its paths die when an interface goes down.
    fn dies_with_link(&self) -> bool {
        self.family == Family::Ip6 || self.scope < SCOPE_HOST
    }
}

/// A body and its state.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) key: Arc<BodyKey>,
    /// Entries that use it.
    refs: u32,
    /// The kernel dropped it: its routes are gone, and leave when met or at the next commit.
    doomed: bool,
    /// By path: dead by the state of its interface.
    dead: Vec<bool>,
    /// The nexthop slot of its prefixes, once one was the best of its prefix.
    pub(crate) slot: Option<SlotId>,
}

impl Body {
    /// Whether the path of this number is dead.
    pub(crate) fn is_dead(&self, path: usize) -> bool {
        self.dead.get(path).copied().unwrap_or(false)
    }

    /// Whether just these paths are dead.
    fn has_dead(&self, dead: &[bool]) -> bool {
        let dead = |path| dead.get(path).copied().unwrap_or(false);
        (0..self.key.paths().len()).all(|path| self.is_dead(path) == dead(path))
    }

    /// Whether it is for packets from everywhere.
    pub(crate) fn is_for_all_sources(&self) -> bool {
        self.key.from.is_none_or(|from| from.prefix_len() == 0)
    }

    /// Whether lookups pass it by: it has paths, and all are dead. The kernel leaves such a route
    /// of IPv6 standing if a live path was deleted from beside a dead one.
    pub(crate) fn sleeps(&self) -> bool {
        !self.dead.is_empty() && self.dead.iter().all(|&dead| dead)
    }

    /// Whether the kernel dropped all routes of this body.
    pub(crate) fn is_doomed(&self) -> bool {
        self.doomed
    }
}

/// All bodies, found by content, by interface and by nexthop object.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    slab: Vec<Option<Body>>,
    free: Vec<u32>,
    /// Several of IPv6, if different paths of them are dead.
    by_key: HashMap<Arc<BodyKey>, Vec<BodyId>, BuildFold>,
    by_port: BTreeSet<(IfIndex, BodyId)>,
    by_object: BTreeSet<(NexthopId, BodyId)>,
    /// Entries that use doomed bodies, by family.
    doomed_refs: [usize; 2],
    freed: Vec<SlotId>,
}

/// What a change of an interface means for the paths over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The interface went down: local addresses stay.
    Down,
    /// IPv4 left the interface with its last address.
    Disabled,
    /// The interface is gone; the kernel drops IPv4 routes that had any path over it.
    Gone,
}

impl Bodies {
    /// One more user of the body with this content. Paths of a new body are dead as `dead` says.
    ///
    /// IPv4 routes of one content die and revive together, as they share a `fib_info`. Of IPv6
    /// each has paths of its own: those of a route that came after its interface are alive, while
    /// those of an older one still wait for the carrier.
    pub(crate) fn acquire(&mut self, key: BodyKey, dead: &[bool]) -> BodyId {
        let known = self.by_key.get_key_value(&key);
        let mut found = known.iter().flat_map(|(_, ids)| ids.iter().copied());
        if let Some(id) = found.find(|&id| key.family == Family::Ip4 || self[id].has_dead(dead)) {
            self[id].refs += 1;
            return id;
        }
        let key = known.map_or_else(|| Arc::new(key), |(known, _)| Arc::clone(known));
        let body = Body {
            key: Arc::clone(&key),
            refs: 1,
            doomed: false,
            dead: dead.to_vec(),
            slot: None,
        };
        let id = match self.free.pop() {
            Some(index) => BodyId(index),
            None => {
                self.slab.push(None);
                BodyId(u32::try_from(self.slab.len() - 1).expect("fewer bodies than routes"))
            }
        };
        self.slab[id.0 as usize] = Some(body);
        self.by_key.entry(Arc::clone(&key)).or_default().push(id);
        self.index(&key, id, true);
        id
    }

    /// One user less. With the last one the body goes, and its slot is free to be released.
    pub(crate) fn release(&mut self, id: BodyId) {
        let body = &mut self[id];
        body.refs -= 1;
        let (doomed, left, family) = (body.doomed, body.refs, body.key.family);
        if doomed {
            self.doomed_refs[family as usize] -= 1;
        }
        if left > 0 {
            return;
        }
        let body = self.slab[id.0 as usize].take().expect("a body with users");
        self.free.push(id.0);
        if !doomed {
            self.unname(&body.key, id);
        }
        self.index(&body.key, id, false);
        self.freed.extend(body.slot);
    }

    /// Slots whose bodies are gone, for the caller to release.
    pub(crate) fn take_freed(&mut self) -> Vec<SlotId> {
        std::mem::take(&mut self.freed)
    }

    fn index(&mut self, key: &BodyKey, id: BodyId, enter: bool) {
        for path in key.paths() {
            if enter {
                self.by_port.insert((path.ifindex, id));
            } else {
                self.by_port.remove(&(path.ifindex, id));
            }
        }
        if let Some(object) = key.object() {
            if enter {
                self.by_object.insert((object, id));
            } else {
                self.by_object.remove(&(object, id));
            }
        }
    }

    /// The kernel dropped all routes of this body. A route added later with the same content
    /// gets a new body.
    pub(crate) fn doom(&mut self, id: BodyId) {
        let body = &mut self[id];
        if body.doomed {
            return;
        }
        body.doomed = true;
        let (key, refs) = (Arc::clone(&body.key), body.refs as usize);
        self.unname(&key, id);
        self.doomed_refs[key.family as usize] += refs;
    }

    /// The body is no longer found by its content.
    fn unname(&mut self, key: &BodyKey, id: BodyId) {
        if let Some(ids) = self.by_key.get_mut(key) {
            ids.retain(|&other| other != id);
            if ids.is_empty() {
                self.by_key.remove(key);
            }
        }
    }

    /// Whether two bodies have one content, though other paths of them may be dead.
    pub(crate) fn alike(&self, one: BodyId, other: BodyId) -> bool {
        one == other || Arc::ptr_eq(&self[one].key, &self[other].key)
    }

    /// How many entries of a family use doomed bodies.
    pub(crate) fn doomed_refs(&self, family: Family) -> usize {
        self.doomed_refs[family as usize]
    }

    /// Whether any entry uses a doomed body.
    pub(crate) fn any_doomed(&self) -> bool {
        self.doomed_refs != [0; 2]
    }

    /// Bodies with a path over an interface.
    pub(crate) fn by_port(&self, ifindex: IfIndex) -> Vec<BodyId> {
        let all = (ifindex, BodyId(0))..=(ifindex, BodyId(u32::MAX));
        self.by_port.range(all).map(|&(_, id)| id).collect()
    }

    /// Bodies that use a nexthop object.
    pub(crate) fn by_object(&self, object: NexthopId) -> Vec<BodyId> {
        let all = (object, BodyId(0))..=(object, BodyId(u32::MAX));
        self.by_object.range(all).map(|&(_, id)| id).collect()
    }

    /// All bodies whose routes are there.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (BodyId, &Body)> {
        let live = self
            .slab
            .iter()
            .zip(0..)
            .filter_map(|(body, id)| Some((BodyId(id), body.as_ref()?)));
        live.filter(|(_, body)| !body.doomed)
    }

    /// Paths over an interface die, and with its last path a body; tells whether one did.
    pub(crate) fn lose_port(&mut self, family: Family, ifindex: IfIndex, loss: Loss) -> bool {
        let mut any = false;
        for id in self.by_port(ifindex) {
            let body = &mut self[id];
            let spared = loss == Loss::Down && !body.key.dies_with_link();
            if body.key.family != family || body.doomed || spared {
                continue;
            }
            any = true;
            let key = Arc::clone(&body.key);
            body.dead.resize(key.paths().len(), false);
            for (path, dead) in key.paths().iter().zip(&mut body.dead) {
                *dead |= path.ifindex == ifindex;
            }
            let whole = loss == Loss::Gone && family == Family::Ip4;
            if whole || body.dead.iter().all(|&dead| dead) {
                self.doom(id);
            }
        }
        any
    }

    /// Dead paths over an interface revive; tells whether one did.
    pub(crate) fn revive_port(&mut self, family: Family, ifindex: IfIndex) -> bool {
        let mut any = false;
        for id in self.by_port(ifindex) {
            let body = &mut self[id];
            if body.key.family != family || body.doomed {
                continue;
            }
            let key = Arc::clone(&body.key);
            for (path, dead) in key.paths().iter().zip(&mut body.dead) {
                any |= *dead && path.ifindex == ifindex;
                *dead &= path.ifindex != ifindex;
            }
        }
        any
    }

    /// Takes over which paths a dump says are dead; tells whether that is news.
    pub(crate) fn set_dead(&mut self, id: BodyId, dead: &[bool]) -> bool {
        let body = &mut self[id];
        let same = body.has_dead(dead);
        if !same {
            body.dead.clear();
            body.dead.extend_from_slice(dead);
        }
        !same
    }
}

impl std::ops::Index<BodyId> for Bodies {
    type Output = Body;

    fn index(&self, id: BodyId) -> &Body {
        self.slab[id.0 as usize]
            .as_ref()
            .expect("a body lives as long as its users")
    }
}

impl std::ops::IndexMut<BodyId> for Bodies {
    fn index_mut(&mut self, id: BodyId) -> &mut Body {
        self.slab[id.0 as usize]
            .as_mut()
            .expect("a body lives as long as its users")
    }
}
