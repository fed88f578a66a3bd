//! Policies against a list that is searched from one end to the other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use ironlane_fib::VrfId;
use ironlane_ipsec::{
    ANY_PORT, Action, Algorithm, Asked, Auth, Cipher, Direction, Flow, Ipsec, IpsecError, Mark,
    Mode, Policy, PolicyDirection, PolicyId, PolicySpec, Protocol, SaId, SaSpec, Secret, Selector,
    Writer,
};
use ironlane_rcu::Domain;
use proptest::prelude::*;

const DIRECTIONS: [PolicyDirection; 3] = [
    PolicyDirection::In,
    PolicyDirection::Out,
    PolicyDirection::Fwd,
];

/// Few addresses, so that policies overlap and flows meet them.
fn address(is_ip6: bool) -> impl Strategy<Value = IpAddr> {
    (0u8..4, 0u8..4).prop_map(move |(a, b)| match is_ip6 {
        false => Ipv4Addr::new(10, a, 0, b).into(),
        true => Ipv6Addr::new(0x2001, a.into(), 0, 0, 0, 0, 0, b.into()).into(),
    })
}

fn net(is_ip6: bool) -> impl Strategy<Value = IpNet> {
    let lens = match is_ip6 {
        false => [0, 8, 16, 31, 32],
        true => [0, 16, 32, 127, 128],
    };
    (address(is_ip6), prop::sample::select(lens.to_vec()))
        .prop_map(|(addr, len)| IpNet::new(addr, len).expect("a length"))
}

fn ports() -> impl Strategy<Value = std::ops::RangeInclusive<u16>> {
    prop_oneof![
        3 => Just(ANY_PORT),
        1 => (0u16..4).prop_map(|port| port..=port),
        1 => (0u16..4, 0u16..4).prop_map(|(a, b)| a.min(b)..=a.max(b)),
    ]
}

fn selector() -> impl Strategy<Value = Selector> {
    any::<bool>().prop_flat_map(|is_ip6| {
        let proto = prop::sample::select(vec![0u8, 1, 6, 17]);
        (net(is_ip6), net(is_ip6), proto, ports(), ports()).prop_map(
            |(src, dst, proto, src_ports, dst_ports)| Selector {
                src,
                dst,
                proto,
                src_ports,
                dst_ports,
            },
        )
    })
}

fn policy() -> impl Strategy<Value = PolicySpec> {
    let place = (prop::sample::select(DIRECTIONS.to_vec()), 0u16..2, 0u32..2);
    let mark = (0u32..2, 0u32..2).prop_map(|(value, mask)| Mark {
        value: value & mask,
        mask,
    });
    (selector(), place, mark, 0u32..6).prop_map(
        |(selector, (direction, vrf, if_id), mark, priority)| PolicySpec {
            priority,
            if_id,
            mark,
            vrf: VrfId(vrf),
            ..PolicySpec::new(direction, selector, Action::Bypass)
        },
    )
}

fn flow() -> impl Strategy<Value = Flow> {
    any::<bool>().prop_flat_map(|is_ip6| {
        let proto = prop::sample::select(vec![0u8, 1, 6, 17]);
        let ports = prop::option::of((0u16..5, 0u16..5));
        (address(is_ip6), address(is_ip6), proto, ports).prop_map(|(src, dst, proto, ports)| Flow {
            src,
            dst,
            proto,
            ports,
        })
    })
}

#[derive(Debug, Clone)]
enum Op {
    Add(PolicySpec),
    /// One of those that are there.
    Delete(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => policy().prop_map(Op::Add),
        1 => any::<usize>().prop_map(Op::Delete),
    ]
}

/// All policies in the order in which they were added.
#[derive(Default)]
struct Naive(Vec<(PolicyId, PolicySpec)>);

impl Naive {
    fn find(
        &self,
        vrf: VrfId,
        direction: PolicyDirection,
        flow: &Flow,
        if_id: u32,
        mark: u32,
    ) -> Option<PolicyId> {
        self.0
            .iter()
            .filter(|(_, spec)| {
                (spec.vrf, spec.direction, spec.if_id) == (vrf, direction, if_id)
                    && spec.mark.matches(mark)
                    && spec.selector.matches(flow)
            })
            .min_by_key(|(_, spec)| spec.priority)
            .map(|&(id, _)| id)
    }
}

