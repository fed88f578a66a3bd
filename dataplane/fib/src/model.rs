//! What packets see while the tables change, as models: one source that loom runs through all
//! interleavings of a small tree (`RUSTFLAGS='--cfg loom'`), and std many times with real threads.

use ironlane_rcu::primitive::{Arc, model, thread};
use ironlane_rcu::{Domain, Reader};

use crate::{Adjacency, AdjacencyKind, Mac, NexthopIndex, Tables, VrfId, Writer};

const VRF: VrfId = VrfId::DEFAULT;

/// The length of a prefix that ends in the first node below the root.
const LEN: u8 = if cfg!(any(loom, miri)) { 6 } else { 24 };

/// The length of a prefix that ends in the second.
const DEEP: u8 = if cfg!(any(loom, miri)) { 8 } else { 30 };

/// With more routes than this a table of another VRF than the default one has a larger root.
const GROW: u32 = if cfg!(any(loom, miri)) { 2 } else { 2000 };

struct Setup {
    tables: Arc<Tables>,
    writer: Writer,
    reader: Reader,
    vrf: VrfId,
}

impl Setup {
    fn new() -> Self {
        let domain = Domain::new();
        let reader = Domain::register(&domain).expect("the first");
        let tables = Arc::new(Tables::new(&domain));
        Self {
            writer: Writer::new(Arc::clone(&tables), domain),
            tables,
            reader,
            vrf: VRF,
        }
    }

    /// In a VRF whose root has the size that its routes need.
    fn in_vrf(vrf: VrfId) -> Self {
        let mut this = Self::new();
        this.writer.add_vrf(vrf);
        this.vrf = vrf;
        this
    }

    fn hop(&mut self, number: u8) -> NexthopIndex {
        self.writer.add_nexthop(hop(number).into()).expect("room")
    }

    fn route(&mut self, prefix: u32, len: u8, nexthop: NexthopIndex) {
        self.writer
            .insert(self.vrf, net(prefix, len), nexthop)
            .expect("room");
    }

    /// Runs an lcore with two bursts that look an address up and resolve the answer, beside a
    /// writer; every packet must meet one of the nexthops that are right.
    fn race(self, address: u32, right: &'static [u8], change: impl FnOnce(&mut Writer)) {
        let Self {
            tables,
            mut writer,
            mut reader,
            vrf,
        } = self;
        let lcore = thread::spawn(move || {
            for _ in 0..2 {
                let burst = reader.read();
                let index = tables.ip4(&burst, vrf).lookup(&burst, address);
                let hop = tables.nexthops().resolve(&burst, index, 0);
                let met = hop.dst_mac()[0];
                assert!(right.contains(&met), "met {met} (index {index})");
                assert_eq!(hop.src_mac(), hop.dst_mac(), "slot and row are of one hop");
                tables.nexthops().of_burst(&burst).mark_used(index);
            }
        });
        change(&mut writer);
        lcore.join().expect("no assertion failed");
        writer.synchronize();
        assert_eq!(writer.pending(), 0);
    }
}

/// An adjacency that is told by its destination.
fn hop(number: u8) -> Adjacency {
    let mac: Mac = [number, 0, 0, 0, 0, 0];
    Adjacency::forward(crate::PortId(0), 1500, mac, mac)
}

fn net(prefix: u32, len: u8) -> ipnet::IpNet {
    ipnet::Ipv4Net::new_assert(prefix.into(), len).into()
}

#[test]
fn a_node_is_filled_before_it_is_found() {
    model(|| {
        let mut setup = Setup::new();
        let (wide, narrow) = (setup.hop(1), setup.hop(2));
        setup.route(0, 0, wide);
        // The address is beside the prefix, within the node that it needs.
        setup.race(0x1fff_ffff, &[1], move |writer| {
            writer
                .insert(VRF, net(0x1000_0000, LEN), narrow)
                .expect("room");
        });
    });
}

#[test]
fn an_inserted_prefix_is_met_before_or_after() {
    model(|| {
        let mut setup = Setup::new();
        let (wide, narrow) = (setup.hop(1), setup.hop(2));
        setup.route(0, 0, wide);
        setup.race(0x1000_0001, &[1, 2], move |writer| {
            writer
                .insert(VRF, net(0x1000_0000, LEN), narrow)
                .expect("room");
        });
    });
}

#[test]
fn a_removed_prefix_leaves_no_hole() {
    model(|| {
        let mut setup = Setup::new();
        let (wide, narrow) = (setup.hop(1), setup.hop(2));
        setup.route(0, 0, wide);
        setup.route(0x1000_0000, LEN, narrow);
        setup.route(0x1fff_0000, LEN, narrow); // keeps the node
        setup.race(0x1000_0001, &[1, 2], move |writer| {
            writer.remove(VRF, net(0x1000_0000, LEN));
        });
    });
}

