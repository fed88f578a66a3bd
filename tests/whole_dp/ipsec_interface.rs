//! IPsec interfaces: routes choose the SA, and what an SA opens arrives by its interface.

use ironlane_dataplane::dataplane::{DataplaneConfig, InterfaceConfig};
use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_fib::VrfId;
use ironlane_ipsec::{
    Action, Direction, Event, Mark, PolicyDirection, PolicyId, PolicySpec, SaId, SaSpec, Selector,
};
use ironlane_packet::ip4::{Ip4, Ip4Fields, Ip4Mut};
use ironlane_packet::proto::ip;
use ironlane_tests::{Event as Seen, Outcome, Settings, WholeDp};

use crate::ipsec::{
    OURS, PEER, PROTECT, SPI, THERE, esp, from_peer, in_tunnel, inner_packet, packet, sa, unesp,
    with_ipsec_by,
};
use crate::{FAR4, HOST4};

/// Whose SAs and policies are meant.
#[derive(Clone, Copy)]
struct Of {
    if_id: u32,
    mark: u32,
}

/// Those of `ipsec0`, of `vti0`, of no interface, and of one that does not exist.
const IPSEC0: Of = Of { if_id: 42, mark: 0 };
const VTI0: Of = Of { if_id: 0, mark: 7 };
const NONE: Of = Of { if_id: 0, mark: 0 };
const OTHER: Of = Of { if_id: 43, mark: 0 };

impl Of {
    fn mark(self) -> Mark {
        let mask = if self.mark == 0 { 0 } else { u32::MAX };
        Mark {
            value: self.mark,
            mask,
        }
    }
}

fn interfaces(config: &mut DataplaneConfig) {
    let interface = |name: &str, of: Of| InterfaceConfig {
        name: name.into(),
        if_id: of.if_id,
        mark: of.mark,
        mtu: 1400,
        vrf: VrfId::DEFAULT,
    };
    config.interfaces = vec![interface("ipsec0", IPSEC0), interface("vti0", VTI0)];
}

/// A router with `ipsec0`, to which 10.9.0.0/16 is routed, and `vti0`, to which 10.7.0.0/16 is.
fn with_interfaces() -> WholeDp {
    let mut dp = with_ipsec_by(Settings {
        ipsec: true,
        adjust: interfaces,
        ..Settings::default()
    });
    dp.route("10.9.0.0/16 dev ipsec0")
        .route("10.7.0.0/16 dev vti0");
    dp
}

/// A policy for all packets of an interface.
fn policy_of(dp: &mut WholeDp, of: Of, direction: PolicyDirection, action: Action) -> PolicyId {
    let all = "0.0.0.0/0".parse().unwrap();
    let spec = PolicySpec {
        if_id: of.if_id,
        mark: of.mark(),
        ..PolicySpec::new(direction, Selector::between(all, all), action)
    };
    dp.ipsec().add_policy(spec).unwrap()
}

/// An SA of an interface. Outbound ones are told apart by their SPI.
fn sa_of(of: Of, direction: Direction) -> SaSpec {
    SaSpec {
        if_id: of.if_id,
        mark: of.mark(),
        spi: SPI + of.if_id + of.mark,
        ..sa(direction)
    }
}

fn out_by(dp: &mut WholeDp, of: Of) -> SaId {
    let rule = policy_of(dp, of, PolicyDirection::Out, PROTECT);
    let id = dp.ipsec().add_sa(sa_of(of, Direction::Out)).unwrap();
    dp.ipsec().bind(rule, Some(id)).unwrap();
    id
}

fn in_by(dp: &mut WholeDp, of: Of) {
    for direction in [PolicyDirection::In, PolicyDirection::Fwd] {
        policy_of(dp, of, direction, PROTECT);
    }
    dp.ipsec().add_sa(sa_of(of, Direction::In)).unwrap();
}

