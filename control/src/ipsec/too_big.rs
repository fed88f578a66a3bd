//! ICMP errors about protected packets that were too long for a link on the way, as they pass to the kernel.
//!
//! The kernel gets them as well: what it sends itself is its business. It does not know of SAs, nor does it
//! announce what it learns of paths, so what lcores are to know is read here.

use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use ironlane_ipsec::{Protocol, UdpEncap};
use ironlane_packet::eth::{Eth, EtherType};
use ironlane_packet::ip4::{HEADER_LEN_BYTES as IP4_LEN, Ip4};
use ironlane_packet::ip6::{HEADER_LEN_BYTES as IP6_LEN, Ip6};
use ironlane_packet::proto::ip;
use ironlane_packet::udp::{HEADER_LEN_BYTES as UDP_LEN, Ports};
use ironlane_packet::{checksum, icmp, icmp6};

use super::model::{Quoted, TooBig};

/// Errors that wait to be judged; more are lost, and the sender's next packet brings another.
const WAITING: usize = 256;

/// ICMP: fragmentation needed and DF set.
const FRAGMENTATION_NEEDED: u8 = 4;

/// Header of ICMP and ICMPv6 errors, before what they quote.
const ICMP_LEN: usize = 8;

/// The fragment header of IPv6.
const FRAGMENT_LEN: usize = 8;

/// An ear for frames of ICMP, which never waits, and where what it heard comes out.
pub fn ear() -> (impl FnMut(&[u8]) + Send + 'static, Receiver<TooBig>) {
    let (heard, waiting): (SyncSender<TooBig>, _) = sync_channel(WAITING);
    let ear = move |frame: &[u8]| {
        if let Some(too_big) = read(frame) {
            // Full, or nobody listens any more.
            let _ = heard.try_send(too_big);
        }
    };
    (ear, waiting)
}

/// What a frame says, if it is such an error, whole and with a right checksum.
pub fn read(frame: &[u8]) -> Option<TooBig> {
    let eth = Eth::new(frame)?;
    match eth.ethertype() {
        EtherType::IP4 => read4(eth.payload()),
        EtherType::IP6 => read6(eth.payload()),
        _ => None,
    }
}

fn read4(packet: &[u8]) -> Option<TooBig> {
    let header = Ip4::new(packet)?;
    if header.protocol() != ip::ICMP || header.is_fragment() {
        return None;
    }
    let message = packet.get(header.header_len_bytes()..usize::from(header.total_len_bytes()))?;
    let &[
        icmp::UNREACHABLE,
        FRAGMENTATION_NEEDED,
        _,
        _,
        _,
        _,
        high,
        low,
    ] = message.first_chunk()?
    else {
        return None;
    };
    if !checksum::is_valid(message) {
        return None;
    }
    let quoted = &message[ICMP_LEN..];
    let ours = Ip4::new(quoted)?;
    let mtu = u16::from_be_bytes([high, low]);
    // Nobody has to shorten what fits (RFC 1191 4).
    if ours.is_later_fragment() || mtu >= ours.total_len_bytes() || ours.dst() == header.dst() {
        return None;
    }
    let inside = quoted.get(ours.header_len_bytes().max(IP4_LEN)..)?;
    Some(TooBig {
        src: IpAddr::V4(ours.src().into()),
        dst: IpAddr::V4(ours.dst().into()),
        quoted: read_quoted(ours.protocol(), inside)?,
        mtu: mtu.into(),
        by: IpAddr::V4(header.src().into()),
    })
}

fn read6(packet: &[u8]) -> Option<TooBig> {
    let header = Ip6::new(packet)?;
    if header.next_header() != ip::ICMP6 {
        return None;
    }
    let end = IP6_LEN + usize::from(header.payload_len_bytes());
    let message = packet.get(IP6_LEN..end)?;
    let &[icmp6::TOO_BIG, _, _, _, mtu @ ..] = message.first_chunk::<ICMP_LEN>()? else {
        return None;
    };
    if !icmp6::is_checksum_valid(message, header.src(), header.dst()) {
        return None;
    }
    let quoted = &message[ICMP_LEN..];
    let ours = Ip6::new(quoted)?;
    let mtu = u32::from_be_bytes(mtu);
    if mtu >= IP6_LEN as u32 + u32::from(ours.payload_len_bytes()) {
        return None;
    }
    let inside = quoted.get(IP6_LEN..)?;
    let (protocol, inside) = match ours.next_header() {
        ip::FRAGMENT => {
            let &[next, _, high, low] = inside.first_chunk()?;
            // Later ones have no SPI.
            let offset = u16::from_be_bytes([high, low]) >> 3;
            (next, inside.get(FRAGMENT_LEN..).filter(|_| offset == 0)?)
        }
        next => (next, inside),
    };
    Some(TooBig {
        src: IpAddr::V6(ours.src().into()),
        dst: IpAddr::V6(ours.dst().into()),
        quoted: read_quoted(protocol, inside)?,
        mtu,
        by: IpAddr::V6(header.src().into()),
    })
}

