//! Policies: what to do with a packet.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ironlane_fib::VrfId;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySpec {
    /// Which packets are asked about.
    pub direction: PolicyDirection,
    /// Which of them it is for.
    pub selector: Selector,
    /// Of two policies that match, the one with the smaller priority decides; of equal ones that
    /// which was added first.
    pub priority: u32,
    /// What becomes of them.
    pub action: Action,
    /// Only packets through this XFRM interface; 0 for packets through none.
    pub if_id: u32,
    /// Only packets with this mark.
    pub mark: Mark,
    /// Outer source and destination that the SA of a packet that arrived must have, as templates of XFRM
    /// say it: the unspecified address for any. Not looked at in transport mode, where the selector says it.
    pub outer: Option<(IpAddr, IpAddr)>,
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

/// A policy that lcores find.
#[derive(Debug, Clone)]
pub struct Policy {
    id: PolicyId,
    spec: Arc<PolicySpec>,
    /// Smaller is asked first: the priority, then the order of adding.
    pub(crate) rank: u64,
    state: Arc<State>,
}

/// What changes without publishing the policy anew.
#[derive(Debug)]
struct State {
    /// The bound SA, or [`NONE`].
    sa: AtomicU64,
    last_use_s: AtomicU64,
    /// When an acquire was raised last, in seconds, cut to 32 bits; 0 for never.
    acquired_s: AtomicU32,
}

impl Policy {
    pub(crate) fn new(id: PolicyId, spec: PolicySpec, rank: u64) -> Self {
        Self {
            id,
            spec: Arc::new(spec),
            rank,
            state: Arc::new(State {
                sa: AtomicU64::new(NONE),
                last_use_s: AtomicU64::new(0),
                acquired_s: AtomicU32::new(0),
            }),
        }
    }

    /// Asks the CPU for what it points to.
    #[inline]
    pub(crate) fn prefetch_parts(&self) {
        ironlane_rcu::prefetch(&*self.spec);
        ironlane_rcu::prefetch(&*self.state);
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
        let word = self.state.sa.load(Ordering::Acquire);
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
        self.state.sa.store(word, Ordering::Release);
    }

    /// Notes that a packet used it, `now_s` in seconds of the lcores' clock. As often as they like.
    #[inline]
    pub fn touch(&self, now_s: u64) {
        // Relaxed, here and below: a note for people. Written only when it changes, so that lcores
        // do not fight for the line.
        if self.state.last_use_s.load(Ordering::Relaxed) != now_s {
            self.state.last_use_s.store(now_s, Ordering::Relaxed);
        }
    }

    /// When [`touch`](Self::touch) was called last; 0 for never.
    pub fn last_use_s(&self) -> u64 {
        self.state.last_use_s.load(Ordering::Relaxed)
    }

    /// Whether an lcore that has a packet and no SA should raise
    /// [`Event::Acquire`](crate::Event::Acquire): once a second for all lcores together.
    #[inline]
    pub fn wants_acquire(&self, now_s: u64) -> bool {
        let now = (now_s as u32).max(1);
        let acquired_s = &self.state.acquired_s;
        let last = acquired_s.load(Ordering::Relaxed);
        last != now
            && acquired_s
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}