/// The one packet that was sent: by p1, sealed by the SA of `of`; what is inside.
fn sealed(out: &Outcome, of: Of) -> Vec<u8> {
    let (events, drops) = out.take_events();
    let [Seen::Sent { port, bytes }] = &events[..] else {
        panic!("{events:?} {drops:?}")
    };
    let outer = Ip4::new(&bytes[14..]).unwrap();
    assert_eq!((port.as_str(), outer.protocol()), ("p1", ip::ESP));
    assert_eq!(outer.ttl(), 64, "the router is where it begins");
    let (spi, _, inner) = unesp(&bytes[34..]);
    assert_eq!(spi, SPI + of.if_id + of.mark);
    out.nothing_else();
    inner
}

/// An ESP frame from the peer by the SA of `of`.
fn esp_by(dp: &mut WholeDp, of: Of, seq: u32, inner: &[u8]) -> Vec<u8> {
    let spi = SPI + of.if_id + of.mark;
    from_peer(dp, &esp(spi, seq, &in_tunnel(inner)))
}

/// The packet as it goes to the kernel by an interface: behind a header that its tun cuts off.
fn by_interface(dp: &mut WholeDp, name: &str, inner: &[u8]) -> Vec<u8> {
    let own = dp.mac(name).0;
    [&own[..], &[2, 0, 0, 0, 0, 9, 8, 0], inner].concat()
}

fn hop_less(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    Ip4Mut::new(&mut packet).unwrap().lower_ttl();
    packet
}

#[test]
pub fn a_route_to_an_interface_seals_and_its_policies_touch_nothing_else() {
    let mut dp = with_interfaces();
    out_by(&mut dp, IPSEC0);
    out_by(&mut dp, VTI0);
    for (to, of) in [("10.9.0.9", IPSEC0), ("10.7.0.9", VTI0)] {
        let frame = dp.frame("p0").ip4(HOST4, to).udp(1, 2);
        let out = dp.send("p0", &frame);
        let name = if of.mark == 0 { "ipsec0" } else { "vti0" };
        let counts = out.counts().port(dp.port_id(name));
        let len = frame.len() as u64 - 14;
        assert_eq!((counts.sealed_packets, counts.sealed_bytes), (1, len));
        assert_eq!(sealed(&out, of), in_tunnel(&hop_less(&frame[14..])));
        // What the kernel writes to the interface is sealed as it is.
        let own = dp.frame(name).ip4(OURS, to).udp(1, 2);
        let out = dp.inject(&[(name, &own)]);
        assert_eq!(sealed(&out, of), in_tunnel(&own[14..]));
        // There is no neighbour, and so no exception for its discovery, nor for IKE.
        let ike = dp.frame(name).ip4(OURS, to).udp(500, 500);
        let out = dp.inject(&[(name, &ike)]);
        assert_eq!(sealed(&out, of), in_tunnel(&ike[14..]));
    }
    let clear = dp.frame("p0").ip4(HOST4, FAR4).udp(1, 2);
    dp.send("p0", &clear)
        .forwarded("p1", "02::9", &clear)
        .nothing_else();
}

#[test]
pub fn nothing_leaves_by_an_interface_without_a_policy_of_its_own() {
    let mut dp = with_interfaces();
    let reason = DropReason::IpsecInterfaceNoPolicy;
    let is_lost = |dp: &mut WholeDp| {
        let frame = dp.frame("p0").ip4(HOST4, "10.9.0.9").udp(1, 2);
        dp.send("p0", &frame).dropped("p0", reason).nothing_else();
        let own = dp.frame("ipsec0").ip4(OURS, "10.9.0.9").udp(1, 2);
        dp.inject(&[("ipsec0", &own)])
            .dropped("ipsec0", reason)
            .nothing_else();
    };
    // There is no policy at all, and packets take the straight path.
    is_lost(&mut dp);
    // Policies of others.
    let everybody = policy_of(&mut dp, NONE, PolicyDirection::Out, Action::Bypass);
    for of in [OTHER, VTI0] {
        out_by(&mut dp, of);
        is_lost(&mut dp);
    }
    dp.ipsec().del_policy(everybody).unwrap();
    // One of its own that lets packets pass in clear.
    policy_of(&mut dp, IPSEC0, PolicyDirection::Out, Action::Bypass);
    is_lost(&mut dp);
    // A frame that is not IP.
    let arp = [&[2; 12][..], &[8, 6], &[0; 28]].concat();
    dp.inject(&[("ipsec0", &arp)])
        .dropped("ipsec0", DropReason::IpsecMalformed)
        .nothing_else();
}