fn read_quoted(protocol: u8, inside: &[u8]) -> Option<Quoted> {
    let word = |at: usize| inside.get(at..)?.first_chunk().copied();
    let spi = |at| word(at).map(u32::from_be_bytes);
    match protocol {
        ip::ESP => Some(Quoted::Plain(Protocol::Esp, spi(0)?)),
        ip::AH => Some(Quoted::Plain(Protocol::Ah, spi(4)?)),
        ip::UDP => {
            let Ports { src, dst } = Ports::new(inside)?;
            let encap = UdpEncap {
                src_port: src,
                dst_port: dst,
            };
            Some(Quoted::Udp(encap, spi(UDP_LEN)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ironlane_packet::ip4::Ip4Fields;
    use ironlane_packet::ip6::Ip6Fields;

    use super::*;

    const BY4: u32 = 0xc000_0263;
    const US4: u32 = 0xc000_0201;
    const PEER4: u32 = 0xc633_6401;
    const US6: u128 = 0x2001_0db8 << 96 | 1;
    const PEER6: u128 = 0x2001_0db8 << 96 | 0xf << 64 | 1;

    fn frame(ethertype: u16, packet: &[u8]) -> Vec<u8> {
        [&[2; 12][..], &ethertype.to_be_bytes(), packet].concat()
    }

    /// Fragmentation needed about a packet of 1,500 bytes of which `inside` is quoted.
    fn needed(protocol: u8, mtu: u16, inside: &[u8]) -> Vec<u8> {
        let ours = Ip4Fields {
            protocol,
            src: US4,
            dst: PEER4,
            ttl: 60,
            ..Ip4Fields::default()
        };
        let mtu = mtu.to_be_bytes();
        let mut message = vec![3, 4, 0, 0, 0, 0, mtu[0], mtu[1]];
        message.extend(ours.to_bytes(1480));
        message.extend(inside);
        let sum = checksum::of(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let outer = Ip4Fields {
            protocol: ip::ICMP,
            src: BY4,
            dst: US4,
            ttl: 64,
            ..Ip4Fields::default()
        };
        frame(
            0x0800,
            &[&outer.to_bytes(message.len() as u16)[..], &message].concat(),
        )
    }

    fn too_big6(next_header: u8, mtu: u32, inside: &[u8]) -> Vec<u8> {
        let ours = Ip6Fields {
            traffic_class: 0,
            flow_label: 0,
            next_header,
            hop_limit: 60,
            src: US6,
            dst: PEER6,
        };
        let body = [&mtu.to_be_bytes()[..], &ours.to_bytes(1460), inside].concat();
        let by = US6 + 99;
        let message = icmp6::message(icmp6::TOO_BIG, 0, &body, by, US6);
        let outer = Ip6Fields {
            next_header: ip::ICMP6,
            src: by,
            dst: US6,
            ..ours
        };
        frame(
            0x86dd,
            &[&outer.to_bytes(message.len() as u16)[..], &message].concat(),
        )
    }

    #[test]
    fn errors_about_esp_ah_and_esp_in_udp_are_read() {
        let spi = 0xc123_4567_u32.to_be_bytes();
        let esp = [&spi[..], &[0, 0, 0, 9]].concat();
        let told = read(&needed(ip::ESP, 1400, &esp)).unwrap();
        let esp_sa = Quoted::Plain(Protocol::Esp, 0xc123_4567);
        assert_eq!((told.quoted, told.mtu), (esp_sa, 1400));
        assert_eq!(told.src.to_string(), "192.0.2.1");
        assert_eq!(told.dst.to_string(), "198.51.100.1");
        assert_eq!(told.by.to_string(), "192.0.2.99");
        let ah = [&[4, 4, 0, 0], &spi[..]].concat();
        let told = read(&needed(ip::AH, 1400, &ah)).unwrap();
        assert_eq!(told.quoted, Quoted::Plain(Protocol::Ah, 0xc123_4567));
        let udp = [0x11, 0x94, 0x11, 0x95, 0, 9, 0, 0];
        let encap = UdpEncap {
            src_port: 4500,
            dst_port: 4501,
        };
        let told = read(&needed(ip::UDP, 1400, &udp)).unwrap();
        assert_eq!(told.quoted, Quoted::Udp(encap, None));
        let told = read(&needed(ip::UDP, 1400, &[&udp[..], &spi].concat())).unwrap();
        assert_eq!(told.quoted, Quoted::Udp(encap, Some(0xc123_4567)));
        let told = read(&too_big6(ip::ESP, 1280, &esp)).unwrap();
        assert_eq!((told.quoted, told.mtu), (esp_sa, 1280));
        let first = [&[ip::ESP, 0, 0, 1, 0, 0, 0, 7], &esp[..]].concat();
        let told = read(&too_big6(ip::FRAGMENT, 1280, &first)).unwrap();
        assert_eq!(told.quoted, esp_sa);
        assert_eq!(read(&needed(ip::ESP, 0, &esp)).unwrap().mtu, 0);
    }

    #[test]
    fn whatever_else_comes_says_nothing() {
        let esp = [1, 2, 3, 4, 0, 0, 0, 9];
        let good = needed(ip::ESP, 1400, &esp);
        // Every length, and every byte changed: either nothing, or still a whole message with a right sum.
        for len in 0..good.len() {
            assert_eq!(read(&good[..len]), None, "{len}");
        }
        for at in 34..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x11;
            assert_eq!(read(&bad), None, "{at}");
        }
        let good6 = too_big6(ip::ESP, 1400, &esp);
        for at in 54..good6.len() {
            let mut bad = good6.clone();
            bad[at] ^= 0x11;
            assert_eq!(read(&bad), None, "{at}");
        }
        // It fitted; a later fragment; TCP.
        assert_eq!(read(&needed(ip::ESP, 1500, &esp)), None);
        assert_eq!(read(&too_big6(ip::ESP, 1500, &esp)), None);
        let later = [&[ip::ESP, 0, 0, 9, 0, 0, 0, 7], &esp[..]].concat();
        assert_eq!(read(&too_big6(ip::FRAGMENT, 1280, &later)), None);
        assert_eq!(read(&needed(ip::TCP, 1400, &esp)), None);
    }
}