proptest! {
    #[test]
    fn the_policy_found_is_that_of_a_naive_search(
        ops in prop::collection::vec(op(), 1..60),
        flows in prop::collection::vec(flow(), 8),
    ) {
        let domain = Domain::new();
        let ipsec = Arc::new(Ipsec::new(&domain));
        let mut writer = Writer::without_device(Arc::clone(&ipsec));
        let mut reader = Domain::register(&domain).expect("the first");
        let mut naive = Naive::default();
        for op in ops {
            match op {
                Op::Add(spec) => match writer.add_policy(spec.clone()) {
                    Ok(id) => naive.0.push((id, spec)),
                    Err(IpsecError::PolicyExists(id)) => {
                        prop_assert!(naive.0.iter().any(|(other, _)| *other == id));
                    }
                    Err(error) => panic!("{error}"),
                },
                Op::Delete(which) if !naive.0.is_empty() => {
                    let (id, _) = naive.0.remove(which % naive.0.len());
                    prop_assert_eq!(writer.del_policy(id), Ok(()));
                    prop_assert_eq!(writer.del_policy(id), Err(IpsecError::NoSuchPolicy(id)));
                }
                Op::Delete(_) => {}
            }
            writer.reclaim();
            let burst = reader.read();
            for (flow, direction) in flows.iter().zip(DIRECTIONS.into_iter().cycle()) {
                for vrf in [VrfId(0), VrfId(1)] {
                    for (if_id, mark) in [(0, 0), (1, 1), (0, 1)] {
                        let found = ipsec.find_policy(&burst, vrf, direction, flow, if_id, mark);
                        let expected = naive.find(vrf, direction, flow, if_id, mark);
                        prop_assert_eq!(found.map(Policy::id), expected, "{:?}", flow);
                    }
                }
            }
            // As a burst asks, which remembers what it met.
            for (direction, vrf) in DIRECTIONS.into_iter().zip([VrfId(0), VrfId(1), VrfId(0)]) {
                let mut policies = ipsec.policies_of(&burst, vrf, direction);
                for flow in flows.iter().chain(&flows) {
                    for (if_id, mark) in [(0, 0), (1, 1), (0, 1), (0, 0)] {
                        let found = policies.find(flow, if_id, mark);
                        let expected = naive.find(vrf, direction, flow, if_id, mark);
                        prop_assert_eq!(found.map(Policy::id), expected, "{:?}", flow);
                        prop_assert!(found.is_none() || !policies.is_empty());
                    }
                }
            }
            // All packets of a burst at once, with interfaces and marks in turn.
            for (direction, vrf) in DIRECTIONS.into_iter().zip([VrfId(0), VrfId(1), VrfId(0)]) {
                let policies = ipsec.policies_of(&burst, vrf, direction);
                let ways = [(0, 0), (1, 1), (0, 1)].into_iter().cycle();
                let packet = |(&flow, (if_id, mark))| Asked { flow, if_id, mark };
                let asked: Vec<_> = flows.iter().cycle().take(64).zip(ways).map(packet).collect();
                let mut found = vec![None; asked.len()];
                policies.find_all(&asked, &mut found);
                for (found, Asked { flow, if_id, mark }) in found.iter().zip(&asked) {
                    let expected = naive.find(vrf, direction, flow, *if_id, *mark);
                    prop_assert_eq!(found.map(Policy::id), expected, "{:?}", flow);
                }
            }
            prop_assert_eq!(ipsec.has_policies(), !naive.0.is_empty());
        }
        drop(reader);
        writer.flush();
        prop_assert_eq!(writer.reclaim(), 0);
        prop_assert!(!ipsec.has_policies());
    }
}

fn add_sa(writer: &mut Writer, spi: u32) -> SaId {
    let algorithm = Algorithm {
        cipher: Cipher::AesGcm { icv: 16 },
        auth: Auth::None,
    };
    let [src, dst] = [1, 2].map(|host| Ipv4Addr::new(192, 0, 2, host).into());
    let spec = SaSpec {
        enc_key: Secret::new(&[1; 20]).expect("locked memory"),
        ..SaSpec::new(Direction::Out, spi, src, dst, algorithm)
    };
    writer.add_sa(spec).expect("a good one")
}

#[test]
fn a_rekey_swaps_the_sa_of_a_policy_and_a_deleted_sa_leaves_it() {
    let ipsec = Arc::new(Ipsec::new(&Domain::new()));
    let mut writer = Writer::without_device(ipsec);
    let all = Selector::between("0.0.0.0/0".parse().unwrap(), "0.0.0.0/0".parse().unwrap());
    let action = Action::Protect {
        reqid: 7,
        protocol: Protocol::Esp,
        mode: Mode::Tunnel,
        optional: false,
    };
    let policy = PolicySpec::new(PolicyDirection::Out, all.clone(), action);
    let policy = writer.add_policy(policy).expect("a good one");
    let (old, new) = (add_sa(&mut writer, 1000), add_sa(&mut writer, 1001));
    let bound = |writer: &Writer| writer.policy(policy).expect("there").sa();
    assert_eq!(bound(&writer), None);
    for sa in [old, new] {
        writer.bind(policy, Some(sa)).expect("both are there");
        assert_eq!(bound(&writer), Some(sa));
    }
    writer.del_sa(old).expect("there");
    assert_eq!(bound(&writer), Some(new));
    writer.del_sa(new).expect("there");
    assert_eq!(bound(&writer), None);
    let again = writer.bind(policy, Some(new));
    assert_eq!(again, Err(IpsecError::NoSuchSa(new)));

    let bypass = PolicySpec {
        priority: 1,
        ..PolicySpec::new(PolicyDirection::Out, all, Action::Bypass)
    };
    let bypass = writer.add_policy(bypass).expect("another priority");
    let third = add_sa(&mut writer, 1002);
    let refused = writer.bind(bypass, Some(third));
    assert!(matches!(refused, Err(IpsecError::BadPolicy(_))));
}

#[test]
fn an_acquire_is_wanted_once_a_second() {
    let ipsec = Arc::new(Ipsec::new(&Domain::new()));
    let mut writer = Writer::without_device(ipsec);
    let all = Selector::between("::/0".parse().unwrap(), "::/0".parse().unwrap());
    let spec = PolicySpec::new(PolicyDirection::Out, all, Action::Bypass);
    let id = writer.add_policy(spec).expect("a good one");
    let policy = writer.policy(id).expect("there");
    let wanted = [5, 5, 5, 6, 6, 9].map(|now| policy.wants_acquire(now));
    assert_eq!(wanted, [true, false, false, true, false, true]);
}
