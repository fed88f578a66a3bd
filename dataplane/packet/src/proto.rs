//! Numbers of protocols above IP, and of well-known ports (IANA registries).

/// Protocol and next-header numbers, the same registry for IPv4 and IPv6.
pub mod ip {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IGMP.
    pub const IGMP: u8 = 2;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// RSVP.
    pub const RSVP: u8 = 46;
    /// GRE.
    pub const GRE: u8 = 47;
    /// ESP.
    pub const ESP: u8 = 50;
    /// AH.
    pub const AH: u8 = 51;
    /// ICMPv6.
    pub const ICMP6: u8 = 58;
    /// IPv6: nothing follows.
    pub const NO_NEXT: u8 = 59;
    /// IPv6 destination options.
    pub const DEST_OPTIONS: u8 = 60;
    /// EIGRP.
    pub const EIGRP: u8 = 88;
    /// OSPF.
    pub const OSPF: u8 = 89;
    /// PIM.
    pub const PIM: u8 = 103;
    /// VRRP.
    pub const VRRP: u8 = 112;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// IPv6 mobility header.
    pub const MOBILITY: u8 = 135;
    /// Host identity protocol.
    pub const HIP: u8 = 139;
    /// Shim6.
    pub const SHIM6: u8 = 140;
}

/// Ports of TCP and UDP that control protocols use.
pub mod port {
    /// DHCP server.
    pub const DHCP_SERVER: u16 = 67;
    /// DHCP client.
    pub const DHCP_CLIENT: u16 = 68;
    /// BGP.
    pub const BGP: u16 = 179;
    /// IKE.
    pub const IKE: u16 = 500;
    /// RIP.
    pub const RIP: u16 = 520;
    /// RIPng.
    pub const RIPNG: u16 = 521;
    /// DHCPv6 client.
    pub const DHCP6_CLIENT: u16 = 546;
    /// DHCPv6 server and relay.
    pub const DHCP6_SERVER: u16 = 547;
    /// LDP.
    pub const LDP: u16 = 646;
    /// BFD, single hop (RFC 5881).
    pub const BFD: u16 = 3784;
    /// BFD echo (RFC 5881).
    pub const BFD_ECHO: u16 = 3785;
    /// IKE and ESP through NAT (RFC 3948).
    pub const IKE_NAT: u16 = 4500;
    /// BFD, multihop (RFC 5883).
    pub const BFD_MULTIHOP: u16 = 4784;
    /// Babel (RFC 8966).
    pub const BABEL: u16 = 6696;
    /// BFD on members of a LAG (RFC 7130).
    pub const BFD_LAG: u16 = 6784;
    /// Seamless BFD (RFC 7881).
    pub const SBFD: u16 = 7784;
}
