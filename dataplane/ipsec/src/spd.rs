//! Which policy a packet meets.

use ironlane_fib::VrfId;
use ironlane_rcu::Guard;

use crate::{Flow, Ipsec, Policy, PolicyDirection, PolicyId};

/// The policies of all VRFs and directions, by rank.
#[derive(Default)]
pub(crate) struct Spd {
    pub(crate) lists: Vec<((VrfId, PolicyDirection), Vec<PolicyId>)>,
}

impl<S: Send + Sync + 'static> Ipsec<S> {
    /// The policy that decides about a packet; `None` if none matches, which lets it pass in clear.
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
        let lists = &self.spd.load(guard).lists;
        let (_, list) = lists.iter().find(|(key, _)| *key == (vrf, direction))?;
        list.iter()
            .filter_map(|&id| self.policy(guard, id))
            .find(|policy| {
                let spec = policy.spec();
                spec.if_id == if_id && spec.mark.matches(mark) && spec.selector.matches(flow)
            })
    }
}
