//! Several next hops for one prefix, by weight.

use crate::{FibError, NexthopIndex};

/// How many buckets a group has at most, and so how many members with traffic.
pub const MAX_BUCKETS: usize = 512;

/// Buckets for each unit of weight where weights fit no power of two: the share of a member is
/// then wrong by less than 1 in 64 of it, until [`MAX_BUCKETS`] limits it.
const OVERSAMPLING: u64 = 64;

/// One next hop of a [`Group`]; see the example there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// A nexthop that is an adjacency.
    pub nexthop: NexthopIndex,
    /// Its share of the flows; a member of weight 0 gets none.
    pub weight: u16,
}

/// Weighted next hops, expanded into a power of two of buckets among which the hash of a flow
/// chooses, so that a flow keeps to one member and choosing costs one load.
///
/// Every member of weight above 0 has at least one bucket; beyond that the buckets are shared
/// out in proportion, the largest remainders first. A group whose members all have weight 0, or
/// that has none, behaves as no route: it resolves to the adjacency of slot 0.
///
/// ```
/// use ironlane_fib::{Group, Member, NexthopIndex};
///
/// let [a, b] = [7, 8].map(|raw| NexthopIndex::from_raw(raw).unwrap());
/// let members = [Member { nexthop: a, weight: 3 }, Member { nexthop: b, weight: 1 }];
/// let group = Group::new(&members)?;
/// assert_eq!(group.buckets(), [a, a, a, b]);
/// assert_eq!(group.select(12345), group.select(12345));
/// # Ok::<(), ironlane_fib::FibError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    buckets: Box<[NexthopIndex]>,
    members: Box<[Member]>,
}

impl Group {
    /// Shares out the buckets.
    ///
    /// # Errors
    /// [`FibError::GroupTooLarge`] if more than [`MAX_BUCKETS`] members have weight above 0.
    pub fn new(members: &[Member]) -> Result<Self, FibError> {
        let active: Vec<Member> = members.iter().copied().filter(|m| m.weight > 0).collect();
        if active.len() > MAX_BUCKETS {
            return Err(FibError::GroupTooLarge(active.len()));
        }
        let mut buckets = Vec::new();
        for (member, share) in active.iter().zip(shares(&active)) {
            buckets.extend(std::iter::repeat_n(member.nexthop, share));
        }
        Ok(Self {
            buckets: buckets.into(),
            members: members.into(),
        })
    }

    /// The member that carries the flow of this hash; `None` if there is none.
    ///
    /// The hash is mixed first: where a NIC chose the queue by some bits of it, all flows of an
    /// lcore agree in those.
    #[inline]
    pub fn select(&self, flow_hash: u32) -> Option<NexthopIndex> {
        const GOLDEN: u32 = 0x9e37_79b1; // 2^32 / golden ratio: spreads neighbours evenly
        let mixed = u64::from((flow_hash ^ (flow_hash >> 15)).wrapping_mul(GOLDEN));
        // The high bits of the product, as each depends on all lower bits of the hash.
        let bucket = (mixed * self.buckets.len() as u64) >> 32;
        self.buckets.get(bucket as usize).copied()
    }

    /// The buckets, as lcores see them.
    pub fn buckets(&self) -> &[NexthopIndex] {
        &self.buckets
    }

    /// The members, as they were given.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The same group with one bucket pointing elsewhere.
    pub(crate) fn with_bucket(&self, bucket: usize, nexthop: NexthopIndex) -> Self {
        let mut changed = self.clone();
        changed.buckets[bucket] = nexthop;
        changed
    }
}

/// How many buckets each member gets; their sum is a power of two, or 0 without members.
fn shares(active: &[Member]) -> Vec<usize> {
    let divisor = active
        .iter()
        .fold(0, |divisor, m| gcd(divisor, u64::from(m.weight)));
    let weights: Vec<u64> = active
        .iter()
        .map(|m| u64::from(m.weight) / divisor)
        .collect();
    let total: u64 = weights.iter().sum();
    if total == 0 {
        return Vec::new();
    }
    let max = MAX_BUCKETS as u64;
    let count = match total.is_power_of_two() && total <= max {
        true => total,
        false => (total * OVERSAMPLING).next_power_of_two().min(max),
    };
    let mut shares: Vec<u64> = weights.iter().map(|w| (w * count / total).max(1)).collect();
    // Whose share is the furthest below, or above, what its weight asks for; ties go by order.
    let excess =
        |shares: &[u64], i: usize| shares[i] as i64 * total as i64 - (weights[i] * count) as i64;
    while shares.iter().sum::<u64>() < count {
        let poorest = (0..shares.len()).min_by_key(|&i| excess(&shares, i));
        shares[poorest.expect("there are members")] += 1;
    }
    while shares.iter().sum::<u64>() > count {
        let rich = (0..shares.len()).filter(|&i| shares[i] > 1);
        let richest = rich.max_by_key(|&i| (excess(&shares, i), std::cmp::Reverse(i)));
        shares[richest.expect("no more members than buckets")] -= 1;
    }
    shares.into_iter().map(|share| share as usize).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