#[test]
fn a_leaf_in_a_block_is_changed_in_place() {
    model(|| {
        let mut setup = Setup::new();
        let (wide, narrow, other) = (setup.hop(1), setup.hop(2), setup.hop(3));
        setup.route(0, 0, wide);
        setup.route(0x1000_0000, LEN, narrow);
        setup.race(0x1000_0001, &[2, 3], move |writer| {
            writer
                .insert(VRF, net(0x1000_0000, LEN), other)
                .expect("room");
        });
    });
}

#[test]
fn a_block_with_other_runs_takes_the_place_of_one() {
    model(|| {
        let mut setup = Setup::new();
        let (wide, narrow, other) = (setup.hop(1), setup.hop(2), setup.hop(3));
        setup.route(0, 0, wide);
        setup.route(0x1000_0000, LEN, narrow);
        // The address keeps its answer, which moves to another place in another block.
        setup.race(0x1000_0001, &[2], move |writer| {
            let beside = 0x1000_0000 + (1 << (32 - LEN));
            writer.insert(VRF, net(beside, LEN), other).expect("room");
            writer.reclaim();
            writer.insert(VRF, net(0, 2), other).expect("room");
        });
    });
}

#[test]
fn a_block_below_another_is_filled_before_it_is_found() {
    model(|| {
        let mut setup = Setup::new();
        let (wide, narrow, other) = (setup.hop(1), setup.hop(2), setup.hop(3));
        setup.route(0, 0, wide);
        setup.route(0x1000_0000, DEEP, narrow);
        // The upper block keeps its runs: the word in it that leads to the lower one is changed.
        setup.race(0x1000_0001, &[2], move |writer| {
            let beside = 0x1000_0000 + (1 << (32 - DEEP));
            writer.insert(VRF, net(beside, DEEP), other).expect("room");
            writer.reclaim();
        });
    });
}

/// Fills up to the number of routes at which the root grows.
fn fill(setup: &mut Setup, nexthop: NexthopIndex) {
    for i in 2..GROW {
        setup.route(0xf000_0000 | i << 8, 24, nexthop);
    }
}

#[test]
fn a_larger_root_says_the_same() {
    model(|| {
        let mut setup = Setup::in_vrf(VrfId(1));
        let (one, other) = (setup.hop(1), setup.hop(2));
        setup.route(0x1000_0000, LEN, one);
        setup.route(0x2000_0000, LEN, other);
        fill(&mut setup, other);
        setup.race(0x1000_0001, &[1], move |writer| {
            let vrf = VrfId(1);
            writer
                .insert(vrf, net(0x8000_0000, 1), other)
                .expect("room"); // one too many
            writer.reclaim();
            writer
                .insert(vrf, net(0x4000_0000, 4), other)
                .expect("room");
        });
    });
}

#[test]
fn a_change_behind_a_larger_root_is_met_before_or_after() {
    model(|| {
        let mut setup = Setup::in_vrf(VrfId(1));
        let (one, other) = (setup.hop(1), setup.hop(2));
        setup.route(0x1000_0000, LEN, one);
        setup.route(0x2000_0000, LEN, one);
        fill(&mut setup, one);
        setup.race(0x1000_0001, &[1, 2], move |writer| {
            let vrf = VrfId(1);
            writer.insert(vrf, net(0x8000_0000, 1), one).expect("room"); // one too many
            writer
                .insert(vrf, net(0x1000_0000, LEN), other)
                .expect("room");
            writer.reclaim();
        });
    });
}

#[test]
fn another_default_is_met_before_or_after() {
    model(|| {
        let mut setup = Setup::new();
        let (one, other) = (setup.hop(1), setup.hop(2));
        setup.route(0, 0, one);
        setup.race(0x1000_0001, &[1, 2], move |writer| {
            writer.insert(VRF, net(0, 0), other).expect("room");
            writer.reclaim();
        });
    });
}

/// The address was of the prefix until the default was the other: it is never of the first.
#[test]
fn a_default_that_was_covered_is_never_met() {
    model(|| {
        let mut setup = Setup::new();
        let (one, narrow, other) = (setup.hop(1), setup.hop(2), setup.hop(3));
        setup.route(0, 0, one);
        setup.route(0x1000_0000, 4, narrow);
        setup.race(0x1000_0001, &[2, 3], move |writer| {
            writer.insert(VRF, net(0, 0), other).expect("room");
            writer.remove(VRF, net(0x1000_0000, 4));
        });
    });
}

