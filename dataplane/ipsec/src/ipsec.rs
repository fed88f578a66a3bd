//! What lcores read: SAs by id and by what a packet says, policies by flow.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use ironlane_fib::VrfId;
use ironlane_packet::proto::ip;
use ironlane_rcu::primitive::Arc;
use ironlane_rcu::{Domain, Guard, Published, Slots};

use crate::index::{Entries, Index};
use crate::spd::Spd;
use crate::{Events, Policy, PolicyId, Protocol, Sa, SaId, hash};

/// How many SAs there may be, unless told otherwise: two for each of 100,000 tunnels, twice while all of them
/// are rekeyed.
const SAS: usize = 1 << 19;

/// How many policies there may be: three for each of 100,000 tunnels, and the next ones.
const POLICIES: usize = 1 << 19;

/// In [`Ipsec::policy_count`]: more may come any moment, and nobody knows which.
const UNKNOWN: u32 = 1 << 31;

/// All SAs and policies; shared by every lcore, changed by one [`Writer`](crate::Writer).
///
/// `S` is the session of the crypto device that each SA has; `()` where there is none.
///
/// ```
/// use std::sync::Arc;
///
/// use ironlane_ipsec::{Algorithm, Auth, Cipher, Direction, Ipsec, Protocol, SaSpec, Secret, Writer};
/// use ironlane_rcu::Domain;
///
/// let domain = Domain::new();
/// let ipsec = Arc::new(Ipsec::new(&domain));
/// let mut writer = Writer::without_device(Arc::clone(&ipsec));
/// let mut reader = Domain::register(&domain)?;
/// assert!(!ipsec.has_sas());
///
/// let gcm = Algorithm { cipher: Cipher::AesGcm { icv: 16 }, auth: Auth::None };
/// let (peer, us) = ("198.51.100.1".parse()?, "192.0.2.1".parse()?);
/// let spec = SaSpec {
///     enc_key: Secret::take(&mut [7; 20])?,
///     ..SaSpec::new(Direction::In, 0xc2d8_41b8, peer, us, gcm)
/// };
/// let id = writer.add_sa(spec)?;
///
/// let burst = reader.read();
/// let found = ipsec.find_sa(&burst, Protocol::Esp, 0xc2d8_41b8, us, Default::default());
/// assert_eq!(found.map(|sa| sa.id()), Some(id));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Ipsec<S = ()> {
    domain: Arc<Domain>,
    pub(crate) sas: Slots<Sa<S>>,
    pub(crate) sad: Arc<Index>,
    pub(crate) policies: Slots<Policy>,
    pub(crate) spd: Published<Spd>,
    /// How many there are: what an lcore asks first.
    pub(crate) sa_count: AtomicU32,
    policy_count: AtomicU32,
    /// How many inbound SAs take ESP in UDP.
    pub(crate) udp_count: AtomicU32,
    events: Events,
    /// The writer's side of `sad`, until it is taken.
    entries: std::sync::Mutex<Option<Entries>>,
}

