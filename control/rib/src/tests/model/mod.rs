//! Any sequence of what a kernel can do, against a kernel that does it naively: events as the
//! kernel would send them go to the RIB, and every answer of the tables must be the kernel's.

mod ip4;
mod ip6;
mod kernel;
mod lookup;
mod objects;

use proptest::prelude::*;

use super::harness::Box;
use crate::{Expectation, Expected, ExpectedRun};
use kernel::{Kernel, Op};
use lookup::probes;

fn op() -> impl Strategy<Value = Op> {
    let small = 0..8_u8;
    prop_oneof![
        10 => (0..4_u8, any::<u8>(), any::<u8>(), 0..6_u8)
            .prop_map(|(how, prefix, target, key)| Op::Route4 { how, prefix, target, key }),
        4 => any::<u8>().prop_map(Op::DelRoute4),
        8 => (0..3_u8, any::<u8>(), any::<u8>(), 0..3_u8)
            .prop_map(|(how, prefix, target, key)| Op::Route6 { how, prefix, target, key }),
        4 => any::<u8>().prop_map(Op::DelRoute6),
        3 => (0..3_u8, any::<bool>()).prop_map(|(port, up)| Op::Admin { port, up }),
        3 => (0..3_u8, any::<bool>()).prop_map(|(port, on)| Op::Carrier { port, on }),
        2 => (0..3_u8, any::<bool>(), any::<bool>())
            .prop_map(|(port, second, there)| Op::Address { port, second, there }),
        4 => (1..5_u8, small).prop_map(|(id, target)| Op::Nexthop { id, target }),
        2 => (1..5_u8).prop_map(Op::DelNexthop),
        4 => (0..3_u8, any::<u8>(), 0..4_u8)
            .prop_map(|(port, which, state)| Op::Neighbour { port, which, state }),
        1 => Just(Op::Dump),
        1 => (0..3_u8).prop_map(Op::Leave),
        3 => Just(Op::Compare),
    ]
}

fn compare(b: &mut Box, kernel: &Kernel, done: &[Op]) {
    b.commit();
    assert!(!b.rib.is_dirty(), "a commit leaves nothing to do");
    for address in probes(kernel) {
        let found = b.ask_now(address);
        assert_eq!(found, kernel.answer(address), "{address} after {done:#?}");
        let explained = b.rib.explain(address);
        let index = explained
            .nexthop
            .map(|nexthop| nexthop.index.raw())
            .unwrap_or(0);
        let written = b.rib.answer(address).0.raw();
        // An address without a route, and one whose route is a throw, have slots of their own.
        if found != "no_route" {
            assert_eq!(index, written, "explain {address}: {:?}", explained.why);
        }
    }
    // What a full table would answer is what the expectation says; verify relies on it.
    let (fresh, ours) = (kernel.dump().rib.expectation(), b.rib.expectation());
    assert_eq!(fresh.prefixes, ours.prefixes, "after {done:#?}");
    let (ip4, ip6) = (spelled(&ours.ip4, &ours), spelled(&ours.ip6, &ours));
    assert_eq!(spelled(&fresh.ip4, &fresh), ip4, "after {done:#?}");
    assert_eq!(spelled(&fresh.ip6, &fresh), ip6, "after {done:#?}");
}

/// Runs with their answers in the place of numbers: two bodies that became alike only when a leg of one was lost
/// have a slot each, where a fresh table has one for both.
fn spelled<K: Copy>(runs: &[ExpectedRun<K>], of: &Expectation) -> Vec<(K, K, u8, Expected)> {
    let mut all: Vec<(K, K, u8, Expected)> = Vec::new();
    for run in runs {
        let answer = &of.nexthops[run.nexthop];
        match all.last_mut() {
            Some((_, last, len, before)) if (*len, &*before) == (run.prefix_len, answer) => {
                *last = run.last;
            }
            _ => all.push((run.first, run.last, run.prefix_len, answer.clone())),
        }
    }
    all
}

fn run(ops: Vec<Op>) {
    let mut b = Box::bare();
    let mut kernel = Kernel::new();
    for (at, op) in ops.iter().enumerate() {
        match op {
            Op::Compare => compare(&mut b, &kernel, &ops[..at]),
            op => kernel.apply(op),
        }
        kernel.tell(&mut b);
        if at % 3 == 0 {
            // What comes next may come while routes leave.
            b.rib.commit_some(&mut b.writer, 1);
        }
        if std::mem::take(&mut b.rib.order_lost) {
            kernel.apply(&Op::Dump);
            kernel.tell(&mut b);
        }
    }
    compare(&mut b, &kernel, &ops);
    // With the last route the last slot goes.
    kernel.clear();
    kernel.tell(&mut b);
    b.commit();
    assert_eq!(b.writer.prefixes(b.rib.vrf()).count(), 0);
    let verdicts = b
        .rib
        .nexthops()
        .into_iter()
        .filter(|n| n.members[0].0.ifindex.is_some());
    assert_eq!(
        verdicts.count(),
        0,
        "only slots that are kept for good are left"
    );
}

/// A list of what was done `before` fills the tables while it comes, and events of what is done `after` come
/// before the first commit.
fn run_from_a_list(before: &[Op], after: &[Op]) {
    let mut b = Box::bare();
    let mut kernel = Kernel::new();
    before.iter().for_each(|op| kernel.apply(op));
    kernel.forget_said();
    for op in [&[Op::Dump], after].concat() {
        kernel.apply(&op);
        kernel.tell_and(&mut b, |b| b.rib.fill(&mut b.writer));
        let any = b.ask_now([198, 51, 100, 9].into());
        assert_eq!(any, "no_route", "nothing is seen before a commit");
        if std::mem::take(&mut b.rib.order_lost) {
            kernel.apply(&Op::Dump);
            kernel.tell_and(&mut b, |b| b.rib.fill(&mut b.writer));
        }
    }
    compare(&mut b, &kernel, after);
}

/// That many cases; `PROPTEST_CASES` asks for more.
fn config(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig {
        cases: config.cases.max(cases),
        failure_persistence: None,
        ..config
    }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn the_tables_answer_as_the_kernel(ops in prop::collection::vec(op(), 1..60)) {
        run(ops);
    }
}

proptest! {
    // Few: each takes the memory of two routers, which a machine that is short of it gives slowly.
    #![proptest_config(config(256))]

    #[test]
    fn tables_that_a_list_filled_answer_as_the_kernel(
        before in prop::collection::vec(op(), 1..60),
        after in prop::collection::vec(op(), 0..8),
    ) {
        run_from_a_list(&before, &after);
    }
}

/// Found by chance: the route that joins later stands behind another, and comes before it when the
/// first of its paths goes only if nobody looks.
#[test]
fn a_multipath_route_stands_where_its_first_path_does() {
    let add = |prefix, target, key, how| Op::Route6 {
        how,
        prefix,
        target,
        key,
    };
    run(vec![
        add(128, 0, 2, 0),
        add(0, 0, 0, 0),
        Op::DelRoute6(0),
        add(2, 10, 1, 0),
        add(78, 190, 0, 0),
        add(88, 22, 1, 0),
        Op::DelRoute6(60),
        add(77, 27, 2, 0),
        add(0, 62, 0, 0),
        Op::Leave(1),
        Op::DelRoute6(104),
        add(77, 162, 0, 2),
        Op::DelRoute6(195),
        add(32, 184, 0, 2),
        Op::DelRoute6(104),
    ]);
}