#[test]
pub fn a_trap_of_an_interface_asks_for_an_sa() {
    let mut dp = with_interfaces();
    let trap = policy_of(&mut dp, IPSEC0, PolicyDirection::Out, PROTECT);
    let frame = dp.frame("p0").ip4(HOST4, "10.9.0.9").udp(1, 2);
    dp.send("p0", &frame)
        .dropped("p0", DropReason::PolicyNoSa)
        .nothing_else();
    let event = dp.ipsec().ipsec().events().pop();
    let Some(Event::Acquire { policy, .. }) = event else {
        panic!("{event:?}")
    };
    assert_eq!(policy, trap);
}

#[test]
pub fn what_an_sa_opens_arrives_by_its_interface() {
    let mut dp = with_interfaces();
    in_by(&mut dp, IPSEC0);
    in_by(&mut dp, VTI0);
    let ping = |to: &str, protocol| {
        let fields = Ip4Fields {
            protocol,
            ttl: 1,
            ..Ip4Fields::default()
        };
        packet(THERE, to, fields, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0])
    };
    for (name, of) in [("ipsec0", IPSEC0), ("vti0", VTI0)] {
        let inner = inner_packet();
        let frame = esp_by(&mut dp, of, 1, &inner);
        let out = dp.send("p1", &frame);
        let counts = out.counts().port(dp.port_id(name));
        let len = inner.len() as u64;
        assert_eq!((counts.opened_packets, counts.opened_bytes), (1, len));
        out.forwarded("p0", "02::aa", &by_interface(&mut dp, name, &inner))
            .nothing_else();
        // For the router, for a group of the link, and what the kernel has to answer.
        let cases = [
            (ping(OURS, ip::ICMP), PuntReason::Icmp),
            (ping("224.0.0.5", ip::OSPF), PuntReason::Ospf),
            (ping(FAR4, ip::ICMP), PuntReason::TtlExpired),
        ];
        for (seq, (inner, reason)) in (2..).zip(cases) {
            let frame = esp_by(&mut dp, of, seq, &inner);
            dp.send("p1", &frame)
                .punted(name, reason, &by_interface(&mut dp, name, &inner))
                .nothing_else();
        }
    }
}

#[test]
pub fn an_interface_that_is_down_or_missing_lets_nothing_in() {
    let mut dp = with_interfaces();
    in_by(&mut dp, IPSEC0);
    in_by(&mut dp, OTHER);
    let reason = DropReason::IpsecInterfaceDown;
    let inner = inner_packet();
    let frame = esp_by(&mut dp, OTHER, 1, &inner);
    dp.send("p1", &frame).dropped("p1", reason).nothing_else();
    let id = dp.port_id("ipsec0");
    for (seq, up) in [(1, false), (2, true)] {
        dp.dataplane().port_set_admin(id, up).unwrap();
        let frame = esp_by(&mut dp, IPSEC0, seq, &inner);
        let was = by_interface(&mut dp, "ipsec0", &inner);
        let out = dp.send("p1", &frame);
        match up {
            false => out.dropped("ipsec0", reason),
            true => out.forwarded("p0", "02::aa", &was),
        };
        out.nothing_else();
    }
}

#[test]
pub fn policies_of_an_interface_judge_its_packets_alone() {
    let mut dp = with_interfaces();
    let inner = inner_packet();
    let reason = DropReason::PolicyMissing;
    // SAs of an interface, policies of none; then the other way round.
    dp.ipsec().add_sa(sa_of(IPSEC0, Direction::In)).unwrap();
    let rule = policy_of(&mut dp, NONE, PolicyDirection::Fwd, PROTECT);
    let frame = esp_by(&mut dp, IPSEC0, 1, &inner);
    dp.send("p1", &frame)
        .dropped("ipsec0", reason)
        .nothing_else();
    dp.ipsec().del_policy(rule).unwrap();
    dp.ipsec().add_sa(sa_of(NONE, Direction::In)).unwrap();
    policy_of(&mut dp, IPSEC0, PolicyDirection::Fwd, PROTECT);
    let frame = esp_by(&mut dp, NONE, 1, &inner);
    dp.send("p1", &frame).dropped("p1", reason).nothing_else();
    // And in clear it comes by no interface.
    let own = dp.mac("p1").0;
    let clear = [&own[..], &[2, 0, 0, 0, 0, 9, 8, 0], &inner].concat();
    dp.send("p1", &clear)
        .forwarded("p0", "02::aa", &clear)
        .nothing_else();
}

