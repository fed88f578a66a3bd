//! By what a policy was met.

use super::BurstPolicies;
use crate::Policy;
use crate::selector::ANY_PORT;

/// Which bits of a packet decide about the policy that it meets: a packet with the same ones, whatever its ports, meets
/// the same policy.
///
/// ```
/// use ironlane_ipsec::Deciding;
///
/// let all_to_a_network = Deciding { src_len: 0, dst_len: 24, proto: false };
/// assert_eq!(all_to_a_network.with(Deciding { src_len: 16, ..Deciding::NOTHING }).src_len, 16);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deciding {
    /// How many bits of the source address, from the first on.
    pub src_len: u8,
    /// The same of the destination address.
    pub dst_len: u8,
    /// Whether the protocol does.
    pub proto: bool,
}

impl Deciding {
    /// All packets meet the same.
    pub const NOTHING: Self = Self {
        src_len: 0,
        dst_len: 0,
        proto: false,
    };

    /// What decides where either does.
    pub fn with(self, other: Self) -> Self {
        Self {
            src_len: self.src_len.max(other.src_len),
            dst_len: self.dst_len.max(other.dst_len),
            proto: self.proto || other.proto,
        }
    }
}

impl<S: Send + Sync + 'static> BurstPolicies<'_, S> {
    /// Which bits decided that a packet met `met`, as [`find`](Self::find) has just said; for others of the same
    /// `if_id` and mark. `None`: more than these have to be looked at.
    pub fn deciding(&self, met: Option<&Policy>) -> Option<Deciding> {
        let (_, met) = match (self.tuples, met) {
            ([], _) => return Some(Deciding::NOTHING),
            ([tuple], Some(met)) => (tuple, met),
            _ => return None,
        };
        // The only one of its hash, so that no other has to be asked.
        let last = self
            .last
            .as_ref()
            .filter(|last| last.policy.id() == met.id())?;
        let selector = &last.policy.spec().selector;
        let any_ports = selector.src_ports == ANY_PORT && selector.dst_ports == ANY_PORT;
        any_ports.then(|| Deciding {
            src_len: selector.src.prefix_len(),
            dst_len: selector.dst.prefix_len(),
            proto: selector.proto != 0,
        })
    }
}
