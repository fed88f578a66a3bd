//! Route tables: read from a file, or made up with the prefix lengths of the Internet's.

use std::collections::HashSet;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::numbers::Numbers;

type Failure = Box<dyn std::error::Error>;

/// A prefix as numbers: the address stands in the low 32 bits for IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// Whether it is IPv6.
    pub ip6: bool,
    /// Its address.
    pub address: u128,
    /// Its length in bits.
    pub len: u8,
}

impl Prefix {
    /// Bits of an address of the family.
    pub const fn width(&self) -> u8 {
        if self.ip6 { 128 } else { 32 }
    }

    /// As the FIB takes it.
    ///
    /// # Panics
    /// Never: the length is checked when it is made.
    pub fn net(&self) -> IpNet {
        if self.ip6 {
            Ipv6Net::new(Ipv6Addr::from(self.address), self.len)
                .expect("a length")
                .into()
        } else {
            Ipv4Net::new(Ipv4Addr::from(self.address as u32), self.len)
                .expect("a length")
                .into()
        }
    }

    /// A random address in it.
    pub fn address(&self, numbers: &mut Numbers) -> u128 {
        let host = u32::from(self.width() - self.len);
        let random = u128::from(numbers.draw()) << 64 | u128::from(numbers.draw());
        self.address | (random & !u128::MAX.checked_shl(host).unwrap_or(0))
    }
}

impl From<IpNet> for Prefix {
    fn from(net: IpNet) -> Self {
        let len = net.prefix_len();
        match net.trunc() {
            IpNet::V4(net) => Self {
                ip6: false,
                address: u32::from(net.addr()).into(),
                len,
            },
            IpNet::V6(net) => Self {
                ip6: true,
                address: net.addr().into(),
                len,
            },
        }
    }
}

/// A prefix and the number of its nexthop.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Where to.
    pub prefix: Prefix,
    /// By which nexthop.
    pub nexthop: u32,
}

/// The tables that a scene may name.
#[derive(Debug, Default)]
pub struct Tables {
    /// `table4`.
    pub ip4: Vec<Route>,
    /// `table6`.
    pub ip6: Vec<Route>,
}

impl Tables {
    /// The routes of `table4` or `table6`.
    ///
    /// # Errors
    /// If there is no such table.
    pub fn get(&self, name: &str) -> Result<&[Route], Failure> {
        let routes = match name {
            "table4" => &self.ip4,
            "table6" => &self.ip6,
            _ => return Err(format!("no table is called {name}").into()),
        };
        if routes.is_empty() {
            return Err(format!("{name} is needed: give a file by --{name}").into());
        }
        Ok(routes)
    }

    /// Reads the files that are given.
    ///
    /// # Errors
    /// What reading says.
    pub fn read(ip4: Option<&Path>, ip6: Option<&Path>) -> Result<Self, Failure> {
        let read_one = |path: Option<&Path>| path.map_or_else(|| Ok(Vec::new()), read);
        Ok(Self {
            ip4: read_one(ip4)?,
            ip6: read_one(ip6)?,
        })
    }
}

/// What a file holds, packed by xz or not.
///
/// # Errors
/// What reading says.
pub fn text(path: &Path) -> Result<String, Failure> {
    if path.extension().is_some_and(|end| end == "xz") {
        let out = Command::new("xz").arg("-dc").arg(path).output()?;
        Ok(String::from_utf8(out.stdout)?)
    } else {
        Ok(std::fs::read_to_string(path)?)
    }
}

/// Reads a file of lines `prefix nexthop`, packed by xz or not.
///
/// # Errors
/// What reading says, or which line is none.
pub fn read(path: &Path) -> Result<Vec<Route>, Failure> {
    let text = text(path)?;
    let parse = |line: &str| {
        let (prefix, nexthop) = line.split_once(' ')?;
        Some(Route {
            prefix: prefix.parse::<IpNet>().ok()?.into(),
            nexthop: nexthop.trim().parse().ok()?,
        })
    };
    let routes: Option<Vec<Route>> = text.lines().map(parse).collect();
    match routes {
        Some(routes) if !routes.is_empty() => Ok(routes),
        _ => Err(format!("{}: a line is `prefix nexthop`", path.display()).into()),
    }
}