#[test]
pub fn what_does_not_fit_an_interface_or_has_no_hop_left_is_the_kernels() {
    let mut dp = with_interfaces();
    out_by(&mut dp, IPSEC0);
    let frame = |dp: &mut WholeDp, len: usize| {
        let frame = dp.frame("p0").ip4(HOST4, "10.9.0.9");
        frame.data_len(len - 28)
    };
    let fits = frame(&mut dp, 1400).udp(1, 2);
    let out = dp.send("p0", &fits);
    assert_eq!(sealed(&out, IPSEC0).len(), in_tunnel(&fits[14..]).len());
    let cases = [
        (frame(&mut dp, 1401).udp(1, 2), PuntReason::FragmentNeeded),
        (frame(&mut dp, 1401).df().udp(1, 2), PuntReason::TooBig),
        (frame(&mut dp, 64).ttl(1).udp(1, 2), PuntReason::TtlExpired),
    ];
    for (frame, reason) in cases {
        dp.send("p0", &frame)
            .punted("p0", reason, &frame)
            .nothing_else();
    }
}

#[test]
pub fn a_hub_passes_packets_on_from_one_interface_to_another() {
    let mut dp = with_interfaces();
    in_by(&mut dp, IPSEC0);
    out_by(&mut dp, VTI0);
    // Judged as it arrives by one, and sealed as it leaves by the other.
    let inner = packet(THERE, "10.7.0.9", Ip4Fields::default(), &[0; 8]);
    let mut inner = inner;
    inner[8] = 64;
    inner[10..12].fill(0);
    let sum = ironlane_packet::checksum::of(&inner[..20]);
    inner[10..12].copy_from_slice(&sum.to_be_bytes());
    let frame = esp_by(&mut dp, IPSEC0, 1, &inner);
    let out = dp.send("p1", &frame);
    assert_eq!(sealed(&out, VTI0), in_tunnel(&hop_less(&inner)));
}

#[test]
pub fn a_tunnel_whose_peer_is_behind_itself_carries_nothing() {
    let mut dp = with_interfaces();
    out_by(&mut dp, IPSEC0);
    dp.route("203.0.113.77/32 dev ipsec0");
    let frame = dp.frame("p0").ip4(HOST4, "10.9.0.9").udp(1, 2);
    dp.send("p0", &frame)
        .dropped("p0", DropReason::IpsecInterfaceLoop)
        .nothing_else();
    // An SA in another is no loop.
    dp.route("203.0.113.77/32 dev vti0")
        .route("203.0.113.78/32 via 198.51.100.9");
    let rule = policy_of(&mut dp, VTI0, PolicyDirection::Out, PROTECT);
    let beyond = SaSpec {
        dst: "203.0.113.78".parse().unwrap(),
        ..sa_of(VTI0, Direction::Out)
    };
    let id = dp.ipsec().add_sa(beyond).unwrap();
    dp.ipsec().bind(rule, Some(id)).unwrap();
    let out = dp.send("p0", &frame);
    let inner = sealed(&out, VTI0);
    let header = Ip4::new(&inner).unwrap();
    assert_eq!((header.protocol(), header.ttl()), (ip::ESP, 64));
    let peer: std::net::Ipv4Addr = PEER.parse().unwrap();
    assert_eq!(header.dst(), u32::from(peer));
    let len = usize::from(header.total_len_bytes());
    let (_, _, text) = unesp(&inner[20..len]);
    assert_eq!(text, in_tunnel(&hop_less(&frame[14..])));
}
