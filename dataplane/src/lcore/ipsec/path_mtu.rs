//! What is known of the paths to peers (RFC 4301 8.2): less than the first link takes.

use std::net::IpAddr;

/// The largest packets that paths to peers take, where routers on them have said so.
///
/// ```
/// use ironlane_dataplane::lcore::PathMtus;
///
/// let peer = "192.0.2.9".parse().unwrap();
/// let paths = PathMtus::new([(peer, 1400)]);
/// assert_eq!((paths.to(peer), paths.to("192.0.2.10".parse().unwrap())), (Some(1400), None));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathMtus(Box<[(IpAddr, u16)]>);

impl PathMtus {
    /// These: outer addresses of peers, and bytes of whole IP packets.
    pub fn new(paths: impl IntoIterator<Item = (IpAddr, u16)>) -> Self {
        let mut paths: Vec<_> = paths.into_iter().collect();
        paths.sort_unstable_by_key(|(peer, _)| *peer);
        Self(paths.into())
    }

    /// What the path to a peer takes, if anybody has said so.
    #[inline]
    pub fn to(&self, peer: IpAddr) -> Option<u16> {
        if self.0.is_empty() {
            return None;
        }
        let place = self.0.binary_search_by_key(&peer, |(peer, _)| *peer);
        place.ok().map(|place| self.0[place].1)
    }
}
