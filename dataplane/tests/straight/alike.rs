//! Packets in a row that are nearly alike: what one meets is remembered for the next, and must not be for one that
//! differs in a bit that counts.

use ironlane_dataplane::burst::Origin;
use ironlane_dataplane::eal::{BURST_MAX, RxChecksum};
use ironlane_dataplane::reason::StageId;
use ironlane_ipsec::{Action, Mode, PolicyDirection, PolicySpec, Protocol, Selector};

use crate::guarded::{add_sas, guarded, plain_esp};
use crate::world::{Frame, Numbers, dst4, dst6, plain4, plain6};

/// Bytes of a frame that anything may depend on: Ethernet, IPv6, ESP.
const FRONT: usize = 14 + 40 + 8;
const UDP: u8 = 17;
const ROUNDS: usize = 120;

/// One policy for packets of either family at most: so one is remembered.
fn selector(numbers: &mut Numbers, ip6: bool) -> Selector {
    let net = |len: usize| match ip6 {
        false => format!("10.0.0.0/{}", 8 + len),
        true => format!("2001::/{}", 16 + 2 * len),
    };
    let any = if ip6 { "::/0" } else { "0.0.0.0/0" };
    let dst = net(numbers.below(25));
    let (first, last) = numbers.one(&[(0, u16::MAX), (0, u16::MAX), (7, 7), (0, 9)]);
    Selector {
        proto: numbers.one(&[0, 0, UDP]),
        dst_ports: first..=last,
        ..Selector::between(any.parse().unwrap(), dst.parse().unwrap())
    }
}

/// A burst of one packet again and again, but for a bit here and there.
fn burst(numbers: &mut Numbers) -> Vec<Frame> {
    let mut base = match numbers.below(5) {
        0 => plain_esp(false, 1),
        1 => plain_esp(true, 1),
        2 => plain6(dst6(0, 1), 30, 0),
        _ => plain4(dst4(0, 1), 30, 0),
    };
    if numbers.below(2) == 0 {
        // UDP, where it goes through.
        let (at, is_esp) = if base[12] == 8 {
            (23, base[23])
        } else {
            (20, base[20])
        };
        base[at] = if is_esp == 50 { 50 } else { UDP };
    }
    (0..1 + numbers.below(BURST_MAX))
        .map(|_| {
            let mut frame = Frame::of(base.clone());
            // So that any header may be changed.
            frame.nic = RxChecksum::Good;
            if numbers.below(3) == 0 {
                let at = numbers.below(FRONT.min(base.len()));
                frame.bytes[at] ^= 1 << numbers.below(8);
            }
            frame
        })
        .collect()
}

fn agree(origin: Origin, directions: &[PolicyDirection], name: &str) {
    let (mut world, mut writer) = guarded(name);
    let (mut numbers, mut now_ns) = (Numbers(23), 0);
    let sas = add_sas(&mut writer, Mode::Tunnel);
    world.origin = origin;
    let (mut met_policy, mut packets) = (0, 0);
    for _ in 0..ROUNDS {
        writer.flush_policies();
        let ip6 = numbers.below(3) == 0;
        for &direction in directions {
            let protect = Action::Protect {
                reqid: numbers.one(&[2, 2, 1]),
                protocol: Protocol::Esp,
                mode: Mode::Tunnel,
                optional: numbers.below(2) == 0,
            };
            let action = numbers.one(&[protect, protect, Action::Bypass]);
            let spec = PolicySpec::new(direction, selector(&mut numbers, ip6), action);
            let policy = writer.add_policy(spec).unwrap();
            if direction == PolicyDirection::Out && action == protect {
                writer.bind(policy, Some(numbers.one(&sas))).unwrap();
            }
        }
        writer.reclaim();
        for _ in 0..8 {
            let frames = burst(&mut numbers);
            let (_, stages) = world.compare(&frames, &mut now_ns);
            packets += frames.len();
            met_policy += stages.0[StageId::Policy.index()] as usize;
        }
    }
    // Most go straight.
    assert!(met_policy * 2 < packets, "{met_policy} of {packets}");
}

#[test]
fn what_arrives_is_judged_bit_by_bit() {
    use PolicyDirection::{Fwd, Out};
    agree(Origin::Wire, &[Out], "alike_out");
    agree(Origin::Wire, &[Fwd, Out], "alike_both");
    agree(Origin::Wire, &[], "alike_none");
}

#[test]
fn what_was_opened_is_judged_bit_by_bit() {
    use PolicyDirection::{Fwd, Out};
    agree(Origin::Opened, &[Fwd], "alike_fwd");
    agree(Origin::Opened, &[Fwd, Out], "alike_opened");
}

#[test]
fn what_the_router_made_is_judged_bit_by_bit() {
    agree(Origin::Own, &[PolicyDirection::Out], "alike_own");
}
