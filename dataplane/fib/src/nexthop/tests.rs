//! What slots remember beside the nexthop, and how rows are shared out.

use super::*;
use crate::egress::ROWS;
use crate::{FibError, PortId, Writer};

struct Setup {
    tables: Arc<crate::Tables>,
    writer: Writer,
    reader: ironlane_rcu::Reader,
}

impl Setup {
    fn new() -> Self {
        let domain = Domain::new();
        let tables = Arc::new(crate::Tables::new(&domain));
        Self {
            writer: Writer::new(Arc::clone(&tables), Arc::clone(&domain)),
            reader: Domain::register(&domain).expect("room"),
            tables,
        }
    }

    fn look<R>(&mut self, look: impl FnOnce(BurstNexthops<'_>) -> R) -> R {
        let guard = self.reader.read();
        let seen = look(self.tables.nexthops().of_burst(&guard));
        drop(guard);
        self.reader.offline();
        seen
    }
}

fn from(number: usize) -> Adjacency {
    let [.., a, b] = number.to_be_bytes();
    Adjacency::forward(PortId(1), 1500, [2, 0, 0, 0, b, a], [4, 0, 0, 0, a, b])
}

#[test]
fn a_mark_is_taken_once() {
    let mut setup = Setup::new();
    let hop = setup.writer.add_nexthop(from(1).into()).expect("room");
    setup.look(|nexthops| {
        assert!(!nexthops.take_used(hop));
        nexthops.mark_used(hop);
        nexthops.mark_used(hop);
        assert!(nexthops.is_used(hop) && nexthops.word(hop).is_used());
        assert_eq!(nexthops.get(hop), Some(NexthopRef::Adjacency(from(1))));
        assert!(nexthops.take_used(hop) && !nexthops.take_used(hop));
        nexthops.mark_used(hop);
    });
    let changed = setup.writer.replace_nexthop(hop, from(2).into());
    changed.expect("it exists");
    setup.look(|nexthops| {
        assert!(!nexthops.is_used(hop), "nobody used this one");
        assert!(!nexthops.is_used(NexthopIndex::from_low_bits(u32::MAX)));
    });
}

#[test]
fn a_group_has_no_mark() {
    let mut setup = Setup::new();
    let hop = setup.writer.add_nexthop(from(1).into()).expect("room");
    let member = crate::Member {
        nexthop: hop,
        weight: 1,
    };
    let group = Group::new(&[member]).expect("one member");
    let index = setup
        .writer
        .add_nexthop(group.clone().into())
        .expect("room");
    setup.look(|nexthops| {
        nexthops.mark_used(index);
        assert!(!nexthops.take_used(index) && !nexthops.word(index).is_adjacency());
        assert_eq!(nexthops.get(index), Some(NexthopRef::Group(&group)));
    });
}

#[test]
fn a_word_and_its_row_are_the_header() {
    let mut setup = Setup::new();
    let hop = setup.writer.add_nexthop(from(0x1234).into()).expect("room");
    setup.look(|nexthops| {
        let word = nexthops.word(hop);
        assert!(word.is_adjacency() && !word.is_used());
        let egress = nexthops.egress(word);
        let (first, last) = word.addresses(egress);
        assert_eq!([&first[..], &last].concat(), from(0x1234).rewrite()[..12]);
        assert_eq!((egress.port(), egress.forwards_up_to()), (PortId(1), 1500));
    });
}

#[test]
fn words_tell_what_all_have_in_common() {
    let mut setup = Setup::new();
    let neighbour =
        |last, port| Adjacency::forward(PortId(port), 1500, [2, 0, 0, 0, 0, last], [4; 6]);
    let mut add = |hop: Nexthop| setup.writer.add_nexthop(hop).expect("room");
    let one = add(neighbour(1, 1).into());
    let other = add(neighbour(2, 1).into());
    let elsewhere = add(neighbour(3, 2).into());
    let member = crate::Member {
        nexthop: one,
        weight: 1,
    };
    let group = add(Group::new(&[member]).expect("one member").into());
    let nothing = NexthopIndex::from_low_bits(7);
    setup.look(|nexthops| {
        let mut words = [SlotWord::EMPTY; 2];
        let mut of = |indexes: [NexthopIndex; 2]| nexthops.words(&indexes, &mut words);
        let egress = Egress::of(&neighbour(1, 1));
        assert_eq!(of([one, other]), Some((egress, false)));
        nexthops.mark_used(one);
        assert_eq!(of([one, other]), Some((egress, false)), "not all");
        nexthops.mark_used(other);
        assert_eq!(of([one, other]), Some((egress, true)));
        for unlike in [elsewhere, group, nothing, NexthopIndex::NONE] {
            assert_eq!(of([one, unlike]), None, "{unlike}");
        }
        assert_eq!(of([group, group]), None);
        assert_eq!(of([nothing, nothing]), None);
    });
}

#[test]
fn another_nexthop_has_a_fresh_policer() {
    let mut setup = Setup::new();
    let glean = Adjacency::glean(PortId(1), 1500);
    let hop = setup.writer.add_nexthop(glean.into()).expect("room");
    let admits = |setup: &mut Setup| setup.look(|nexthops| nexthops.admits(hop, 10, 1_000, 1));
    assert!(admits(&mut setup) && !admits(&mut setup));
    setup
        .writer
        .replace_nexthop(hop, glean.into())
        .expect("it exists");
    assert!(admits(&mut setup) && !admits(&mut setup));
}

#[test]
fn the_policer_survives_a_clock_that_stands_still_or_ends() {
    Setup::new().look(|nexthops| {
        let admits = |now_ns, interval_ns, burst| {
            nexthops.admits(NexthopIndex::NONE, now_ns, interval_ns, burst)
        };
        assert!(!admits(0, 1_000, 0), "a burst of none admits none");
        assert!(admits(u64::MAX, 1_000, 1));
        assert!(admits(0, 0, 1) || !admits(0, 0, 1));
    });
}

#[test]
fn rows_come_back_when_all_are_taken() {
    let mut setup = Setup::new();
    let hop = setup.writer.add_nexthop(from(0).into()).expect("room");
    for number in 1..3 * ROWS {
        let changed = setup.writer.replace_nexthop(hop, from(number).into());
        changed.expect("rows come back");
        setup.look(|nexthops| {
            assert_eq!(nexthops.get(hop), Some(NexthopRef::Adjacency(from(number))));
        });
    }
}

#[test]
fn the_last_row_is_the_last() {
    let mut setup = Setup::new();
    // Row 0 is that of no route. Any number of neighbours share one.
    let hops: Vec<_> = (1..ROWS)
        .map(|number| setup.writer.add_nexthop(from(number).into()))
        .collect::<Result<_, _>>()
        .expect("room");
    let all = Err(FibError::EgressesExhausted(ROWS));
    assert_eq!(setup.writer.add_nexthop(from(0).into()), all);
    let stays = Adjacency::forward(PortId(1), 1500, [9; 6], from(1).src_mac());
    let shared = setup
        .writer
        .add_nexthop(stays.into())
        .expect("a row is shared");
    let changed = setup.writer.replace_nexthop(hops[1], from(0).into());
    assert_eq!(changed, all.map(|_: NexthopIndex| ()));
    setup.look(|nexthops| {
        assert_eq!(nexthops.get(hops[1]), Some(NexthopRef::Adjacency(from(2))));
    });
    setup.writer.remove_nexthop(hops[1]).expect("unused");
    let other = setup
        .writer
        .add_nexthop(from(0).into())
        .expect("a row came back");
    setup.look(|nexthops| {
        assert_eq!(nexthops.get(other), Some(NexthopRef::Adjacency(from(0))));
        assert_eq!(nexthops.get(shared), Some(NexthopRef::Adjacency(stays)));
        assert_eq!(nexthops.get(hops[0]), Some(NexthopRef::Adjacency(from(1))));
    });
}
