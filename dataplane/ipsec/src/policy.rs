//! Policies: what to do with a packet.

use std::mem::offset_of;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ironlane_fib::VrfId;
use ironlane_rcu::prefetch_first;

use crate::{Flow, Mark, Mode, PolicyId, Protocol, SaId, SaSpec, Selector};

/// Which packets a policy is asked about, as XFRM has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyDirection {
    /// Packets that arrive for us.
    In,
    /// Packets that leave, forwarded ones and our own.
    Out,
    /// Packets that arrive and are forwarded.
    Fwd,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// It goes in clear.
    Bypass,
    /// It is dropped.
    Discard,
    /// It is protected by an SA: for [`PolicyDirection::Out`] by the one that is bound to the
    /// policy; else it must have been, by one that this describes.
    Protect {
        /// Request id of the SA; 0 for any.
        reqid: u32,
        /// Protocol of the SA.
        protocol: Protocol,
        /// Mode of the SA.
        mode: Mode,
        /// Whether an inbound packet may also come in clear (XFRM's `level use`).
        optional: bool,
    },
}

/// A policy to be.
///
/// ```
/// use ironlane_ipsec::{Action, PolicyDirection, PolicySpec, Selector};
///
/// let all = Selector::between("0.0.0.0/0".parse()?, "0.0.0.0/0".parse()?);
/// let last = PolicySpec {
///     priority: 4_000_000,
///     ..PolicySpec::new(PolicyDirection::Out, all, Action::Discard)
/// };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Fields stand in this order in memory: those that lcores look at for each packet come first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C)]
pub struct PolicySpec {
    /// Which packets it is for.
    pub selector: Selector,
    /// Only packets through this XFRM interface; 0 for packets through none.
    pub if_id: u32,
    /// Only packets with this mark.
    pub mark: Mark,
    /// What becomes of them.
    pub action: Action,
    /// Outer source and destination that the SA of a packet that arrived must have, as templates of XFRM
    /// say it: the unspecified address for any. Not looked at in transport mode, where the selector says it.
    pub outer: Option<(IpAddr, IpAddr)>,
    /// Of two policies that match, the one with the smaller priority decides; of equal ones that
    /// which was added first.
    pub priority: u32,
    /// Which packets are asked about.
    pub direction: PolicyDirection,
    /// Where inner packets are routed.
    pub vrf: VrfId,
}

impl PolicySpec {
    /// A policy of priority 0 in the default VRF.
    pub fn new(direction: PolicyDirection, selector: Selector, action: Action) -> Self {
        Self {
            direction,
            selector,
            priority: 0,
            action,
            if_id: 0,
            mark: Mark::default(),
            outer: None,
            vrf: VrfId::DEFAULT,
        }
    }

    /// Whether a packet that arrived by `sa` came from where the policy expects it.
    #[inline]
    pub fn expects(&self, sa: &SaSpec) -> bool {
        let matches = |wanted: IpAddr, addr| wanted.is_unspecified() || wanted == addr;
        let Some((src, dst)) = self.outer else {
            return true;
        };
        sa.mode == Mode::Transport || matches(src, sa.src) && matches(dst, sa.dst)
    }

    /// Whether another one would decide about the same packets at the same place.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let place = |spec: &Self| {
            let Self {
                direction,
                priority,
                if_id,
                mark,
                vrf,
                ..
            } = *spec;
            (direction, priority, if_id, mark, vrf)
        };
        place(self) == place(other) && self.selector == other.selector
    }
}

/// Why a packet that arrived may not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotAdmitted {
    /// Its policy discards it.
    Discard,
    /// It came in clear, and its policy wants it protected.
    Unprotected,
    /// It came by another SA than its policy wants, or by a tunnel where none is wanted.
    Mismatch,
    /// It came by a tunnel, and no policy expects it there.
    Missing,
}

