//! Nexthop groups: which member a flow takes.

use std::collections::BTreeMap;

use ironlane_packet::ip4::MF;
use ironlane_tests::{Event, Injected, WholeDp};

use crate::{FAR4, FAR6, HOST4, HOST6, router};

fn group() -> WholeDp {
    let mut dp = router();
    dp.route("203.0.113.0/24 via 198.51.100.21 weight 1 via 198.51.100.22 weight 3")
        .route("2001:db8:f::/48 via 2001:db8:0:2::21 via 2001:db8:0:2::22")
        .neighbour("198.51.100.21 dev p1 lladdr 02::21")
        .neighbour("198.51.100.22 dev p1 lladdr 02::22")
        .neighbour("2001:db8:0:2::21 dev p1 lladdr 02::21")
        .neighbour("2001:db8:0:2::22 dev p1 lladdr 02::22");
    dp
}

/// How many frames went to each neighbour, by the last byte of its MAC.
fn shares(dp: &mut WholeDp, frames: &[Injected]) -> BTreeMap<u8, usize> {
    let mut shares = BTreeMap::new();
    for burst in frames.chunks(256) {
        let input: Vec<_> = burst.iter().map(|frame| ("p0", frame.clone())).collect();
        let out = dp.send_all(&input);
        let (events, drops) = out.take_events();
        assert!(drops.is_empty(), "{drops:?}");
        for event in events {
            let Event::Sent { bytes, .. } = event else {
                panic!("{event:?}")
            };
            *shares.entry(bytes[5]).or_default() += 1;
        }
        out.nothing_else();
    }
    shares
}

#[test]
pub fn flows_spread_over_the_members_by_weight() {
    let mut dp = group();
    let flows: Vec<Injected> = (0..2048u16)
        .map(|port| dp.frame("p0").ip4(HOST4, FAR4).udp(port, 53).into())
        .collect();
    let shares4 = shares(&mut dp, &flows);
    // 512 and 1536 on average; six standard deviations are 118.
    assert!((394..630).contains(&shares4[&0x21]), "{shares4:?}");
    assert_eq!(shares4[&0x21] + shares4[&0x22], 2048);
    let flows: Vec<Injected> = (0..2048u16)
        .map(|port| dp.frame("p0").ip6(HOST6, FAR6).tcp(port, 80).into())
        .collect();
    let shares6 = shares(&mut dp, &flows);
    assert!((888..1160).contains(&shares6[&0x21]), "{shares6:?}");
}

#[test]
pub fn a_flow_keeps_to_one_member_whatever_else_changes_in_its_packets() {
    let mut dp = group();
    for port in 0..20 {
        let mut packets: Vec<Injected> = Vec::new();
        for (ttl, len) in [(64, 10), (3, 10), (64, 900)] {
            let frame = dp.frame("p0").ip4(HOST4, FAR4).ttl(ttl).data_len(len);
            packets.push(frame.udp(port, 53).into());
        }
        // With options the ports are elsewhere in the packet.
        packets.push(
            dp.frame("p0")
                .ip4(HOST4, FAR4)
                .options(&[1])
                .data_len(10)
                .udp(port, 53)
                .into(),
        );
        assert_eq!(shares(&mut dp, &packets).len(), 1, "port {port}");
    }
}

#[test]
pub fn all_fragments_of_a_datagram_take_one_way() {
    let mut dp = group();
    for host in 1..30 {
        let dst = format!("203.0.113.{host}");
        let mut packets: Vec<Injected> = Vec::new();
        for word in [MF, MF | 1, 185] {
            let frame = dp.frame("p0").ip4(HOST4, &dst).fragment_word(word);
            packets.push(frame.udp(word, 53).into());
        }
        assert_eq!(shares(&mut dp, &packets).len(), 1, "{dst}");
        let dst = format!("2001:db8:f::{host:x}");
        let mut packets: Vec<Injected> = Vec::new();
        for word in [1u8, 9, 16] {
            let header = [0, 0, 0, word, 0, 0, 0, 7];
            let frame = dp.frame("p0").ip6(HOST6, &dst).extension(44, &header);
            packets.push(frame.udp(word.into(), 53).into());
        }
        assert_eq!(shares(&mut dp, &packets).len(), 1, "{dst}");
    }
}

#[test]
pub fn the_hash_of_the_nic_is_used_only_where_it_is_valid() {
    let mut dp = group();
    let frame = dp.frame("p0").ip6(HOST6, FAR6).udp(7, 7);
    // One flow with many hashes: the NIC is believed, so it spreads.
    let many: Vec<Injected> = (0..256u32)
        .map(|i| Injected::from(&frame).rss_hash(i.wrapping_mul(0x9e37_79b9)))
        .collect();
    assert_eq!(shares(&mut dp, &many).len(), 2);
    // Without a valid hash one flow is one flow.
    let same: Vec<Injected> = (0..16).map(|_| Injected::from(&frame)).collect();
    assert_eq!(shares(&mut dp, &same).len(), 1);
}

#[test]
pub fn an_unresolved_member_gleans_its_share_alone() {
    let mut dp = group();
    dp.neighbour("198.51.100.21 dev p1 failed");
    let mut burst = Vec::new();
    for port in 0..200 {
        burst.push(("p0", dp.frame("p0").ip4(HOST4, FAR4).udp(port, 53).into()));
    }
    let out = dp.send_all(&burst);
    let (events, drops) = out.take_events();
    assert!(drops.is_empty(), "{drops:?}");
    let gleaned = events
        .iter()
        .filter(|event| matches!(event, Event::Punted { .. }))
        .count();
    assert!(
        (20..90).contains(&gleaned),
        "{gleaned} of 200 for a quarter of the weight"
    );
    assert_eq!(events.len(), 200);
    out.nothing_else();
}
