//! Tunnels, the traffic through them, and what the router is told of both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use ironlane_dataplane::ipsec::IpsecWriter;
use ironlane_ipsec::{
    Action, Algorithm, Auth, Cipher, Direction, Mode, PolicyDirection, PolicySpec, Protocol,
    SaSpec, Secret, Selector, UdpEncap,
};
use ironlane_packet::ip4::Ip4Fields;
use ironlane_packet::ip6::Ip6Fields;

use super::esp;
use crate::frames::{ROUTER_MAC, SOURCE_MAC};
use crate::numbers::Numbers;
use crate::table::Route;

type Failure = Box<dyn std::error::Error>;

/// SPI of the first tunnel; each further one has the next.
const FIRST_SPI: u32 = 0x1000;
/// Port of ESP in UDP.
const ENCAP_PORT: u16 = 4500;
/// The mix of lengths: seven of the first, four of the second, one of the third. The longest still fits a
/// link of 1,500 bytes once it is protected.
const IMIX: [(usize, usize); 3] = [(7, 64), (4, 590), (1, 1420)];

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// They arrive protected.
    In,
    /// They are to be protected.
    Out,
}

/// Lengths of frames in clear, without FCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// One length.
    One(usize),
    /// 64, 590 and 1,420 bytes as 7 to 4 to 1.
    Imix,
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("imix", _) => Ok(Self::Imix),
            (_, Ok(size)) => Ok(Self::One(size)),
            _ => Err("a size is a number of bytes, or imix".into()),
        }
    }
}

/// Tunnels of AES-128-GCM, one policy and one SA each, and frames that meet them in turn.
#[derive(Args, Clone, Debug)]
pub struct Load {
    /// Whether the frames arrive protected or are to be.
    #[arg(long, value_enum)]
    pub way: Way,
    /// How many tunnels.
    #[arg(long, default_value_t = 1)]
    pub tunnels: u32,
    /// Length of the frames in clear without FCS, or `imix`.
    #[arg(long, default_value = "64")]
    pub size: Size,
    /// IPv6 in IPv6 instead of IPv4 in IPv4.
    #[arg(long)]
    pub v6: bool,
    /// ESP in UDP.
    #[arg(long)]
    pub encap: bool,
    /// Frames before they repeat, rounded up so that each tunnel has as many. More of them than the caches near the
    /// core hold, and not so many that a cache which others use as well forgets them between two turns.
    #[arg(long, default_value_t = 1024)]
    pub frames: u32,
}

impl Load {
    /// The router's end of all tunnels.
    pub fn ours(&self) -> IpAddr {
        match self.v6 {
            false => Ipv4Addr::new(203, 0, 113, 1).into(),
            true => Ipv6Addr::from_bits(0x2001_0db8_0000_0001 << 64 | 1).into(),
        }
    }

    /// The other end of a tunnel.
    pub fn peer(&self, tunnel: u32) -> IpAddr {
        match self.v6 {
            false => Ipv4Addr::from(0xac10_0001 + tunnel).into(),
            true => Ipv6Addr::from_bits(0x2001_0db8_0001 << 80 | u128::from(tunnel + 1)).into(),
        }
    }

    /// All other ends.
    pub fn peers(&self) -> IpNet {
        net(self.v6, "172.16.0.0/12", "2001:db8:1::/48")
    }

    /// Networks on the router's side.
    pub fn near(&self) -> IpNet {
        net(self.v6, "198.18.0.0/16", "2001:db8:2::/48")
    }

    /// What all tunnels lead to.
    pub fn far(&self) -> IpNet {
        net(self.v6, "10.0.0.0/8", "2001:2::/48")
    }

    /// What a tunnel leads to.
    pub fn far_of(&self, tunnel: u32) -> IpNet {
        let place = u128::from(tunnel);
        match self.far() {
            IpNet::V4(far) => {
                let first = far.network().to_bits() + (tunnel << 6);
                IpNet::new_assert(Ipv4Addr::from(first).into(), 26)
            }
            IpNet::V6(far) => {
                let first = far.network().to_bits() | place << 48;
                IpNet::new_assert(Ipv6Addr::from(first).into(), 80)
            }
        }
    }

