//! Where the fault is: what is in the tables against what the mirror wrote there.
//!
//! Runs on the mirror's thread, so that nothing changes meanwhile.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use ironlane_fib::{Nexthop, NexthopIndex, NexthopRef, Tables, VrfId, Writer};
use ironlane_rcu::{Domain, Guard};
use ironlane_rib::Rib;

use super::compare::{Comparison, Suspect};
use super::words::Names;
use super::{Cause, Difference, Object, VerifyError};

/// What the check found.
pub(super) struct Checked {
    pub differences: Vec<Difference>,
    /// Places that differ beyond those that are named.
    pub untold: u64,
    pub nexthops: u64,
    pub adjacencies: u64,
}

/// A slot that does not hold what was written there.
struct Damage {
    index: NexthopIndex,
    difference: Difference,
}

/// Compares every slot with what was written, and tells whose fault each suspect is.
pub(super) fn check(
    rib: &Rib,
    writer: &mut Writer,
    comparison: Comparison,
    repair: bool,
) -> Result<Checked, VerifyError> {
    let names = Names::new(rib);
    let tables = std::sync::Arc::clone(writer.tables());
    let mut reader = Domain::register(tables.domain()).map_err(|_| VerifyError::Readers)?;
    let guard = reader.read();
    let (mut nexthops, mut adjacencies) = (0, 0);
    let mut damaged = Vec::new();
    for (index, written) in rib.written_nexthops() {
        nexthops += 1;
        adjacencies += u64::from(matches!(written, Nexthop::Adjacency(_)));
        let found = tables.nexthops().get(&guard, index);
        if let Some(object) = judge(&written, found) {
            let difference = describe(rib, &tables, &guard, &names, index, &written, object);
            damaged.push(Damage { index, difference });
        }
    }
    let judge = Judge {
        rib,
        tables: &tables,
        guard: &guard,
        damaged: damaged.iter().map(|damage: &Damage| damage.index).collect(),
    };
    let suspects = comparison.suspects.into_iter();
    let judged: Vec<(Suspect, Cause)> = suspects
        .filter_map(|suspect| {
            let cause = judge.cause(suspect.address, suspect.index)?;
            let (_, written) = rib.answer(suspect.address);
            Some((suspect.at_longer(written), cause))
        })
        .collect();
    let untold = comparison.untold.into_iter();
    let untold: Vec<(IpAddr, Cause)> = untold
        .filter_map(|(address, index)| Some((address, judge.cause(address, index)?)))
        .collect();
    // A writer must hold no guard.
    drop(guard);
    drop(reader);
    if repair {
        for damage in &damaged {
            rib.repair_nexthop(damage.index, writer);
        }
        let named = judged
            .iter()
            .map(|(suspect, cause)| (suspect.span(), cause));
        let counted = untold
            .iter()
            .map(|(address, cause)| (IpNet::from(*address), cause));
        for (span, cause) in named.chain(counted) {
            if *cause == Cause::Tables {
                rib.repair_leaves(span, writer);
            }
        }
    }
    let mut differences: Vec<Difference> = damaged
        .into_iter()
        .map(|damage| damage.difference)
        .collect();
    differences.extend(
        judged
            .into_iter()
            .map(|(suspect, cause)| tell(suspect, cause)),
    );
    let untold = untold.len() as u64;
    Ok(Checked {
        untold,
        differences,
        nexthops,
        adjacencies,
    })
}

/// What differs between a slot as it was written and as it is, if anything does.
fn judge(written: &Nexthop, found: Option<NexthopRef<'_>>) -> Option<Object> {
    match (written, found) {
        (Nexthop::Adjacency(written), Some(NexthopRef::Adjacency(found))) => {
            if *written == found {
                None
            } else if written.kind() == found.kind() {
                Some(Object::Adjacency)
            } else {
                Some(Object::Nexthop)
            }
        }
        (Nexthop::Group(written), Some(NexthopRef::Group(found))) => {
            (written != found).then_some(Object::Group)
        }
        _ => Some(Object::Nexthop),
    }
}

fn describe(
    rib: &Rib,
    tables: &Tables,
    guard: &Guard<'_>,
    names: &Names,
    index: NexthopIndex,
    written: &Nexthop,
    object: Object,
) -> Difference {
    let view = rib.nexthops().into_iter().find(|view| view.index == index);
    let prefixes = view.as_ref().map_or(0, |view| view.prefixes);
    let neighbour = view
        .filter(|view| !view.group)
        .and_then(|view| {
            let (adjacency, _) = view.members.into_iter().next()?;
            Some(format!(
                " for {} on {}",
                adjacency.neighbour?, adjacency.interface?
            ))
        })
        .unwrap_or_default();
    let expected = match written {
        Nexthop::Adjacency(adjacency) => NexthopRef::Adjacency(*adjacency),
        Nexthop::Group(group) => NexthopRef::Group(group),
    };
    let found = tables.nexthops().get(guard, index);
    Difference {
        object,
        cause: Cause::Tables,
        subject: format!("nexthop {index}{neighbour}, of {prefixes} prefixes"),
        expected: names.found(tables.nexthops(), guard, Some(expected)),
        found: names.found(tables.nexthops(), guard, found),
        repaired: false,
    }
}

/// Tells whose fault a wrong answer is.
struct Judge<'a> {
    rib: &'a Rib,
    tables: &'a Tables,
    guard: &'a Guard<'a>,
    /// Slots that do not hold what was written.
    damaged: BTreeSet<NexthopIndex>,
}

impl Judge<'_> {
    /// Whose fault it is that `index` answered for an address; none where a damaged slot explains
    /// it, or where the answer has changed since.
    fn cause(&self, address: IpAddr, index: NexthopIndex) -> Option<Cause> {
        let now = lookup(self.tables, self.guard, self.rib.vrf(), address);
        let (written, _) = self.rib.answer(address);
        if now != written {
            Some(Cause::Tables)
        } else if now != index || self.is_explained(now) {
            None
        } else {
            Some(Cause::Mirror)
        }
    }

    fn is_explained(&self, index: NexthopIndex) -> bool {
        let damaged = |index: NexthopIndex| self.damaged.contains(&index);
        let members = match self.tables.nexthops().get(self.guard, index) {
            Some(NexthopRef::Group(group)) => group.members(),
            _ => &[],
        };
        damaged(index) || members.iter().any(|member| damaged(member.nexthop))
    }
}

fn lookup(tables: &Tables, guard: &Guard<'_>, vrf: VrfId, address: IpAddr) -> NexthopIndex {
    match address {
        IpAddr::V4(v4) => tables.ip4(guard, vrf).lookup(guard, v4.to_bits()),
        IpAddr::V6(v6) => tables.ip6(guard, vrf).lookup(guard, v6.to_bits()),
    }
}

fn tell(suspect: Suspect, cause: Cause) -> Difference {
    let about_neighbour = cause == Cause::Mirror && suspect.about_neighbour;
    let subject = match cause {
        Cause::Tables => format!("{} at {}", suspect.prefix, suspect.address),
        Cause::Mirror => suspect.prefix.to_string(),
    };
    Difference {
        object: if about_neighbour {
            Object::Neighbour
        } else {
            Object::Leaf
        },
        cause,
        subject,
        expected: suspect.expected,
        found: suspect.found,
        repaired: false,
    }
}
