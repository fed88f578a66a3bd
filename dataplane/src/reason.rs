//! Stages, drop reasons and punt reasons: the only lists.
//!
//! Counters, the CLI, metrics, `docs/drops.md` and the tests all read these lists, so a name is
//! spelled once. An entry is one line of help (its doc comment), a variant and a stable name.
//! Names are the protocol or stage, then the cause. `docs/drops.md` is checked against
//! [`drops_page`] by a test.

#[macro_use]
mod list;
mod page;

pub use page::drops_page;

/// How urgent a punted packet is: each priority has a ring of its own to the exception thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PuntPriority {
    /// Routing protocols: what keeps adjacencies and sessions alive.
    High = 0,
    /// ARP, neighbour discovery and packets for the router itself.
    Medium = 1,
    /// What a stranger can cause at will: expired TTL, too big, glean, no route.
    Low = 2,
}

impl PuntPriority {
    /// How many priorities there are.
    pub const COUNT: usize = 3;
    /// All, most urgent first.
    pub const ALL: &'static [Self] = &[Self::High, Self::Medium, Self::Low];

    /// Dense index below [`Self::COUNT`].
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// `high`, `medium` or `low`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

list! {
    /// The stages, in the order packets meet them.
    StageId {
        /// Takes bursts from the queues of ports.
        Rx = "rx",
        /// Takes what the kernel wrote to a tap, to be sent by the port of that tap.
        Inject = "inject",
        /// Plain unicast IPv4 and IPv6, from the frame to the rewrite; others go on to classify.
        Straight = "straight",
        /// Judges the Ethernet header and sorts a burst by lane.
        Classify = "classify",
        /// ARP, LLDP, LACP, IS-IS and other link-level control.
        Control = "control",
        /// Header rules of RFC 1812 5.2.2 and martian addresses.
        Ip4Check = "ip4_check",
        /// Longest prefix match, nexthop, adjacency; sorts by kind of adjacency.
        Ip4Lookup = "ip4_lookup",
        /// Header rules of RFC 8200 and martian addresses.
        Ip6Check = "ip6_check",
        /// Longest prefix match, nexthop, adjacency; sorts by kind of adjacency.
        Ip6Lookup = "ip6_lookup",
        /// IPsec: which SA opens what is for the router, which policy rules over the rest.
        Policy = "policy",
        /// IPv4 for the router itself, its groups and broadcasts: which punt reason.
        Ip4Local = "ip4_local",
        /// IPv4 that cannot just be forwarded: TTL, size, options, scope, no route.
        Ip4Exception = "ip4_exception",
        /// IPv6 for the router itself and its groups: which punt reason.
        Ip6Local = "ip6_local",
        /// IPv6 that cannot just be forwarded: hop limit, size, options, scope, no route.
        Ip6Exception = "ip6_exception",
        /// Packets whose nexthop has no link-layer address yet.
        Glean = "glean",
        /// Writes TTL, checksum and Ethernet header of IPv4.
        Ip4Rewrite = "ip4_rewrite",
        /// Writes hop limit and Ethernet header of IPv6.
        Ip6Rewrite = "ip6_rewrite",
        /// Encrypts and decrypts: packets come back from it as a burst of their own.
        Ipsec = "ipsec",
        /// Polices punted packets and puts them on the ring of their priority.
        Punt = "punt",
        /// Passes packets to the lcore that owns the port they leave by.
        Handoff = "handoff",
        /// Sends bursts by port.
        Tx = "tx",
    }
}

drop_reasons! {
    Rx {
        /// Arrived by a port that is set down.
        RxPortDown = "rx_port_down",
    }
    Classify {
        /// Frame ends inside its Ethernet header or VLAN tag.
        EthTruncated = "eth_truncated",
        /// Headers lie in several buffers and cannot be joined.
        EthScatteredHeader = "eth_scattered_header",
        /// Unicast frame for another station (seen by a promiscuous port; RFC 1812 5.2.1).
        EthNotForUs = "eth_not_for_us",
        /// Source MAC is a group address (IEEE 802.3 3.2.3).
        EthGroupSource = "eth_group_source",
        /// Source MAC is our own: a loop on the link.
        EthOwnSource = "eth_own_source",
        /// MAC control frame such as PAUSE: ends at the port (IEEE 802.3 31).
        EthMacControl = "eth_mac_control",
        /// Tagged with VID 4095, which is reserved (IEEE 802.1Q 9.6).
        EthReservedVlan = "eth_reserved_vlan",
        /// Tagged for a VLAN that is not configured on the port.
        EthUnknownVlan = "eth_unknown_vlan",
        /// EtherType that nothing here handles.
        EthUnknownType = "eth_unknown_type",
        /// 802.3 length beyond the frame, or between length and type (IEEE 802.3 3.2.6).
        EthBadLength = "eth_bad_length",
    }
    Control {
        /// LLC or SNAP frame of a protocol that nothing here handles.
        EthUnknownLlc = "eth_unknown_llc",
        /// Spanning tree BPDU: a router port does not bridge.
        EthBpdu = "eth_bpdu",
        /// ARP packet ends before its addresses do.
        ArpTruncated = "arp_truncated",
        /// ARP for something else than IPv4 on Ethernet.
        ArpBadType = "arp_bad_type",
        /// ARP with address lengths other than 6 and 4.
        ArpBadLength = "arp_bad_length",
        /// ARP operation other than request and reply.
        ArpBadOp = "arp_bad_op",
        /// ARP sender that no host can be: group MAC, multicast, broadcast or loopback
        /// address (RFC 1812 3.3.2).
        ArpBadSender = "arp_bad_sender",
    }
    Ip4Check {
        /// Frame ends before the IPv4 header or the total length does (RFC 1812 5.2.2).
        Ip4Truncated = "ip4_truncated",
        /// IP version is not 4 (RFC 1812 5.2.2).
        Ip4BadVersion = "ip4_bad_version",
        /// Header length below 20 bytes (RFC 1812 5.2.2).
        Ip4BadIhl = "ip4_bad_ihl",
        /// Total length below the header length (RFC 1812 5.2.2).
        Ip4BadLength = "ip4_bad_length",
        /// Header checksum wrong, by the NIC's flag or by our own sum (RFC 1812 5.2.2).
        Ip4BadChecksum = "ip4_bad_checksum",
        /// Source address that no host can have: 0/8, 127/8, 224/4, 240/4 (RFC 1812 5.3.7).
        Ip4MartianSource = "ip4_martian_source",
        /// Destination in 0/8, 127/8 or 240/4 (RFC 1812 5.3.7).
        Ip4MartianDestination = "ip4_martian_destination",
    }
    Ip4Local {
        /// Multicast beyond the link, to a group that the tap has not joined: there are no multicast
        /// routes (RFC 1812 5.2.1.3).
        Ip4MulticastNoRoute = "ip4_multicast_no_route",
        /// Multicast in a frame for another group's MAC (RFC 1112 6.4).
        Ip4MulticastBadMac = "ip4_multicast_bad_mac",
        /// Broadcast of a subnet that is not the arrival port's (RFC 2644).
        Ip4DirectedBroadcast = "ip4_directed_broadcast",
    }
    Ip4Exception {
        /// Unicast IPv4 in a broadcast or multicast frame: never forwarded (RFC 1812 5.3.4).
        Ip4GroupFrame = "ip4_group_frame",
        /// 169.254/16 is never forwarded (RFC 3927 2.7).
        Ip4LinkLocal = "ip4_link_local",
        /// To be answered by Linux, but from the broadcast address of a subnet (RFC 1812 4.2.2.11 d,
        /// 4.3.2.7).
        Ip4BroadcastSource = "ip4_broadcast_source",
        /// TTL ran out, and no ICMP error may answer this packet (RFC 1812 4.3.2.7).
        Ip4TtlExpired = "ip4_ttl_expired",
        /// Larger than the MTU with DF set, and no ICMP error may answer this packet.
        Ip4TooBig = "ip4_too_big",
        /// No route, and no ICMP error may answer this packet.
        Ip4NoRoute = "ip4_no_route",
        /// Route of type unreachable, and no ICMP error may answer this packet.
        Ip4Unreachable = "ip4_unreachable",
        /// Route of type prohibit, and no ICMP error may answer this packet.
        Ip4Prohibit = "ip4_prohibit",
        /// Route of type blackhole.
        Ip4Blackhole = "ip4_blackhole",
        /// Route whose adjacency discards.
        Ip4AdjacencyDrop = "ip4_adjacency_drop",
    }
    Ip6Check {
        /// Frame ends before the IPv6 header or the payload length does (RFC 8200 3).
        Ip6Truncated = "ip6_truncated",
        /// IP version is not 6 (RFC 8200 3).
        Ip6BadVersion = "ip6_bad_version",
        /// Source is unspecified, loopback, multicast or IPv4-mapped (RFC 4291 2.5, 2.7).
        Ip6MartianSource = "ip6_martian_source",
        /// Destination is unspecified, loopback or IPv4-mapped (RFC 4291 2.5).
        Ip6MartianDestination = "ip6_martian_destination",
        /// Multicast of a scope that never crosses a link: 0, 1 or 15 (RFC 4291 2.7).
        Ip6MulticastScope = "ip6_multicast_scope",
    }
    Policy {
        /// ESP or AH for the router by no SA that there is.
        IpsecNoSa = "ipsec_no_sa",
        /// Keepalive of a peer behind a NAT (RFC 3948 2.3): it has done its work on the way.
        IpsecKeepalive = "ipsec_keepalive",
        /// A policy discards it.
        PolicyDiscard = "policy_discard",
        /// Arrived in clear, where a policy wants it protected (RFC 4301 5.2).
        PolicyUnprotected = "policy_unprotected",
        /// Arrived by another SA than its policy wants (RFC 4301 5.2).
        PolicyMismatch = "policy_mismatch",
        /// Arrived by a tunnel that no policy expects it from.
        PolicyMissing = "policy_missing",
        /// To be protected, and there is no SA yet: IKE was asked for one.
        PolicyNoSa = "policy_no_sa",
        /// To leave by an IPsec interface, and no policy of its `if_id` or mark protects it: nothing
        /// leaves there in clear.
        IpsecInterfaceNoPolicy = "ipsec_interface_no_policy",
        /// Protected by an IPsec interface, and the way to the peer leads to that interface again: route
        /// the peer's address by another.
        IpsecInterfaceLoop = "ipsec_interface_loop",
        /// It would leave, and charon has not yet told its policies since the start ([ipsec] wait_for_charon_s).
        PolicyNotKnown = "policy_not_known",
    }
    Ip6Local {
        /// Multicast beyond the link, to a group that the tap has not joined: there are no multicast
        /// routes.
        Ip6MulticastNoRoute = "ip6_multicast_no_route",
    }
    Ip6Exception {
        /// Unicast IPv6 in a broadcast or multicast frame: never forwarded, as for IPv4.
        Ip6GroupFrame = "ip6_group_frame",
        /// Link-local source beyond its link, and no ICMP error may answer (RFC 4291 2.5.6).
        Ip6LinkLocal = "ip6_link_local",
        /// Hop limit ran out, and no ICMP error may answer this packet (RFC 4443 2.4).
        Ip6HopLimitExpired = "ip6_hop_limit_expired",
        /// Larger than the MTU, and no ICMP error may answer this packet (RFC 4443 2.4).
        Ip6TooBig = "ip6_too_big",
        /// No route, and no ICMP error may answer this packet.
        Ip6NoRoute = "ip6_no_route",
        /// Route of type unreachable, and no ICMP error may answer this packet.
        Ip6Unreachable = "ip6_unreachable",
        /// Route of type prohibit, and no ICMP error may answer this packet.
        Ip6Prohibit = "ip6_prohibit",
        /// Route of type blackhole.
        Ip6Blackhole = "ip6_blackhole",
        /// Route whose adjacency discards.
        Ip6AdjacencyDrop = "ip6_adjacency_drop",
    }
    Glean {
        /// Above the rate at which one unresolved adjacency may reach the kernel.
        GleanPoliced = "glean_policed",
    }
    Ipsec {
        /// Its SA was deleted a moment ago.
        IpsecSaGone = "ipsec_sa_gone",
        /// Sequence number seen before, too old, or 0 (RFC 4303 3.4.3).
        IpsecReplay = "ipsec_replay",
        /// Integrity check value is wrong (RFC 4303 3.4.4).
        IpsecIntegrity = "ipsec_integrity",
        /// Cut, or lengths that contradict each other (RFC 4303 2).
        IpsecMalformed = "ipsec_malformed",
        /// Padding is wrong behind a right integrity check value (RFC 4303 2.4).
        IpsecPadding = "ipsec_padding",
        /// Dummy packet, made to hide how much is sent (RFC 4303 2.6).
        IpsecDummy = "ipsec_dummy",
        /// Headers do not fit the mode of the SA.
        IpsecMode = "ipsec_mode",
        /// Inner packet is cut, or not what its header says.
        IpsecInner = "ipsec_inner",
        /// Inner packet is none that the SA may carry (RFC 4301 5.2).
        IpsecSelector = "ipsec_selector",
        /// Congestion was marked outside, and the inner packet knows none (RFC 6040 4.2).
        IpsecEcn = "ipsec_ecn",
        /// A fragment, where the SA takes whole packets (RFC 4301 7).
        IpsecFragment = "ipsec_fragment",
        /// A fragment of a protected packet that cannot be: empty, cut, too far behind, without the header that
        /// names its SA, or of another kind of ECN than the rest (RFC 8200 4.5, RFC 3168 5.3).
        IpsecFragmentBad = "ipsec_fragment_bad",
        /// A fragment that shares bytes with others of a protected packet: all of it is lost (RFC 5722).
        IpsecFragmentOverlap = "ipsec_fragment_overlap",
        /// A fragment of a protected packet that came twice.
        IpsecFragmentTwice = "ipsec_fragment_twice",
        /// Fragments of a protected packet whose rest did not come in time.
        IpsecFragmentLate = "ipsec_fragment_late",
        /// Fragments of a protected packet that made room for newer ones: as many wait as may, of all or of a source.
        IpsecFragmentCrowded = "ipsec_fragment_crowded",
        /// Fragments of a protected packet that are too many, or together longer than a buffer.
        IpsecFragmentTooLong = "ipsec_fragment_too_long",
        /// There was no buffer to put fragments together in, or for the pieces of a packet that was too long.
        IpsecNoBuffer = "ipsec_no_buffer",
        /// All sequence numbers of the SA are used (RFC 4303 3.3.3).
        IpsecSequence = "ipsec_sequence",
        /// The hard limit of the SA is reached.
        IpsecExpired = "ipsec_expired",
        /// Longer than the way to the peer takes once it is protected. Its sender was told, if an error
        /// may answer and their rate allows it (RFC 4301 8.2).
        IpsecTooBig = "ipsec_too_big",
        /// Too long for IP once it is protected.
        IpsecTooLong = "ipsec_too_long",
        /// The buffer has too little room before or behind the packet, or there are several of them.
        IpsecNoRoom = "ipsec_no_room",
        /// Protected by more SAs, one inside the other, than are opened in one turn.
        IpsecNested = "ipsec_nested",
        /// Its SA is of an IPsec interface that is set down, or that does not exist.
        IpsecInterfaceDown = "ipsec_interface_down",
        /// Linux sent it, sealed by an SA of lcores under a sequence number that they have yet to use: on the
        /// wire the number would be used twice.
        IpsecOtherSealed = "ipsec_other_sealed",
        /// The crypto device could not do it.
        IpsecDevice = "ipsec_device",
    }
    Punt {
        /// Above the rate of its punt reason.
        PuntPoliced = "punt_policed",
        /// The ring to the exception thread is full.
        PuntRingFull = "punt_ring_full",
    }
    Handoff {
        /// The ring to the lcore that owns the port is full.
        HandoffRingFull = "handoff_ring_full",
    }
    Tx {
        /// The port's transmit queue did not take it.
        TxQueueFull = "tx_queue_full",
        /// The port it would leave by is down or gone.
        TxPortDown = "tx_port_down",
        /// In several buffers, which the port cannot send, and too long for one.
        TxChained = "tx_chained",
    }
}

punt_reasons! {
    High {
        /// IS-IS in LLC frames, or by its jumbo EtherType.
        Isis = "isis" @ 20_000,
        /// Link aggregation and other slow protocols.
        Lacp = "lacp" @ 2_000,
        /// OSPFv2 and OSPFv3.
        Ospf = "ospf" @ 20_000,
        /// BGP: TCP port 179.
        Bgp = "bgp" @ 50_000,
        /// BFD, single hop and on LAG members (with TTL 255), multihop, seamless, and its echoes.
        Bfd = "bfd" @ 50_000,
        /// VRRP, both versions and families, with TTL or hop limit 255.
        Vrrp = "vrrp" @ 5_000,
        /// PIM.
        Pim = "pim" @ 5_000,
        /// LDP: discovery and sessions.
        Ldp = "ldp" @ 10_000,
        /// RIP and RIPng.
        Rip = "rip" @ 5_000,
        /// EIGRP.
        Eigrp = "eigrp" @ 5_000,
        /// Babel.
        Babel = "babel" @ 5_000,
        /// RSVP.
        Rsvp = "rsvp" @ 5_000,
        /// IKE: UDP ports 500 and 4500.
        Ike = "ike" @ 5_000,
    }
    Medium {
        /// ARP.
        Arp = "arp" @ 5_000,
        /// Neighbour discovery of IPv6, with hop limit 255.
        Nd = "nd" @ 5_000,
        /// LLDP.
        Lldp = "lldp" @ 1_000,
        /// CDP.
        Cdp = "cdp" @ 1_000,
        /// IGMP.
        Igmp = "igmp" @ 2_000,
        /// Multicast listener discovery.
        Mld = "mld" @ 2_000,
        /// DHCP and DHCPv6.
        Dhcp = "dhcp" @ 2_000,
        /// ICMP and ICMPv6 for the router, and neighbour discovery that a router passed on.
        Icmp = "icmp" @ 5_000,
        /// ESP and AH for the router.
        Ipsec = "ipsec" @ 20_000,
        /// Anything else for an address of the router.
        Local = "local" @ 50_000,
        /// Limited broadcast, or broadcast of the arrival port's subnet.
        Broadcast = "broadcast" @ 2_000,
        /// Multicast of the link, or of a group that the tap has joined, of no protocol named above.
        LinkMulticast = "link_multicast" @ 2_000,
    }
    Low {
        /// The route leaves by an interface that is not a port: Linux forwards.
        KernelRoute = "kernel_route" @ 50_000,
        /// The nexthop has no link-layer address yet: Linux resolves and sends.
        Glean = "glean" @ 20_000,
        /// TTL or hop limit ran out: Linux sends time exceeded.
        TtlExpired = "ttl_expired" @ 2_000,
        /// Larger than the MTU and not to be fragmented: Linux says so to the sender.
        TooBig = "too_big" @ 2_000,
        /// Larger than the MTU, IPv4 without DF: Linux fragments and sends.
        FragmentNeeded = "fragment_needed" @ 10_000,
        /// IPv4 options that Linux has to handle.
        Ip4Options = "ip4_options" @ 2_000,
        /// Router alert, IPv4 or IPv6 (RFC 2113, 2711).
        RouterAlert = "router_alert" @ 2_000,
        /// Hop-by-hop options that Linux has to handle.
        Ip6HopByHop = "ip6_hop_by_hop" @ 2_000,
        /// No route: Linux sends unreachable.
        NoRoute = "no_route" @ 2_000,
        /// Route of type unreachable: Linux says so to the sender.
        Unreachable = "unreachable" @ 2_000,
        /// Route of type prohibit: Linux says so to the sender.
        Prohibit = "prohibit" @ 2_000,
        /// A packet a second for each nexthop on the port it came by: Linux sends it on, and a
        /// redirect to its source.
        Redirect = "redirect" @ 1_000,
        /// IPv6 source is link-local: Linux sends beyond scope (RFC 4443 3.1).
        BeyondScope = "beyond_scope" @ 2_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_snake_case_and_found_again() {
        let mut seen = HashSet::new();
        for reason in DropReason::ALL {
            assert!(seen.insert(reason.name()), "{reason} twice");
            assert_eq!(DropReason::from_name(reason.name()), Some(*reason));
            assert_eq!(DropReason::from_index(reason.index()), Some(*reason));
        }
        seen.clear();
        for reason in PuntReason::ALL {
            assert!(seen.insert(reason.name()), "{reason} twice");
            assert_eq!(PuntReason::from_name(reason.name()), Some(*reason));
        }
        for name in StageId::ALL.iter().map(|s| s.name()).chain(seen) {
            assert!(
                name.chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
                "{name}"
            );
        }
    }

    #[test]
    fn every_entry_has_one_line_of_help() {
        let helps = DropReason::ALL
            .iter()
            .map(|r| r.help())
            .chain(PuntReason::ALL.iter().map(|r| r.help()))
            .chain(StageId::ALL.iter().map(|s| s.help()));
        for help in helps {
            assert!(
                help.ends_with('.') && !help.contains('\n') && help.len() > 3,
                "{help:?}"
            );
        }
    }
}