impl<S: Send + Sync + 'static> Ipsec<S> {
    /// Empty, with room for 524,288 SAs and as many policies.
    pub fn new(domain: &Arc<Domain>) -> Self {
        Self::with_room(domain, SAS, POLICIES)
    }

    /// Empty, with room for `sas` and `policies`, those included that were deleted a moment ago. Room
    /// costs a word each.
    pub fn with_room(domain: &Arc<Domain>, sas: usize, policies: usize) -> Self {
        let entries = Entries::new(domain);
        // The last index is never given out: with the last generation it would be all ones.
        let most = SaId::LIMIT as usize - 1;
        Self {
            domain: Arc::clone(domain),
            sas: Slots::new(domain, sas.min(most)),
            sad: Arc::clone(entries.index()),
            policies: Slots::new(domain, policies.min(most)),
            spd: Published::new(domain, Box::new(Spd::default())),
            sa_count: AtomicU32::new(0),
            policy_count: AtomicU32::new(0),
            udp_count: AtomicU32::new(0),
            events: Events::new(),
            entries: std::sync::Mutex::new(Some(entries)),
        }
    }

    /// The RCU domain that protects all of it.
    pub fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }

    /// Whether there is any SA. One load; what lcores ask before all else.
    #[inline]
    pub fn has_sas(&self) -> bool {
        // Relaxed: a packet that arrives while the first SA is added may be early or late.
        self.sa_count.load(Ordering::Relaxed) != 0
    }

    /// Whether fragments of a protocol may be of packets for an inbound SA: of ESP and AH while there is any SA,
    /// of UDP while one of them takes ESP in UDP.
    #[inline]
    pub fn may_open(&self, protocol: u8) -> bool {
        match protocol {
            ip::ESP | ip::AH => self.has_sas(),
            // Relaxed as in `has_sas`.
            ip::UDP => self.udp_count.load(Ordering::Relaxed) != 0,
            _ => false,
        }
    }

    /// Whether there is any policy, or [may be](Self::await_policies). One load; what lcores ask before all else.
    #[inline]
    pub fn has_policies(&self) -> bool {
        self.policy_count.load(Ordering::Relaxed) != 0
    }

    /// Says that nobody knows yet which policies there are: until [`policies_are_known`](Self::policies_are_known)
    /// lcores let nothing leave that policies would be asked about. Any thread.
    pub fn await_policies(&self) {
        // Relaxed, here and below: before lcores start, or as early or late as a policy.
        self.policy_count.fetch_or(UNKNOWN, Ordering::Relaxed);
    }

    /// Ends [`await_policies`](Self::await_policies), if it was called. Any thread.
    pub fn policies_are_known(&self) {
        // Release pairs with the Acquire in `knows_policies`: who sees it finds the policies.
        self.policy_count.fetch_and(!UNKNOWN, Ordering::Release);
    }

    /// Whether the policies there are may be trusted to be all.
    #[inline]
    pub fn knows_policies(&self) -> bool {
        self.policy_count.load(Ordering::Acquire) & UNKNOWN == 0
    }

    /// Notes how many policies there are. The writer's thread.
    pub(crate) fn note_policy_count(&self, count: u32) {
        let change = |word: u32| Some(word & UNKNOWN | count);
        let (order, load) = (Ordering::Relaxed, Ordering::Relaxed);
        // It is always `Ok`: `change` never gives up.
        let _ = self.policy_count.fetch_update(order, load, change);
    }

    #[inline]
    pub(crate) fn sa_count(&self) -> u32 {
        self.sa_count.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn policy_count(&self) -> u32 {
        self.policy_count.load(Ordering::Relaxed) & !UNKNOWN
    }

    /// The SA of this id; `None` if it was deleted.
    #[inline]
    pub fn sa<'q>(&'q self, guard: &'q Guard<'_>, id: SaId) -> Option<&'q Sa<S>> {
        self.sas.get(guard, id.index()).filter(|sa| sa.id() == id)
    }

    /// The SA that a packet names which arrived in `vrf`; outbound ones are found as well, so look
    /// at the direction.
    #[inline]
    pub fn find_sa<'q>(
        &'q self,
        guard: &'q Guard<'_>,
        protocol: Protocol,
        spi: u32,
        dst: IpAddr,
        vrf: VrfId,
    ) -> Option<&'q Sa<S>> {
        let hash = hash::of_sa(protocol.number(), spi, dst, vrf.0);
        self.sad
            .find(guard, hash)
            .filter_map(|id| self.sa(guard, SaId::from_raw(id)))
            .find(|sa| sa.spec().is_named_by(protocol, spi, dst, vrf))
    }

    /// The policy of this id; `None` if it was deleted.
    #[inline]
    pub fn policy<'q>(&'q self, guard: &'q Guard<'_>, id: PolicyId) -> Option<&'q Policy> {
        self.policies
            .get(guard, id.index())
            .filter(|policy| policy.id() == id)
    }

    /// Every SA, in order of indexes.
    pub fn iter_sas<'q>(&'q self, guard: &'q Guard<'_>) -> impl Iterator<Item = &'q Sa<S>> {
        (0..self.sas.capacity()).filter_map(move |index| self.sas.get(guard, index))
    }

    /// Every policy, in order of indexes.
    pub fn iter_policies<'q>(&'q self, guard: &'q Guard<'_>) -> impl Iterator<Item = &'q Policy> {
        (0..self.policies.capacity()).filter_map(move |index| self.policies.get(guard, index))
    }

    /// What lcores tell the control plane.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// The writer's books; once.
    pub(crate) fn take_writer(&self) -> Option<Entries> {
        self.entries.lock().ok()?.take()
    }
}

impl<S> fmt::Debug for Ipsec<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ipsec")
            .field("sas", &self.sa_count)
            .field("policies", &self.policy_count)
            .finish_non_exhaustive()
    }
}
