//! How a new or a deleted route meets those that have its key, as the kernel does it.
//!
//! IPv4 (`fib_table_insert`): the key is (table, prefix, TOS, metric), and routes with the same
//! key stand in a row, of which the first is used. `replace` takes the place of the first,
//! `append` goes behind the last, `prepend` (create alone) before the first; create with
//! exclusive says that there was none.
//!
//! IPv6 (`fib6_add_rt2node`): the key is (table, prefix, metric). Routes with gateways of their
//! own join into one multipath route, and every event carries all of it, but for a deletion,
//! which names the paths that go. Other routes with the same key (`fe80::/64` of each interface)
//! stand beside it.

use std::ops::Range;

use crate::body::{Bodies, BodyKey};
use crate::change::{Family, RouteFlags};
use crate::node::Entry;
use crate::object::RouteTarget;

/// Puts a route among those of its prefix, whose body the caller acquired for it. True if more
/// than its generation changed.
pub(crate) fn insert(
    entries: &mut Vec<Entry>,
    new: Entry,
    flags: RouteFlags,
    bodies: &mut Bodies,
) -> bool {
    let mut key = key_range(entries, &new);
    let is_same = |at: &usize| bodies.alike(entries[*at].body, new.body);
    let same = key.clone().find(is_same);
    if flags == RouteFlags::DUMP {
        return insert_dumped(entries, new, key, same, bodies);
    }
    let mut changed = false;
    if flags.exclusive && !flags.replace && !flags.append {
        // The kernel had none with this key: what we have is stale.
        let keep = same.map(|at| entries[at].body);
        let before = entries.len();
        retain_in(entries, key.clone(), bodies, |entry| {
            Some(entry.body) == keep
        });
        key = key_range(entries, &new);
        changed = entries.len() != before;
    }
    let family = bodies[new.body].key.family;
    let is_same = |at: &usize| bodies.alike(entries[*at].body, new.body);
    let mut same = key.clone().find(is_same);
    let is_new = family == Family::Ip6 && flags.replace && !flags.again;
    if let Some(at) = same.filter(|_| is_new)
        && place_ip6(entries, &new, flags, key.clone(), bodies) != Some(at)
    {
        // It takes another's place now. The kernel does not look whether it is there already, and
        // has it twice from now on.
        same = None;
    }
    if let Some(at) = same {
        let old = std::mem::replace(&mut entries[at], new);
        bodies.release(old.body);
        return changed || (old.body, old.honoured) != (new.body, new.honoured);
    }
    match family {
        Family::Ip4 => insert_ip4(entries, new, flags, key, bodies),
        Family::Ip6 => insert_ip6(entries, new, flags, key, bodies),
    }
    true
}

fn insert_ip4(
    entries: &mut Vec<Entry>,
    new: Entry,
    flags: RouteFlags,
    key: Range<usize>,
    bodies: &mut Bodies,
) {
    if flags.replace && !key.is_empty() {
        replace(entries, key.start, new, bodies);
    } else if flags.append {
        entries.insert(key.end, new);
    } else {
        entries.insert(key.start, new);
    }
}

fn insert_ip6(
    entries: &mut Vec<Entry>,
    new: Entry,
    flags: RouteFlags,
    key: Range<usize>,
    bodies: &mut Bodies,
) {
    let end = key.end;
    match place_ip6(entries, &new, flags, key, bodies) {
        Some(at) => replace(entries, at, new, bodies),
        None => entries.insert(end, new),
    }
}

/// The route whose place a new one takes, if any.
fn place_ip6(
    entries: &[Entry],
    new: &Entry,
    flags: RouteFlags,
    mut key: Range<usize>,
    bodies: &Bodies,
) -> Option<usize> {
    let first = (flags.replace && !key.is_empty()).then_some(key.start);
    let joins = bodies[new.body].key.joins_multipath();
    let met = key.find(|&at| {
        let other = &bodies[entries[at].body].key;
        match joins {
            true => other.joins_multipath(),
            false if flags.replace => !other.joins_multipath(),
            false => same_way(other, &bodies[new.body].key),
        }
    });
    met.or(first)
}

/// A dump lists the routes of a key in their order: behind those that it named already.
fn insert_dumped(
    entries: &mut Vec<Entry>,
    new: Entry,
    key: Range<usize>,
    same: Option<usize>,
    bodies: &mut Bodies,
) -> bool {
    let named = entries[key.clone()]
        .iter()
        .take_while(|e| e.generation == new.generation);
    let place = key.start + named.count();
    if let Some(at) = same {
        let known = entries[at];
        if known.generation == new.generation {
            bodies.release(new.body);
            return false;
        }
        entries.remove(at);
        entries.insert(place, new);
        // A list names twice what is there twice, and the second time nothing is left to do.
        for entry in &mut entries[key] {
            if bodies.alike(entry.body, new.body) {
                entry.generation = new.generation;
            }
        }
        bodies.release(known.body);
        return at != place || (known.body, known.honoured) != (new.body, new.honoured);
    }
    let joins = bodies[new.body].key.joins_multipath();
    if bodies[new.body].key.family == Family::Ip6 && joins {
        // There is one multipath route at a key, so this is it.
        let met = key
            .into_iter()
            .find(|&at| bodies[entries[at].body].key.joins_multipath());
        if let Some(at) = met {
            replace(entries, at, new, bodies);
            return true;
        }
    }
    entries.insert(place, new);
    true
}

