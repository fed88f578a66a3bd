//! Every drop and punt reason is the subject of a test. The two matches below name the tests; a
//! new reason does not compile until it has one, and a test that does not bring its reason about
//! fails here.

use std::collections::{BTreeMap, BTreeSet};

use ironlane_dataplane::eal::CpuList;
use ironlane_dataplane::reason::{DropReason, PuntReason, drops_page};
use ironlane_dataplane::stage::graph_svg;
use ironlane_tests::take_seen;

use crate::{
    chains, control, ethernet, exceptions, glean, ip4_rules, ip6_rules, ipsec,
    ipsec_fragments_refused, ipsec_interface, ipsec_modes, ipsec_other_sealed, ipsec_rules,
    ipsec_too_big, local, local_groups, ports,
};

/// A test, to run here again; or why none is possible in this process.
enum Subject {
    Test(fn()),
    Elsewhere(&'static str),
}

use Subject::{Elsewhere, Test};

fn test_of_drop(reason: DropReason) -> Subject {
    use DropReason as D;
    Test(match reason {
        D::RxPortDown | D::TxPortDown => ports::a_port_that_is_down_takes_and_sends_nothing,
        D::EthTruncated => ethernet::runts_end_inside_their_header,
        D::EthScatteredHeader => {
            return Elsewhere("needs buffers below 128 bytes; ours have that much headroom alone");
        }
        D::EthNotForUs => ethernet::frames_for_other_stations_are_not_forwarded,
        D::EthGroupSource | D::EthOwnSource => ethernet::senders_that_cannot_be_are_not_believed,
        D::EthMacControl => ethernet::pause_frames_end_at_the_port,
        D::EthReservedVlan | D::EthUnknownVlan => {
            ethernet::tags_of_vlans_that_are_not_configured_are_dropped
        }
        D::EthUnknownType => ethernet::types_that_nothing_handles_are_dropped,
        D::EthBadLength => ethernet::lengths_beyond_the_frame_are_dropped,
        D::EthUnknownLlc | D::EthBpdu => control::other_llc_is_dropped_by_name,
        D::ArpTruncated | D::ArpBadType | D::ArpBadLength | D::ArpBadOp | D::ArpBadSender => {
            control::arp_that_cannot_be_meant_is_dropped
        }
        D::Ip4Truncated | D::Ip4BadVersion | D::Ip4BadIhl | D::Ip4BadLength => {
            ip4_rules::headers_that_break_a_rule_are_dropped_by_name
        }
        D::Ip4BadChecksum => ip4_rules::checksums_are_judged_over_options_and_by_the_nic,
        D::Ip4MartianSource => ip4_rules::sources_that_no_host_can_have_are_martians,
        D::Ip4MartianDestination => {
            ip4_rules::destinations_that_no_host_can_have_are_martians_although_a_default_route_covers_them
        }
        D::Ip4MulticastNoRoute | D::Ip4MulticastBadMac | D::Ip6MulticastNoRoute => {
            local_groups::multicast_data_without_a_route_is_dropped
        }
        D::Ip4DirectedBroadcast => local_groups::directed_broadcasts_are_neither_forwarded_nor_exploded,
        D::Ip4GroupFrame => ip4_rules::unicast_in_frames_to_groups_is_never_forwarded,
        D::Ip4LinkLocal => ip4_rules::link_local_addresses_are_not_forwarded,
        D::Ip4BroadcastSource => exceptions::nobody_answers_the_broadcast_address_of_a_subnet,
        D::Ip4TtlExpired | D::Ip6HopLimitExpired => {
            exceptions::an_expired_ttl_that_no_error_may_answer_is_dropped
        }
        D::Ip4TooBig | D::Ip6TooBig => {
            exceptions::a_packet_too_big_that_no_error_may_answer_is_dropped
        }
        D::Ip4NoRoute | D::Ip4Unreachable | D::Ip4Prohibit => {
            exceptions::routes_that_lead_nowhere_are_silent_to_errors
        }
        D::Ip6NoRoute | D::Ip6Unreachable | D::Ip6Prohibit => {
            exceptions::routes_that_lead_nowhere_are_silent_to_errors
        }
        D::Ip4Blackhole | D::Ip4AdjacencyDrop | D::Ip6Blackhole | D::Ip6AdjacencyDrop => {
            exceptions::blackholes_swallow_whatever_the_packet_is
        }
        D::Ip6Truncated | D::Ip6BadVersion => {
            ip6_rules::headers_that_break_a_rule_are_dropped_by_name
        }
        D::Ip6MartianSource | D::Ip6MartianDestination | D::Ip6MulticastScope => {
            ip6_rules::impossible_addresses_are_martians
        }
        D::Ip6GroupFrame => ip6_rules::unicast_in_frames_to_groups_is_never_forwarded,
        D::Ip6LinkLocal => ip6_rules::link_local_sources_stay_on_their_link,
        D::IpsecNoSa | D::IpsecKeepalive => ipsec::what_names_no_sa_ends_here_and_ike_does_not,
        D::PolicyDiscard | D::PolicyUnprotected | D::PolicyMismatch | D::PolicyMissing => {
            ipsec_rules::what_arrives_must_be_protected_as_its_policy_says
        }
        D::IpsecInterfaceNoPolicy => {
            ipsec_interface::nothing_leaves_by_an_interface_without_a_policy_of_its_own
        }
        D::IpsecInterfaceLoop => {
            ipsec_interface::a_tunnel_whose_peer_is_behind_itself_carries_nothing
        }
        D::IpsecInterfaceDown => {
            ipsec_interface::an_interface_that_is_down_or_missing_lets_nothing_in
        }
        D::PolicyNotKnown => ipsec_modes::nothing_leaves_before_policies_are_known,
        D::PolicyNoSa => ipsec::without_an_sa_a_packet_is_lost_and_ike_is_asked,
        D::IpsecReplay | D::IpsecIntegrity | D::IpsecMalformed | D::IpsecPadding => {
            ipsec_rules::packets_that_an_sa_refuses_are_dropped_by_name
        }
        D::IpsecDummy | D::IpsecMode | D::IpsecInner | D::IpsecSelector | D::IpsecEcn => {
            ipsec_rules::packets_that_an_sa_refuses_are_dropped_by_name
        }
        D::IpsecFragment => ipsec_rules::transport_mode_takes_no_fragments,
        D::IpsecFragmentBad => ipsec_fragments_refused::fragments_that_cannot_be_are_dropped,
        D::IpsecFragmentOverlap => {
            ipsec_fragments_refused::fragments_that_overlap_lose_all_of_their_packet
        }
        D::IpsecFragmentTwice => ipsec_fragments_refused::a_copy_is_lost_alone,
        D::IpsecFragmentLate => ipsec_fragments_refused::what_waits_too_long_is_lost_or_the_kernels,
        D::IpsecFragmentCrowded => {
            ipsec_fragments_refused::who_sends_fragments_without_end_loses_its_own
        }
        D::IpsecFragmentTooLong => {
            ipsec_fragments_refused::packets_of_too_many_fragments_or_bytes_are_lost
        }
        D::IpsecNoBuffer => {
            ipsec_fragments_refused::without_a_buffer_fragments_do_not_come_together
        }
        D::IpsecSequence | D::IpsecExpired => ipsec_rules::an_sa_at_its_end_passes_nothing,
        D::IpsecOtherSealed => {
            ipsec_other_sealed::a_number_that_lcores_have_yet_to_use_does_not_leave_by_another
        }
        D::IpsecNested => ipsec_rules::tunnels_in_tunnels_are_opened_up_to_a_bound,
        D::IpsecNoRoom => ipsec_rules::a_packet_in_several_buffers_that_one_cannot_hold_is_dropped,
        D::IpsecTooBig => ipsec_too_big::a_sender_is_told_what_fits_a_tunnel,
        D::IpsecSaGone => {
            return Elsewhere("the SA would have to go between two steps of one turn");
        }
        D::IpsecTooLong => return Elsewhere("ports take no packets of nearly 64 KiB"),
        D::IpsecDevice => return Elsewhere("the device of the CPU fails at nothing"),
        D::GleanPoliced => glean::one_unresolved_adjacency_does_not_take_the_kernel_from_another,
        D::PuntPoliced => ports::a_policer_holds_one_reason_back_and_no_other,
        D::PuntRingFull => ports::a_full_punt_ring_is_a_drop_and_leaves_the_other_priorities_alone,
        D::HandoffRingFull => ports::a_full_hand_off_ring_is_a_drop_at_the_port_beyond,
        D::TxQueueFull => ports::a_full_transmit_queue_is_a_drop,
        D::TxChained => chains::a_port_that_sends_no_chains_gets_packets_in_one_buffer,
    })
}

pub fn test_of_punt(reason: PuntReason) -> fn() {
    use PuntReason as P;
    match reason {
        P::Isis => control::isis_goes_to_the_kernel_in_llc_frames_and_in_jumbo_ones,
        P::Lacp | P::Lldp | P::Cdp => control::discovery_and_aggregation_go_to_the_kernel,
        P::Arp => control::arp_goes_to_the_kernel,
        P::Ospf | P::Bgp | P::Bfd | P::Vrrp | P::Pim | P::Ldp | P::Rip | P::Eigrp | P::Babel => {
            local::each_protocol_to_the_router_has_its_reason_in_both_families
        }
        P::Rsvp | P::Ike | P::Dhcp | P::Ipsec | P::Local => {
            local::each_protocol_to_the_router_has_its_reason_in_both_families
        }
        P::Nd | P::Mld => local_groups::neighbour_and_listener_discovery_go_to_the_kernel,
        P::Igmp | P::LinkMulticast => local_groups::control_groups_of_the_link_go_to_the_kernel,
        P::Icmp => local::icmp_of_every_type_for_the_router_goes_to_it,
        P::Broadcast => local_groups::broadcasts_of_the_arrival_link_go_to_the_kernel,
        P::KernelRoute | P::NoRoute | P::Unreachable | P::Prohibit => {
            exceptions::routes_that_lead_nowhere_are_answered_by_linux
        }
        P::Glean => glean::packets_to_an_unresolved_nexthop_go_to_linux,
        P::TtlExpired => exceptions::expired_ttl_goes_to_linux_and_nowhere_else,
        P::TooBig | P::FragmentNeeded => exceptions::what_is_larger_than_the_mtu_goes_to_linux,
        P::Ip4Options => exceptions::options_go_to_linux,
        P::RouterAlert | P::Ip6HopByHop => exceptions::hop_by_hop_options_go_to_linux,
        P::Redirect => exceptions::a_packet_that_turns_back_is_shown_to_linux_once_a_second,
        P::BeyondScope => ip6_rules::link_local_sources_stay_on_their_link,
    }
}

/// A test with the reasons that it is said to bring about.
struct Claimed {
    test: fn(),
    drops: BTreeSet<DropReason>,
    punts: BTreeSet<PuntReason>,
}

impl Claimed {
    fn of(test: fn()) -> Self {
        Self {
            test,
            drops: BTreeSet::new(),
            punts: BTreeSet::new(),
        }
    }
}

#[test]
pub fn every_reason_is_brought_about_by_its_test() {
    let mut tests: BTreeMap<usize, Claimed> = BTreeMap::new();
    for &reason in DropReason::ALL {
        match test_of_drop(reason) {
            Test(test) => {
                let entry = tests.entry(test as usize);
                entry
                    .or_insert_with(|| Claimed::of(test))
                    .drops
                    .insert(reason);
            }
            Elsewhere(why) => println!("{reason}: {why}"),
        }
    }
    for &reason in PuntReason::ALL {
        let test = test_of_punt(reason);
        let entry = tests.entry(test as usize);
        entry
            .or_insert_with(|| Claimed::of(test))
            .punts
            .insert(reason);
    }
    let one_cpu = CpuList::allowed().0.len() == 1;
    for Claimed { test, drops, punts } in tests.into_values() {
        let _ = take_seen();
        test();
        let (seen_drops, seen_punts) = take_seen();
        for reason in drops {
            let excused = one_cpu && reason == DropReason::HandoffRingFull;
            assert!(
                seen_drops.contains(&reason) || excused,
                "its test brings no drop {reason}"
            );
        }
        for reason in punts {
            assert!(
                seen_punts.contains(&reason),
                "its test brings no punt {reason}"
            );
        }
    }
}

/// A file of docs/ must be what the program makes; `IRONLANE_BLESS=1` writes it.
fn is_current(file: &str, made: &str) {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let path = docs.join(file);
    if std::env::var_os("IRONLANE_BLESS").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == made,
        "docs/{file} is stale; run: \
         IRONLANE_BLESS=1 cargo test -p ironlane-tests --test whole_dp program"
    );
}

#[test]
pub fn the_page_of_reasons_is_the_programs_list() {
    is_current("drops.md", &drops_page());
}

#[test]
pub fn the_picture_of_the_stages_is_drawn_by_the_program() {
    is_current("graph.svg", &graph_svg());
}
