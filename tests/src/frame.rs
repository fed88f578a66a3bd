//! Frames to send, and what they must look like when they have been forwarded.

use std::net::{Ipv4Addr, Ipv6Addr};

use ironlane_dataplane::eal::RxChecksum;
use ironlane_packet::eth::{EthFields, EtherType, Mac};
use ironlane_packet::ip4::{self, Ip4, Ip4Fields};
use ironlane_packet::ip6::{Ip6, Ip6Fields};
use ironlane_packet::proto::ip;
use ironlane_packet::tcp::TcpFields;
use ironlane_packet::vlan::{VlanId, tag_bytes};
use ironlane_packet::{checksum, icmp, icmp6, udp};

/// The MAC written so; `02::9` is short for `02:00:00:00:00:09`.
pub fn mac(text: &str) -> Mac {
    text.parse()
        .unwrap_or_else(|_| panic!("{text} is not a MAC"))
}

/// Builds a frame; a method that returns bytes ends it. Starts with the MAC of the port as
/// destination and `02:00:00:00:00:aa`, a host, as source.
#[derive(Clone, Debug)]
pub struct FrameBuilder {
    dst: Mac,
    src: Mac,
    tags: Vec<(u16, [u8; 4])>,
    ip: Ip,
    options: Vec<u8>,
    extensions: Vec<(u8, Vec<u8>)>,
    padding: usize,
    data: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Ip {
    None,
    V4(Ip4Fields),
    V6(Ip6Fields),
}

impl FrameBuilder {
    /// A frame to this station.
    pub fn to(dst: Mac) -> Self {
        Self {
            dst,
            src: Mac([2, 0, 0, 0, 0, 0xaa]),
            tags: Vec::new(),
            ip: Ip::None,
            options: Vec::new(),
            extensions: Vec::new(),
            padding: 0,
            data: vec![b'x'; 26],
        }
    }

    /// Another destination MAC.
    pub fn dst(mut self, text: &str) -> Self {
        self.dst = mac(text);
        self
    }

    /// Another source MAC.
    pub fn src(mut self, text: &str) -> Self {
        self.src = mac(text);
        self
    }

    /// An 802.1Q tag behind those there are.
    pub fn vlan(mut self, id: u16) -> Self {
        let id = VlanId::new(id).expect("12 bits");
        self.tags
            .push((EtherType::VLAN.0, tag_bytes(id, 0, EtherType(0))));
        self
    }

    /// IPv4 between these addresses.
    pub fn ip4(mut self, src: &str, dst: &str) -> Self {
        let address = |text: &str| {
            u32::from(
                text.parse::<Ipv4Addr>()
                    .unwrap_or_else(|e| panic!("{text}: {e}")),
            )
        };
        self.ip = Ip::V4(Ip4Fields {
            src: address(src),
            dst: address(dst),
            id: 0x1111,
            ..Ip4Fields::default()
        });
        self
    }

    /// IPv6 between these addresses.
    pub fn ip6(mut self, src: &str, dst: &str) -> Self {
        let address = |text: &str| {
            u128::from(
                text.parse::<Ipv6Addr>()
                    .unwrap_or_else(|e| panic!("{text}: {e}")),
            )
        };
        self.ip = Ip::V6(Ip6Fields {
            src: address(src),
            dst: address(dst),
            ..Ip6Fields::default()
        });
        self
    }

    /// TTL or hop limit.
    pub fn ttl(mut self, ttl: u8) -> Self {
        match &mut self.ip {
            Ip::V4(fields) => fields.ttl = ttl,
            Ip::V6(fields) => fields.hop_limit = ttl,
            Ip::None => panic!("ttl before ip4 or ip6"),
        }
        self
    }

    /// IPv4 flags and fragment offset.
    pub fn fragment_word(mut self, word: u16) -> Self {
        match &mut self.ip {
            Ip::V4(fields) => fields.fragment_word = word,
            _ => panic!("fragment_word is for IPv4"),
        }
        self
    }

    /// Don't fragment.
    pub fn df(self) -> Self {
        self.fragment_word(ip4::DF)
    }

    /// IPv4 options, filled up to a multiple of four with zeros.
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self.options.resize(options.len().next_multiple_of(4), 0);
        self
    }

    /// An IPv6 extension header of this kind; the first byte of `bytes` is overwritten with what
    /// follows.
    pub fn extension(mut self, kind: u8, bytes: &[u8]) -> Self {
        self.extensions.push((kind, bytes.to_vec()));
        self
    }

    /// Bytes after the IP packet that do not belong to it.
    pub fn padding(mut self, len: usize) -> Self {
        self.padding = len;
        self
    }

    /// This data above UDP or TCP.
    pub fn data(mut self, data: &[u8]) -> Self {
        self.data = data.to_vec();
        self
    }