/// Writes such a file.
///
/// # Errors
/// What writing says.
pub fn write(path: &Path, routes: &[Route]) -> Result<(), Failure> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for route in routes {
        writeln!(file, "{} {}", route.prefix.net(), route.nexthop)?;
    }
    Ok(file.flush()?)
}

/// Prefix lengths of public BGP tables of the mid-2020s, in thousandths of the table.
const LENGTHS4: [(u8, u32); 14] = [
    (24, 612),
    (23, 100),
    (22, 112),
    (21, 52),
    (20, 45),
    (19, 26),
    (18, 15),
    (17, 9),
    (16, 14),
    (15, 6),
    (14, 4),
    (13, 3),
    (12, 1),
    (11, 1),
];
const LENGTHS6: [(u8, u32); 13] = [
    (48, 483),
    (47, 30),
    (46, 45),
    (45, 12),
    (44, 100),
    (42, 14),
    (40, 90),
    (36, 45),
    (34, 10),
    (33, 15),
    (32, 115),
    (30, 11),
    (29, 30),
];

/// Makes up `count` routes to `nexthops` nexthops. Half of the prefixes lie in a shorter one of the
/// table, as more-specific announcements do; neighbours often come together.
pub fn synthetic(ip6: bool, count: usize, nexthops: u32) -> Vec<Route> {
    let lengths: &[(u8, u32)] = if ip6 { &LENGTHS6 } else { &LENGTHS4 };
    let total: u32 = lengths.iter().map(|(_, share)| share).sum();
    let mut numbers = Numbers(if ip6 { 6 } else { 4 });
    let (mut seen, mut routes, mut parents) = (HashSet::new(), Vec::new(), Vec::new());
    // Short prefixes first, so that longer ones find parents; the longest take the rest.
    for (place, &(len, share)) in lengths.iter().rev().enumerate() {
        let want = if place + 1 == lengths.len() {
            count
        } else {
            routes.len() + (count as u64 * u64::from(share) / u64::from(total)) as usize
        };
        let mut level = Vec::new();
        let mut tries = 0;
        while routes.len() < want && tries < 20 * count {
            tries += 1;
            let parent = match parents.len() {
                0 => space(ip6, &mut numbers),
                _ if numbers.draw().is_multiple_of(2) => space(ip6, &mut numbers),
                n => parents[numbers.draw() as usize % n],
            };
            let address = parent.address(&mut numbers);
            for next in 0..1 + numbers.draw() % 3 {
                let host = parent.width() - len;
                let address = ((address >> host) + u128::from(next)) << host;
                let prefix = Prefix { ip6, address, len };
                if routes.len() < want && is_unicast(prefix) && seen.insert(prefix) {
                    let nexthop = (numbers.draw() % u64::from(nexthops)) as u32;
                    routes.push(Route { prefix, nexthop });
                    level.push(prefix);
                }
            }
        }
        parents.extend(level);
    }
    routes
}

fn space(ip6: bool, numbers: &mut Numbers) -> Prefix {
    let blocks = [0x2001, 0x2400, 0x2600, 0x2800, 0x2a00, 0x2c00];
    if ip6 {
        let block: u128 = blocks[numbers.draw() as usize % blocks.len()];
        // Registries give out little of their blocks.
        let address = block << 112 | u128::from(numbers.draw() & 0x3f) << 106;
        Prefix {
            ip6,
            address,
            len: 22,
        }
    } else {
        Prefix {
            ip6,
            address: 0,
            len: 0,
        }
    }
}

/// Whether traffic to it may be forwarded.
fn is_unicast(prefix: Prefix) -> bool {
    if prefix.ip6 {
        return prefix.address >> 125 == 1;
    }
    let first = prefix.address >> 24;
    prefix.address >> 32 == 0
        && (1..224).contains(&first)
        && ![10, 100, 127, 169, 172, 192, 198, 203].contains(&first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_tables_have_the_size_asked_for() {
        for ip6 in [false, true] {
            let routes = synthetic(ip6, 20_000, 16);
            assert_eq!(routes.len(), 20_000);
            assert!(routes.iter().all(|route| is_unicast(route.prefix)));
            let host = routes
                .iter()
                .filter(|r| r.prefix.len == if ip6 { 48 } else { 24 });
            assert!(host.count() > 8_000);
        }
    }
}
