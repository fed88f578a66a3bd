//! Which policy a packet meets: tuple space search.
//!
//! Policies are sorted by their *shape*: how many bits of each address they look at, and whether at
//! one protocol, one source port, one destination port. All policies of a shape are in one hash
//! index, under what they look at; a packet is looked up once for each shape. Shapes come in order
//! of their best policy, so a search ends as soon as no better one can follow. IKE makes few shapes,
//! however many policies. Ranges of ports are compared one by one, for the few policies that are
//! equal in all else.

mod burst;
mod deciding;
mod shape;
mod steps;

use ironlane_fib::VrfId;
use ironlane_rcu::Guard;
use ironlane_rcu::primitive::Arc;

use crate::index::Index;
use crate::{Flow, Ipsec, Policy, PolicyDirection};

pub use burst::BurstPolicies;
pub use deciding::Deciding;
pub(crate) use shape::{Key, Shape};
pub use steps::Asked;

/// All policies of one shape.
#[derive(Clone)]
pub(crate) struct Tuple {
    pub(crate) shape: Shape,
    /// The smallest rank of them, or a smaller one.
    pub(crate) best: u64,
    pub(crate) index: Arc<Index>,
}

/// The tuples of one VRF and direction, by `best`.
pub(crate) type Tuples = Arc<[Tuple]>;

/// All policies, by VRF and direction.
#[derive(Clone, Default)]
pub(crate) struct Spd {
    vrfs: Vec<[Tuples; 3]>,
}

impl Spd {
    #[inline]
    pub(crate) fn tuples(&self, vrf: VrfId, direction: PolicyDirection) -> &[Tuple] {
        self.vrfs
            .get(usize::from(vrf.0))
            .map_or(&[], |directions| &directions[direction as usize])
    }

    /// Puts others in place of the tuples of a VRF and direction.
    pub(crate) fn set(&mut self, vrf: VrfId, direction: PolicyDirection, tuples: Tuples) {
        let place = usize::from(vrf.0);
        if self.vrfs.len() <= place {
            self.vrfs.resize_with(place + 1, Default::default);
        }
        self.vrfs[place][direction as usize] = tuples;
    }
}

impl<S: Send + Sync + 'static> Ipsec<S> {
    /// The policy that decides about a packet; `None` if none matches.
    ///
    /// `if_id` is that of the XFRM interface that it goes through, or 0; `mark` is its mark. Lcores,
    /// under the guard of their burst.
    #[inline]
    pub fn find_policy<'q>(
        &'q self,
        guard: &'q Guard<'_>,
        vrf: VrfId,
        direction: PolicyDirection,
        flow: &Flow,
        if_id: u32,
        mark: u32,
    ) -> Option<&'q Policy> {
        self.policies_of(guard, vrf, direction)
            .find_among(flow, if_id, mark)
    }
}