/// Whether a deletion leaves open where an IPv6 multipath route stands. It stands where its first path
/// does, and its paths need not stand side by side: those that joined later came behind the other
/// routes of the key. No event tells; a list does.
pub(crate) fn is_order_lost(
    entries: &[Entry],
    gone: &Entry,
    body: &BodyKey,
    bodies: &Bodies,
) -> bool {
    if body.family != Family::Ip6 || !body.joins_multipath() {
        return false;
    }
    let key = key_range(entries, gone);
    let last = key.end;
    key.into_iter().any(|at| {
        let other = &bodies[entries[at].body].key;
        let (first, rest) = match other.paths() {
            [first, rest @ ..] if other.joins_multipath() => (first, rest),
            _ => return false,
        };
        leads(body, first) && rest.iter().any(|path| !leads(body, path)) && at + 1 < last
    })
}

/// Takes out the route that an event says was deleted. True if something was taken out.
pub(crate) fn delete(
    entries: &mut Vec<Entry>,
    gone: &Entry,
    body: &BodyKey,
    bodies: &mut Bodies,
) -> bool {
    let key = key_range(entries, gone);
    if body.family == Family::Ip6 && body.joins_multipath() {
        let found = key.into_iter().find(|&at| {
            let other = &bodies[entries[at].body].key;
            other.joins_multipath() && body.paths().iter().any(|path| leads(other, path))
        });
        return found.is_some_and(|at| {
            entries[at].generation = gone.generation;
            delete_paths(entries, at, body, bodies)
        });
    }
    let equal = |at: &usize| *bodies[entries[*at].body].key == *body;
    let alike = |at: &usize| same_way(&bodies[entries[*at].body].key, body);
    let alone = |at: &usize| {
        let other = &bodies[entries[*at].body].key;
        body.family == Family::Ip4 && key.len() == 1 && other.kind == body.kind
    };
    let found = key.clone().find(equal).or_else(|| key.clone().find(alike));
    let Some(at) = found.or_else(|| key.clone().find(alone)) else {
        return false;
    };
    bodies.release(entries.remove(at).body);
    true
}

/// Takes paths out of an IPv6 multipath route, and the route with its last path.
fn delete_paths(entries: &mut Vec<Entry>, at: usize, gone: &BodyKey, bodies: &mut Bodies) -> bool {
    let old = entries[at].body;
    let whole = &bodies[old];
    let (mut left, mut dead) = (Vec::new(), Vec::new());
    for (number, path) in whole.key.paths().iter().enumerate() {
        if !leads(gone, path) {
            left.push(path.clone());
            dead.push(whole.is_dead(number));
        }
    }
    if left.is_empty() {
        entries.remove(at);
    } else {
        let key = BodyKey {
            target: RouteTarget::Paths(left),
            ..(*whole.key).clone()
        };
        let body = bodies.acquire(key, &dead);
        entries[at].body = body;
        entries[at].honoured &= !bodies[body].sleeps();
    }
    bodies.release(old);
    true
}

/// Whether one of the paths of a body goes the same way as `path`.
fn leads(body: &BodyKey, path: &crate::object::Path) -> bool {
    let same =
        |own: &crate::object::Path| own.gateway == path.gateway && own.ifindex == path.ifindex;
    body.paths().iter().any(same)
}

/// Whether two bodies are of one kind and lead the same way, whatever their attributes.
fn same_way(one: &BodyKey, other: &BodyKey) -> bool {
    let paths = one.paths().len() == other.paths().len()
        && one.paths().iter().all(|path| leads(other, path));
    one.kind == other.kind && one.object() == other.object() && paths
}

fn replace(entries: &mut [Entry], at: usize, new: Entry, bodies: &mut Bodies) {
    bodies.release(entries[at].body);
    entries[at] = new;
}

/// Where the routes with the key of `entry` stand.
fn key_range(entries: &[Entry], entry: &Entry) -> Range<usize> {
    let rank = entry.rank();
    let start = entries.partition_point(|other| other.rank() < rank);
    let end = entries.partition_point(|other| other.rank() <= rank);
    start..end
}

fn retain_in(
    entries: &mut Vec<Entry>,
    range: Range<usize>,
    bodies: &mut Bodies,
    keep: impl Fn(&Entry) -> bool,
) {
    let mut at = 0;
    entries.retain(|entry| {
        let kept = !range.contains(&at) || keep(entry);
        at += 1;
        if !kept {
            bodies.release(entry.body);
        }
        kept
    });
}