    /// SPI of a tunnel.
    pub fn spi(tunnel: u32) -> u32 {
        FIRST_SPI + tunnel
    }

    /// The tunnel of an SPI, if there is one.
    pub fn tunnel_of(&self, spi: u32) -> Option<u32> {
        spi.checked_sub(FIRST_SPI)
            .filter(|&tunnel| tunnel < self.tunnels)
    }

    /// Key and salt of a tunnel.
    pub fn key(tunnel: u32) -> [u8; 20] {
        let mut numbers = Numbers(u64::from(tunnel) + 77);
        let words = [numbers.draw(), numbers.draw(), numbers.draw()];
        let mut bytes = words.iter().flat_map(|word| word.to_be_bytes());
        std::array::from_fn(|_| bytes.next().unwrap_or(0))
    }

    /// Routes to everything, by one nexthop.
    pub fn routes(&self) -> Vec<Route> {
        let to = |prefix: IpNet| Route {
            prefix: prefix.into(),
            nexthop: 0,
        };
        [self.peers(), self.near(), self.far()].map(to).to_vec()
    }

    /// Adds SAs and policies.
    ///
    /// # Errors
    /// What the writer says.
    pub fn install(&self, writer: &mut IpsecWriter) -> Result<(), Failure> {
        let direction = match self.way {
            Way::In => Direction::In,
            Way::Out => Direction::Out,
        };
        let gcm = Algorithm {
            cipher: Cipher::AesGcm { icv: 16 },
            auth: Auth::None,
        };
        for tunnel in 0..self.tunnels {
            let (peer, ours) = (self.peer(tunnel), self.ours());
            let (src, dst) = match self.way {
                Way::In => (peer, ours),
                Way::Out => (ours, peer),
            };
            let reqid = tunnel + 1;
            let sa = writer.add_sa(SaSpec {
                enc_key: Secret::new(&Self::key(tunnel))?,
                reqid,
                // The frames come again and again, with the same numbers.
                replay_window: 0,
                encap: self.encap.then_some(UdpEncap {
                    src_port: ENCAP_PORT,
                    dst_port: ENCAP_PORT,
                }),
                ..SaSpec::new(direction, Self::spi(tunnel), src, dst, gcm)
            })?;
            let protect = Action::Protect {
                reqid,
                protocol: Protocol::Esp,
                mode: Mode::Tunnel,
                optional: false,
            };
            let (near, far) = (self.near(), self.far_of(tunnel));
            match self.way {
                Way::In => {
                    let selector = Selector::between(far, near);
                    let spec = PolicySpec::new(PolicyDirection::Fwd, selector, protect);
                    writer.add_policy(spec)?;
                }
                Way::Out => {
                    let selector = Selector::between(near, far);
                    let spec = PolicySpec::new(PolicyDirection::Out, selector, protect);
                    let policy = writer.add_policy(spec)?;
                    writer.bind(policy, Some(sa))?;
                }
            }
        }
        Ok(())
    }

    /// Tunnels of the frames, in their order: random, each as often as the others.
    fn order(&self) -> Vec<u32> {
        let each = self.frames.div_ceil(self.tunnels).max(1);
        let mut order: Vec<_> = (0..self.tunnels)
            .flat_map(|tunnel| (0..each).map(move |_| tunnel))
            .collect();
        let mut numbers = Numbers(3);
        for place in (1..order.len()).rev() {
            order.swap(place, numbers.draw() as usize % (place + 1));
        }
        order
    }

    /// The packets in clear as their sender made them, each with its tunnel; the same ones each time.
    ///
    /// # Errors
    /// If they are too short for their headers.
    pub fn packets(&self) -> Result<Vec<(u32, Vec<u8>)>, Failure> {
        let mut numbers = Numbers(5);
        let packet = |(count, tunnel)| {
            let far = crate::table::Prefix::from(self.far_of(tunnel)).address(&mut numbers);
            let near = crate::table::Prefix::from(self.near()).address(&mut numbers);
            let (src, dst) = match self.way {
                Way::In => (far, near),
                Way::Out => (near, far),
            };
            let size = match self.size {
                Size::One(size) => size,
                Size::Imix => drawn(&mut numbers),
            };
            Ok((tunnel, udp(self.v6, src, dst, size, count)?))
        };
        (0..).zip(self.order()).map(packet).collect()
    }