/// And the other way round: what covers it comes before the default that is never met.
#[test]
fn a_default_that_is_covered_is_never_met() {
    model(|| {
        let mut setup = Setup::new();
        let (one, narrow, other) = (setup.hop(1), setup.hop(2), setup.hop(3));
        setup.route(0, 0, one);
        setup.race(0x1000_0001, &[1, 2], move |writer| {
            writer
                .insert(VRF, net(0x1000_0000, 4), narrow)
                .expect("room");
            writer.insert(VRF, net(0, 0), other).expect("room");
        });
    });
}

#[test]
fn blocks_of_another_form_say_the_same() {
    model(|| {
        let mut setup = Setup::new();
        let (one, other) = (setup.hop(1), setup.hop(2));
        setup.route(0x1000_0000, DEEP, one);
        setup.route(0x2000_0000, 4, other);
        fill(&mut setup, other);
        setup.race(0x1000_0001, &[1], move |writer| {
            // One too many for flat blocks; and then a change of a new block.
            writer
                .insert(VRF, net(0x3000_0000, 4), other)
                .expect("room");
            writer.reclaim();
            let beside = 0x1000_0000 + (1 << (32 - DEEP));
            writer.insert(VRF, net(beside, DEEP), other).expect("room");
        });
    });
}

#[test]
fn a_node_is_recycled_behind_the_last_packet() {
    model(|| {
        let mut setup = Setup::new();
        let (wide, narrow, other) = (setup.hop(1), setup.hop(2), setup.hop(3));
        setup.route(0, 0, wide);
        setup.route(0x1000_0000, LEN, narrow);
        setup.race(0x1000_0001, &[1, 2], move |writer| {
            writer.remove(VRF, net(0x1000_0000, LEN)); // the node collapses
            writer.reclaim();
            writer
                .insert(VRF, net(0x2000_0000, LEN), other)
                .expect("room"); // and is used again
        });
    });
}

#[test]
fn a_third_node_takes_a_chunk_of_its_own_and_gives_it_back() {
    model(|| {
        let mut setup = Setup::new();
        let (wide, narrow) = (setup.hop(1), setup.hop(2));
        setup.route(0, 0, wide);
        setup.route(0x1000_0000, LEN, narrow); // two nodes are a chunk of the small tree
        setup.route(0x2000_0000, LEN, narrow);
        setup.race(0x3000_0001, &[1, 2], move |writer| {
            writer
                .insert(VRF, net(0x3000_0000, LEN), narrow)
                .expect("room");
            writer.remove(VRF, net(0x3000_0000, LEN));
            writer.reclaim();
        });
    });
}

#[test]
fn an_index_is_reused_behind_the_last_packet() {
    model(|| {
        let mut setup = Setup::new();
        let first = setup.hop(1);
        setup.route(0x1000_0000, 4, first);
        setup.race(0x1000_0001, &[1, 2], move |writer| {
            let second = writer.add_nexthop(hop(2).into()).expect("room");
            writer
                .insert(VRF, net(0x1000_0000, 4), second)
                .expect("room");
            writer.remove_nexthop(first).expect("no route uses it");
            writer.reclaim();
            writer.add_nexthop(hop(3).into()).expect("room"); // perhaps in the first one's slot
        });
    });
}

#[test]
fn a_replaced_nexthop_is_met_before_or_after() {
    model(|| {
        let mut setup = Setup::new();
        let only = setup.hop(1);
        setup.route(0x1000_0000, 4, only);
        setup.race(0x1000_0001, &[1, 2], move |writer| {
            writer
                .replace_nexthop(only, hop(2).into())
                .expect("it exists");
            writer.reclaim();
        });
    });
}

/// The model checker has four rows: here the third change takes the last, and those behind it wait for
/// readers of the ones before.
#[test]
fn a_row_is_reused_behind_the_last_packet() {
    model(|| {
        let mut setup = Setup::new();
        let only = setup.hop(1);
        setup.route(0x1000_0000, 4, only);
        setup.race(0x1000_0001, &[1, 2, 3, 4, 5], move |writer| {
            for number in 2..=5 {
                writer
                    .replace_nexthop(only, hop(number).into())
                    .expect("it exists");
            }
        });
    });
}

#[test]
fn a_new_vrf_is_empty_or_absent_which_is_the_same() {
    model(|| {
        let Setup {
            tables,
            mut writer,
            mut reader,
            ..
        } = Setup::new();
        let lcore = thread::spawn(move || {
            let burst = reader.read();
            let index = tables.ip4(&burst, VrfId(1)).lookup(&burst, 7);
            let kind = tables.nexthops().resolve(&burst, index, 0).kind();
            assert_eq!(kind, AdjacencyKind::NoRoute);
        });
        writer.add_vrf(VrfId(1));
        writer.reclaim();
        lcore.join().expect("no assertion failed");
    });
}
