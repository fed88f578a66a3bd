//! Frames captured elsewhere: control protocols as their daemons send them, and every capture at
//! hand without a crash and without a packet unaccounted for.

use std::path::Path;

use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_tests::{Capture, Event, Outcome, WholeDp, data};

use crate::router;

/// Rewrites the destination of unicast frames, so that they are for p0.
pub fn for_us(mut frame: Vec<u8>) -> Vec<u8> {
    if frame.len() >= 14 && frame[0] & 1 == 0 {
        frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    }
    frame
}

/// The reasons for which the frames of a capture were punted, sorted and once each.
fn punts_of(dp: &mut WholeDp, file: &str) -> Vec<PuntReason> {
    let capture = Capture::open(&data::own().join(file)).unwrap();
    let mut reasons = Vec::new();
    for frame in capture.frames {
        let frame = for_us(frame);
        let out = dp.send("p0", &frame);
        let (events, drops) = out.take_events();
        claim(&out, &drops);
        for event in events {
            if let Event::Punted { reason, bytes, .. } = event {
                assert_eq!(bytes, frame, "changed before it was punted");
                reasons.push(reason);
            }
        }
        out.nothing_else();
    }
    reasons.sort();
    reasons.dedup();
    reasons
}

fn claim(out: &Outcome, drops: &[(String, DropReason, u64)]) {
    for (port, reason, n) in drops {
        out.dropped_n(port, *reason, *n);
    }
}

#[test]
pub fn control_protocols_of_real_daemons_are_recognised() {
    let mut dp = router();
    let mut check = |file, expected: &[PuntReason]| {
        let found = punts_of(&mut dp, file);
        for reason in expected {
            assert!(
                found.contains(reason),
                "{file}: no {reason} among {found:?}"
            );
        }
    };
    check(
        "own-arp-ndp.pcap",
        &[PuntReason::Arp, PuntReason::Nd, PuntReason::Mld],
    );
    check(
        "own-control.pcap",
        &[
            PuntReason::Ospf,
            PuntReason::Vrrp,
            PuntReason::Bfd,
            PuntReason::Lacp,
            PuntReason::Lldp,
            PuntReason::Isis,
            PuntReason::Dhcp,
        ],
    );
    check("tcpdump-OSPFv2_Capture_FINAL.pcap", &[PuntReason::Ospf]);
    check(
        "tcpdump-OSPFv3_broadcast_adjacency.pcap",
        &[PuntReason::Ospf],
    );
    check("tcpdump-ISIS_external_lsp.pcap", &[PuntReason::Isis]);
    check(
        "tcpdump-LLDP_and_CDP.pcap",
        &[PuntReason::Lldp, PuntReason::Cdp],
    );
    check("tcpdump-LACP.pcap", &[PuntReason::Lacp]);
    check("tcpdump-vrrp.pcap", &[PuntReason::Vrrp]);
    check("tcpdump-IGMP_V2.pcap", &[PuntReason::Igmp]);
}

#[test]
pub fn spanning_tree_ends_at_the_port() {
    let mut dp = router();
    let capture = Capture::open(&data::own().join("tcpdump-802.1w_rapid_STP.pcap")).unwrap();
    for frame in capture.frames {
        dp.send("p0", &frame)
            .dropped("p0", DropReason::EthBpdu)
            .nothing_else();
    }
}

/// Every Ethernet frame of a folder's captures: decided exactly once, punted unchanged.
fn replay(folder: &Path) -> usize {
    let mut dp = router();
    dp.route("default via 198.51.100.9")
        .route("default6 via 2001:db8:0:2::9");
    let mut frames = 0;
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "pcap"))
    {
        let capture = Capture::open(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        if capture.link_type != 1 {
            continue;
        }
        println!("{}", file.display());
        for burst in capture.frames.chunks(50) {
            for rewritten in [false, true] {
                let burst: Vec<_> = burst
                    .iter()
                    .map(|f| {
                        if rewritten {
                            for_us(f.clone())
                        } else {
                            f.clone()
                        }
                    })
                    .collect();
                replay_burst(&mut dp, &burst);
                frames += burst.len();
            }
        }
    }
    frames
}

fn replay_burst(dp: &mut WholeDp, burst: &[Vec<u8>]) {
    let input: Vec<_> = burst.iter().map(|frame| ("p0", frame.into())).collect();
    let out = dp.send_all(&input);
    let (events, drops) = out.take_events();
    claim(&out, &drops);
    let lost: u64 = drops.iter().map(|(_, _, n)| n).sum();
    assert_eq!(events.len() + lost as usize, burst.len());
    for event in events {
        if let Event::Punted { bytes, .. } = event {
            assert!(burst.contains(&bytes), "changed before it was punted");
        }
    }
    out.nothing_else();
}

#[test]
pub fn every_capture_of_the_project_is_decided() {
    assert!(replay(&data::own()) > 1000);
}

#[test]
pub fn every_capture_beside_the_checkout_is_decided() {
    let Some(shared) = data::shared() else {
        println!("SKIP whole_dp/shared_captures: no ../shared and no $IRONLANE_SHARED");
        return;
    };
    assert!(replay(&shared.join("data/pcaps")) > 2000);
}
