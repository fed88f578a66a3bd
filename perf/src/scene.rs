//! What a measurement is made of: streams of frames, and the routes that they take.
//!
//! The scenes are described in one file, `perf/profiles/scenes.json`, that the TRex and pktgen
//! profiles read too: what is measured here on virtual ports and there on real ones is the same
//! traffic.

use ipnet::IpNet;
use serde::Deserialize;

use crate::table::{Prefix, Route, Tables};

/// The shipped descriptions.
const SHIPPED: &str = include_str!("../profiles/scenes.json");

type Failure = Box<dyn std::error::Error>;

#[derive(Deserialize)]
struct File {
    scenes: Vec<Scene>,
}

/// One kind of traffic with its routes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// What it is called.
    pub name: String,
    /// What it is, in one line.
    pub what: String,
    /// How many frames there are before they repeat.
    pub frames: usize,
    /// Frame lengths to be tried one after the other; none: those of the streams.
    #[serde(default)]
    pub sizes: Vec<usize>,
    /// How many ports receive frames of their own, as many on each.
    #[serde(default = "one")]
    pub ports: u32,
    /// What the frames are; each frame belongs to one stream, by weight.
    pub streams: Vec<Stream>,
    /// The routes.
    pub routes: Vec<RouteSet>,
}

/// Frames of one kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Destinations: random addresses of this prefix, or of the prefixes of `table4` or `table6`.
    pub to: String,
    /// Length without FCS, in bytes.
    pub size: usize,
    /// Share of the frames, against the weights of the other streams.
    #[serde(default = "one")]
    pub weight: u32,
    /// TTL or hop limit.
    #[serde(default = "hops")]
    pub ttl: u8,
    /// Whether the IPv4 header checksum is wrong.
    #[serde(default)]
    pub bad_checksum: bool,
    /// Whether the IPv6 payload length goes beyond the frame.
    #[serde(default)]
    pub bad_length: bool,
    /// VLAN of an 802.1Q tag, whose four bytes count in `size`.
    #[serde(default)]
    pub vlan: Option<u16>,
}

/// Some routes: a prefix cut in equal parts, one for each nexthop; or a table.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum RouteSet {
    /// A prefix.
    Split {
        /// What is cut.
        prefix: IpNet,
        /// In how many parts.
        nexthops: u32,
    },
    /// All routes of a table.
    Table {
        /// `table4` or `table6`.
        table: String,
    },
}

const fn one() -> u32 {
    1
}

const fn hops() -> u8 {
    64
}

/// All shipped scenes.
///
/// # Errors
/// If the description does not parse.
pub fn all() -> Result<Vec<Scene>, Failure> {
    Ok(serde_json::from_str::<File>(SHIPPED)?.scenes)
}

/// The scene of that name.
///
/// # Errors
/// If there is none; the message has the names.
pub fn named(name: &str) -> Result<Scene, Failure> {
    let scenes = all()?;
    let names: Vec<_> = scenes.iter().map(|scene| scene.name.clone()).collect();
    let found = scenes.into_iter().find(|scene| scene.name == name);
    found.ok_or_else(|| {
        let names = names.join(", ");
        format!("no scene is called {name}; there are {names}").into()
    })
}

impl Scene {
    /// The routes, each with the number of its nexthop.
    ///
    /// # Errors
    /// If a table is missing, or a prefix cannot be cut in so many parts.
    pub fn routes(&self, tables: &Tables) -> Result<Vec<Route>, Failure> {
        let mut routes = Vec::new();
        for set in &self.routes {
            match set {
                RouteSet::Split { prefix, nexthops } => split(*prefix, *nexthops, &mut routes)?,
                RouteSet::Table { table } => routes.extend_from_slice(tables.get(table)?),
            }
        }
        Ok(routes)
    }

    /// The same scene with frames of one length, or with so many of them.
    #[must_use]
    pub fn with(mut self, size: Option<usize>, frames: Option<usize>) -> Self {
        for stream in &mut self.streams {
            stream.size = size.unwrap_or(stream.size);
        }
        self.frames = frames.unwrap_or(self.frames);
        self
    }

    /// The same scene with its prefixes cut in other parts.
    #[must_use]
    pub fn with_nexthops(mut self, count: Option<u32>) -> Self {
        for set in &mut self.routes {
            if let (RouteSet::Split { nexthops, .. }, Some(count)) = (set, count) {
                *nexthops = count;
            }
        }
        self
    }
}

fn split(prefix: IpNet, nexthops: u32, routes: &mut Vec<Route>) -> Result<(), Failure> {
    let bits = nexthops.next_power_of_two().ilog2() as u8;
    let subnets = prefix
        .subnets(prefix.prefix_len() + bits)
        .map_err(|_| format!("{prefix} has no {nexthops} parts"))?;
    for (index, subnet) in (0..).zip(subnets) {
        routes.push(Route {
            prefix: Prefix::from(subnet),
            nexthop: index % nexthops,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_scenes_parse_and_have_names_of_their_own() {
        let scenes = all().unwrap();
        let mut names: Vec<_> = scenes.iter().map(|scene| &scene.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), scenes.len());
    }

    #[test]
    fn a_prefix_is_cut_in_as_many_parts_as_there_are_nexthops() {
        let routes = named("ipv4-512")
            .unwrap()
            .routes(&Tables::default())
            .unwrap();
        assert_eq!(routes.len(), 512);
        assert_eq!(routes[511].prefix.net().to_string(), "198.18.255.128/25");
        assert_eq!(routes[511].nexthop, 511);
    }
}