/// Whether a packet that arrived may pass: `policy` is the one of [`PolicyDirection::In`] or
/// [`PolicyDirection::Fwd`] that it meets, `sa` the SA that it came by, if it was protected (RFC 4301
/// 5.2, step 4). What came out of a tunnel needs a policy that asks for it, as with Linux.
///
/// # Errors
/// Why not.
///
/// ```
/// use ironlane_ipsec::{Action, NotAdmitted, PolicyDirection, PolicySpec, Selector, admits};
///
/// let all = Selector::between("::/0".parse()?, "::/0".parse()?);
/// let discard = PolicySpec::new(PolicyDirection::In, all, Action::Discard);
/// assert_eq!(admits(None, None), Ok(()));
/// assert_eq!(admits(Some(&discard), None), Err(NotAdmitted::Discard));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn admits(policy: Option<&PolicySpec>, sa: Option<&SaSpec>) -> Result<(), NotAdmitted> {
    let is_tunnel = |sa: &SaSpec| sa.mode != Mode::Transport;
    match (policy.map(|spec| spec.action), sa) {
        (Some(Action::Discard), _) => Err(NotAdmitted::Discard),
        (None, Some(sa)) if is_tunnel(sa) => Err(NotAdmitted::Missing),
        (Some(Action::Bypass), Some(sa)) if is_tunnel(sa) => Err(NotAdmitted::Mismatch),
        (None | Some(Action::Bypass), _) => Ok(()),
        (Some(Action::Protect { optional: true, .. }), None) => Ok(()),
        (Some(Action::Protect { .. }), None) => Err(NotAdmitted::Unprotected),
        (
            Some(Action::Protect {
                reqid,
                protocol,
                mode,
                ..
            }),
            Some(sa),
        ) => {
            let fits = (reqid == 0 || reqid == sa.reqid)
                && protocol == sa.protocol
                && mode == sa.mode
                && policy.is_none_or(|spec| spec.expects(sa));
            fits.then_some(()).ok_or(NotAdmitted::Mismatch)
        }
    }
}

/// No SA.
const NONE: u64 = u64::MAX;

/// A policy that lcores find: what it says never changes, and the rest a word at a time.
///
/// What every packet looks at comes first, as in [`Sa`](crate::Sa).
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Policy {
    /// The bound SA, or [`NONE`].
    sa: AtomicU64,
    /// Smaller is asked first: the priority, then the order of adding.
    pub(crate) rank: u64,
    last_use_s: AtomicU64,
    id: PolicyId,
    /// When an acquire was raised last, in seconds, cut to 32 bits; 0 for never.
    acquired_s: AtomicU32,
    spec: PolicySpec,
}

/// So much of it is looked at for each packet: whether there are outer addresses, and seldom which.
const HOT_BYTES: usize = offset_of!(Policy, spec) + offset_of!(PolicySpec, outer) + 1;
const _: () = assert!(HOT_BYTES <= 128);

impl Policy {
    pub(crate) fn new(id: PolicyId, spec: PolicySpec, rank: u64) -> Self {
        Self {
            sa: AtomicU64::new(NONE),
            rank,
            last_use_s: AtomicU64::new(0),
            id,
            acquired_s: AtomicU32::new(0),
            spec,
        }
    }

    /// Asks the CPU for what every packet needs of it.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch_first(self, HOT_BYTES);
    }

    /// Its name.
    #[inline]
    pub fn id(&self) -> PolicyId {
        self.id
    }

    /// What it says.
    #[inline]
    pub fn spec(&self) -> &PolicySpec {
        &self.spec
    }

    /// The outbound SA that protects its packets now; `None` if IKE has yet to make one.
    #[inline]
    pub fn sa(&self) -> Option<SaId> {
        // Acquire pairs with the Release in `bind`: the SA was published before.
        let word = self.sa.load(Ordering::Acquire);
        (word != NONE).then(|| SaId::from_raw(word as u32))
    }

    /// Whether it is for packets of this flow, `if_id` and mark.
    #[inline]
    pub(crate) fn is_met_by(&self, flow: &Flow, if_id: u32, mark: u32) -> bool {
        let spec = self.spec();
        spec.if_id == if_id && spec.mark.matches(mark) && spec.selector.matches(flow)
    }

    pub(crate) fn bind(&self, sa: Option<SaId>) {
        let word = sa.map_or(NONE, |sa| u64::from(sa.raw()));
        // Release pairs with the Acquire in `sa`.
        self.sa.store(word, Ordering::Release);
    }

    /// Notes that a packet used it, `now_s` in seconds of the lcores' clock. As often as they like.
    #[inline]
    pub fn touch(&self, now_s: u64) {
        // Relaxed, here and below: a note for people. Written only when it changes, so that lcores
        // do not fight for the line.
        if self.last_use_s.load(Ordering::Relaxed) != now_s {
            self.last_use_s.store(now_s, Ordering::Relaxed);
        }
    }

    /// When [`touch`](Self::touch) was called last; 0 for never.
    pub fn last_use_s(&self) -> u64 {
        self.last_use_s.load(Ordering::Relaxed)
    }

    /// Whether an lcore that has a packet and no SA should raise
    /// [`Event::Acquire`](crate::Event::Acquire): once a second for all lcores together.
    #[inline]
    pub fn wants_acquire(&self, now_s: u64) -> bool {
        let now = (now_s as u32).max(1);
        let acquired_s = &self.acquired_s;
        let last = acquired_s.load(Ordering::Relaxed);
        last != now
            && acquired_s
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}