    /// DSCP and ECN.
    pub fn tos(mut self, tos: u8) -> Self {
        match &mut self.ip {
            Ip::V4(fields) => fields.tos = tos,
            _ => panic!("tos is for IPv4"),
        }
        self
    }

    /// So many bytes of data above UDP or TCP.
    pub fn data_len(mut self, len: usize) -> Self {
        self.data = (0..len).map(|i| (i % 251) as u8).collect();
        self
    }

    /// Ends with UDP.
    pub fn udp(self, src_port: u16, dst_port: u16) -> Vec<u8> {
        let header = match self.ip {
            Ip::V4(f) => udp::header4(src_port, dst_port, &self.data, f.src, f.dst),
            Ip::V6(f) => udp::header6(src_port, dst_port, &self.data, f.src, f.dst),
            Ip::None => panic!("udp before ip4 or ip6"),
        };
        let payload = [&header[..], &self.data].concat();
        self.protocol(ip::UDP, &payload)
    }

    /// Ends with TCP.
    pub fn tcp(self, src_port: u16, dst_port: u16) -> Vec<u8> {
        let fields = TcpFields {
            src_port,
            dst_port,
            sequence: 1,
            flags: 0x10,
        };
        let header = match self.ip {
            Ip::V4(f) => fields.to_bytes4(&self.data, f.src, f.dst),
            Ip::V6(f) => fields.to_bytes6(&self.data, f.src, f.dst),
            Ip::None => panic!("tcp before ip4 or ip6"),
        };
        let payload = [&header[..], &self.data].concat();
        self.protocol(ip::TCP, &payload)
    }

    /// Ends with an ICMP or ICMPv6 message of this type, code 0.
    pub fn icmp(self, kind: u8) -> Vec<u8> {
        match self.ip {
            Ip::V4(_) => {
                let header = icmp::echo(kind, 7, 1, &self.data);
                let payload = [&header[..], &self.data].concat();
                self.protocol(ip::ICMP, &payload)
            }
            Ip::V6(f) => {
                let payload = icmp6::message(kind, 0, &[0, 7, 0, 1], f.src, f.dst);
                self.protocol(ip::ICMP6, &payload)
            }
            Ip::None => panic!("icmp before ip4 or ip6"),
        }
    }

    /// Ends with any protocol above IP.
    pub fn protocol(self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        match self.ip {
            Ip::V4(fields) => {
                let packet = ip4_packet(Ip4Fields { protocol, ..fields }, &self.options, payload);
                self.ether(EtherType::IP4.0, &packet)
            }
            Ip::V6(fields) => {
                let mut body = Vec::new();
                for (i, (_, bytes)) in self.extensions.iter().enumerate() {
                    let at = body.len();
                    body.extend(bytes);
                    body[at] = self
                        .extensions
                        .get(i + 1)
                        .map_or(protocol, |(kind, _)| *kind);
                }
                body.extend(payload);
                let next_header = self.extensions.first().map_or(protocol, |(kind, _)| *kind);
                let len = u16::try_from(body.len()).expect("64 KiB");
                let header = Ip6Fields {
                    next_header,
                    ..fields
                }
                .to_bytes(len);
                self.ether(EtherType::IP6.0, &[&header[..], &body].concat())
            }
            Ip::None => panic!("protocol before ip4 or ip6"),
        }
    }

    /// Ends with any EtherType, or an 802.3 length.
    pub fn ether(self, ethertype: u16, payload: &[u8]) -> Vec<u8> {
        let outer = self.tags.first().map_or(ethertype, |(tpid, _)| *tpid);
        let header = EthFields {
            dst: self.dst,
            src: self.src,
            ethertype: EtherType(outer),
        };
        let mut frame = header.to_bytes().to_vec();
        for (i, (_, tag)) in self.tags.iter().enumerate() {
            let inner = self.tags.get(i + 1).map_or(ethertype, |(tpid, _)| *tpid);
            frame.extend(&tag[..2]);
            frame.extend(inner.to_be_bytes());
        }
        frame.extend(payload);
        frame.extend(vec![0xee; self.padding]);
        frame
    }

    /// Ends with an 802.3 frame: the length field counts `payload`.
    pub fn llc(self, payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(payload.len()).expect("a short frame");
        self.ether(len, payload)
    }
}

/// An IPv4 packet with options, its checksum over all of the header.
fn ip4_packet(fields: Ip4Fields, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(options.len() + payload.len()).expect("64 KiB");
    let mut header = fields.to_bytes(len).to_vec();
    header.extend(options);
    header[0] = 0x40 | (header.len() / 4) as u8;
    header[10..12].fill(0);
    let check = checksum::of(&header);
    header[10..12].copy_from_slice(&check.to_be_bytes());
    header.extend(payload);
    header
}