    /// The frames that the router receives by the `net_pcap` port of this number.
    ///
    /// # Errors
    /// If they are too short for their headers.
    pub fn frames(&self, port: u8) -> Result<Vec<Vec<u8>>, Failure> {
        let packets = self.packets()?;
        if self.way == Way::Out {
            return Ok(packets
                .iter()
                .map(|(_, packet)| framed(packet, port))
                .collect());
        }
        let mut seqs = vec![0; self.tunnels as usize];
        let sealed = packets.iter().map(|(tunnel, packet)| {
            let seq = &mut seqs[*tunnel as usize];
            *seq += 1;
            framed(&self.sealed(*tunnel, *seq, packet), port)
        });
        Ok(sealed.collect())
    }

    /// The packet of the peer that carries `packet`.
    fn sealed(&self, tunnel: u32, seq: u32, packet: &[u8]) -> Vec<u8> {
        let esp = esp::seal(&Self::key(tunnel), Self::spi(tunnel), seq, packet);
        let body = match self.encap {
            false => esp,
            true => {
                let len = esp.len() as u16 + 8;
                let ports = [ENCAP_PORT, ENCAP_PORT, len, 0];
                let header = ports.iter().flat_map(|word| word.to_be_bytes());
                header.chain(esp).collect()
            }
        };
        let protocol = if self.encap { 17 } else { 50 };
        let (src, dst) = (number(self.peer(tunnel)), number(self.ours()));
        [header(self.v6, src, dst, protocol, body.len()), body].concat()
    }
}

fn net(v6: bool, ip4: &str, ip6: &str) -> IpNet {
    let text = if v6 { ip6 } else { ip4 };
    text.parse().expect("a prefix")
}

/// An address as a number.
pub(super) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn drawn(numbers: &mut Numbers) -> usize {
    let mut draw = numbers.draw() as usize % IMIX.iter().map(|(weight, _)| weight).sum::<usize>();
    for (weight, size) in IMIX {
        match draw.checked_sub(weight) {
            Some(rest) => draw = rest,
            None => return size,
        }
    }
    unreachable!("a draw is less than the sum of all weights")
}

/// An IP header.
fn header(v6: bool, src: u128, dst: u128, protocol: u8, len: usize) -> Vec<u8> {
    let len = len as u16;
    match v6 {
        false => Ip4Fields {
            ttl: 64,
            protocol,
            src: src as u32,
            dst: dst as u32,
            ..Ip4Fields::default()
        }
        .to_bytes(len)
        .to_vec(),
        true => Ip6Fields {
            hop_limit: 64,
            next_header: protocol,
            src,
            dst,
            ..Ip6Fields::default()
        }
        .to_bytes(len)
        .to_vec(),
    }
}

/// A UDP packet in a frame of `size` bytes; as far as there is room, `number` is in it.
fn udp(v6: bool, src: u128, dst: u128, size: usize, number: u32) -> Result<Vec<u8>, Failure> {
    let headers = if v6 { 62 } else { 42 };
    let data_len = size
        .checked_sub(headers)
        .ok_or_else(|| format!("a frame of {size} bytes has no room for UDP"))?;
    let mut packet = header(v6, src, dst, 17, data_len + 8);
    let ports = [4000 + (number >> 16) as u16, number as u16];
    for word in [ports[0], ports[1], data_len as u16 + 8, 0] {
        packet.extend(word.to_be_bytes());
    }
    // Not all zeros, which a cipher that does nothing would leave.
    packet.extend((0..data_len).map(|at| (at as u32 ^ number) as u8));
    Ok(packet)
}

/// A frame for a port of the router.
fn framed(packet: &[u8], port: u8) -> Vec<u8> {
    let kind = match packet[0] >> 4 {
        4 => [0x08, 0],
        _ => [0x86, 0xdd],
    };
    let mac = &ROUTER_MAC[..5];
    [mac, &[port], &SOURCE_MAC, &kind, packet].concat()
}