/// A frame as a port is to receive it.
#[derive(Clone, Debug)]
pub struct Injected {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Lengths of the first segments; the rest is cut by the size of buffers.
    pub segments: Vec<usize>,
    /// What the NIC says of the IPv4 checksum.
    pub checksum: RxChecksum,
    /// The NIC's flow hash.
    pub rss_hash: Option<u32>,
    /// The VLAN tag that the NIC took off.
    pub stripped_tag: Option<u16>,
    /// Leaves no room behind the data of the first segment, as a full buffer would.
    pub full_first_segment: bool,
}

impl<T: AsRef<[u8]>> From<T> for Injected {
    fn from(bytes: T) -> Self {
        Self {
            bytes: bytes.as_ref().to_vec(),
            segments: Vec::new(),
            checksum: RxChecksum::Unknown,
            rss_hash: None,
            stripped_tag: None,
            full_first_segment: false,
        }
    }
}

impl Injected {
    /// In segments of these lengths, then of whatever fits.
    pub fn segments(mut self, lens: &[usize]) -> Self {
        self.segments = lens.to_vec();
        self
    }

    /// With this word of the NIC about the checksum.
    pub fn checksum(mut self, checksum: RxChecksum) -> Self {
        self.checksum = checksum;
        self
    }

    /// With this flow hash of the NIC.
    pub fn rss_hash(mut self, hash: u32) -> Self {
        self.rss_hash = Some(hash);
        self
    }

    /// Without its VLAN tag, which the NIC took off.
    pub fn stripped_tag(mut self, tag: u16) -> Self {
        self.stripped_tag = Some(tag);
        self
    }
}

/// What `frame` must be when it has been forwarded with these MACs: tags and padding gone, TTL one
/// lower, the checksum summed anew.
pub fn expect_forwarded(frame: &[u8], dst: Mac, src: Mac) -> Vec<u8> {
    let mut l3 = 12;
    while frame[l3..l3 + 2] == [0x81, 0] {
        l3 += 4;
    }
    let ethertype = EtherType(u16::from_be_bytes([frame[l3], frame[l3 + 1]]));
    let mut packet = frame[l3 + 2..].to_vec();
    if ethertype == EtherType::IP4 {
        let ip = Ip4::new(&packet).expect("an IPv4 header");
        let (len, header_len) = (usize::from(ip.total_len_bytes()), ip.header_len_bytes());
        packet.truncate(len);
        packet[8] -= 1;
        packet[10..12].fill(0);
        let check = checksum::of(&packet[..header_len]);
        packet[10..12].copy_from_slice(&check.to_be_bytes());
    } else {
        let ip = Ip6::new(&packet).expect("an IPv6 header");
        packet.truncate(40 + usize::from(ip.payload_len_bytes()));
        packet[7] -= 1;
    }
    [
        &EthFields {
            dst,
            src,
            ethertype,
        }
        .to_bytes()[..],
        &packet,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_what_they_say() {
        let frame = FrameBuilder::to(mac("02::1"))
            .vlan(7)
            .ip4("192.0.2.7", "203.0.113.5")
            .options(&[1])
            .padding(3)
            .protocol(89, b"payload");
        assert_eq!(frame[..6], [2, 0, 0, 0, 0, 1]);
        assert_eq!(frame[12..18], [0x81, 0, 0, 7, 8, 0]);
        let ip = Ip4::new(&frame[18..]).unwrap();
        assert_eq!(
            (ip.header_len_bytes(), ip.total_len_bytes(), ip.protocol()),
            (24, 31, 89)
        );
        assert!(checksum::is_valid(&frame[18..42]));
        assert_eq!(frame.len(), 18 + 31 + 3);
    }

    #[test]
    fn extension_headers_are_linked() {
        let frame = FrameBuilder::to(mac("02::1"))
            .ip6("2001:db8::1", "2001:db8::2")
            .extension(0, &[0, 0, 1, 4, 0, 0, 0, 0])
            .extension(60, &[0, 0, 1, 4, 0, 0, 0, 0])
            .udp(1, 2);
        assert_eq!((frame[20], frame[54], frame[62]), (0, 60, 17));
        assert_eq!(frame.len(), 14 + 40 + 16 + 34);
    }

    #[test]
    fn a_forwarded_frame_loses_tag_and_padding() {
        let frame = FrameBuilder::to(mac("02::1"))
            .vlan(0)
            .ip4("192.0.2.7", "203.0.113.5")
            .padding(9)
            .udp(1, 2);
        let sent = expect_forwarded(&frame, mac("02::9"), mac("02::2"));
        assert_eq!(sent.len(), frame.len() - 4 - 9);
        assert_eq!(sent[12..14], [8, 0]);
        assert_eq!(sent[22], 63);
    }
}
