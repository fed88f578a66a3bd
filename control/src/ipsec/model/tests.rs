//! The model over a data plane without device: what a source does, and what the tables are then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ironlane_ipsec::{
    Action, Algorithm, Auth, Cipher, Direction, Event, Flow, Ipsec, Mark, Mode, PolicyDirection,
    Protocol, SaId, SaSpec, Secret, UdpEncap, Writer,
};
use ironlane_rcu::Domain;

use super::*;

mod interfaces;
mod paths;
mod sources;

const CHARON: Source = Source::Charon(1);

struct Bench {
    ipsec: Arc<Ipsec>,
    model: Model,
    now: Instant,
}

fn bench() -> Bench {
    let ipsec = Arc::new(Ipsec::with_room(&Domain::new(), 64, 64));
    let tables = Tables::new(Writer::without_device(Arc::clone(&ipsec)), || 1000);
    let mut model = Model::new(Box::new(tables));
    model.begin(CHARON);
    Bench {
        ipsec,
        model,
        now: Instant::now(),
    }
}

impl Bench {
    fn add_sa(&mut self, sa: NewSa) -> SaId {
        let key = sa.key();
        self.model.add_sa(CHARON, sa, self.now).unwrap();
        self.id(key)
    }

    fn id(&self, key: SaKey) -> SaId {
        self.model
            .sas(self.now)
            .iter()
            .find(|sa| sa.key == key)
            .unwrap()
            .id
    }

    /// By which SA the only outbound policy sends.
    fn bound(&self) -> Option<SaId> {
        let policies = self.model.policies();
        let mut out = policies
            .iter()
            .filter(|p| p.key.direction == PolicyDirection::Out);
        let view = out.next().unwrap();
        // What lcores read must be what the view says.
        let mut reader = Domain::register(self.ipsec.domain()).unwrap();
        let guard = reader.read();
        let policy = self.ipsec.policy(&guard, view.ids[0]).unwrap();
        assert_eq!(policy.sa(), view.sa);
        view.sa
    }

    fn after(&mut self, s: u64) -> Vec<Notice> {
        self.model.tick(self.now + Duration::from_secs(s));
        self.notices()
    }

    fn notices(&mut self) -> Vec<Notice> {
        self.model
            .take_notices()
            .into_iter()
            .map(|(_, notice)| notice)
            .collect()
    }
}

fn sa(direction: Direction, spi: u32) -> NewSa {
    let gcm = Algorithm {
        cipher: Cipher::AesGcm { icv: 16 },
        auth: Auth::None,
    };
    let (us, peer) = (
        "192.0.2.1".parse().unwrap(),
        "198.51.100.1".parse().unwrap(),
    );
    let (src, dst) = if direction == Direction::In {
        (peer, us)
    } else {
        (us, peer)
    };
    let spec = SaSpec {
        enc_key: Secret::new(&[spi as u8; 20]).unwrap(),
        reqid: 7,
        ..SaSpec::new(direction, spi, src, dst, gcm)
    };
    let lifetime = Lifetime {
        soft: Some(Duration::from_secs(30)),
        hard: Some(Duration::from_secs(40)),
    };
    NewSa {
        spec,
        lifetime,
        age: Duration::ZERO,
    }
}

fn policy(direction: PolicyDirection) -> PolicyKey {
    let net = |net: &str| TrafficSelector::net(net.parse().unwrap());
    PolicyKey {
        direction,
        src: net("10.1.0.0/16"),
        dst: net("10.2.0.0/16"),
        mark: Mark::default(),
        if_id: 0,
    }
}

fn protect(spi: Option<u32>) -> PolicyUse {
    PolicyUse {
        verdict: Verdict::Protect,
        class: if spi.is_some() {
            Class::Default
        } else {
            Class::Routed
        },
        priority: 0,
        reqid: 7,
        mode: Mode::Tunnel,
        protocol: Protocol::Esp,
        spi,
        outer: None,
        optional: false,
    }
}

fn soft(key: SaKey) -> Notice {
    Notice::Expire { key, hard: false }
}

#[test]
fn a_rekeyed_sa_is_used_when_its_policy_says_so_and_the_old_one_stays_until_it_is_deleted() {
    let (mut b, out) = (bench(), policy(PolicyDirection::Out));
    let old = b.add_sa(sa(Direction::Out, 1000));
    b.model
        .add_policy(CHARON, out, protect(Some(1000)))
        .unwrap();
    assert_eq!(b.bound(), Some(old));

    let new = b.add_sa(sa(Direction::Out, 2000));
    assert_eq!(b.bound(), Some(old), "the peer may not have it yet");
    b.model
        .add_policy(CHARON, out, protect(Some(2000)))
        .unwrap();
    assert_eq!(b.bound(), Some(new));
    assert_eq!(b.model.sas(b.now).len(), 2);

    b.model
        .del_policy(CHARON, &out, &protect(Some(1000)))
        .unwrap();
    b.model.del_sa(&sa(Direction::Out, 1000).key()).unwrap();
    assert_eq!(b.bound(), Some(new));
    assert_eq!(b.model.policies()[0].uses, 1);
}

#[test]
fn where_the_named_sa_is_gone_the_newest_of_the_reqid_is_taken() {
    let (mut b, out) = (bench(), policy(PolicyDirection::Out));
    b.model.add_policy(CHARON, out, protect(None)).unwrap();
    assert_eq!(b.bound(), None, "a trap has none yet");
    let first = b.add_sa(sa(Direction::Out, 1000));
    assert_eq!(b.bound(), Some(first));
    b.model
        .add_policy(CHARON, out, protect(Some(1000)))
        .unwrap();
    let second = b.add_sa(sa(Direction::Out, 2000));
    assert_eq!(b.bound(), Some(first));
    b.model.del_sa(&sa(Direction::Out, 1000).key()).unwrap();
    assert_eq!(b.bound(), Some(second));
    b.add_sa(sa(Direction::In, 3000));
    assert_eq!(b.bound(), Some(second), "inbound SAs send nothing");
}

#[test]
fn lifetimes_are_told_once_and_end_the_sa() {
    let mut b = bench();
    let key = sa(Direction::In, 1000).key();
    b.add_sa(sa(Direction::In, 1000));
    b.add_sa(NewSa {
        lifetime: Lifetime::default(),
        ..sa(Direction::In, 2000)
    });
    assert_eq!(b.after(29), []);
    assert_eq!(b.after(30), [soft(key)]);
    assert_eq!(b.after(39), []);
    assert_eq!(b.after(40), [Notice::Expire { key, hard: true }]);
    assert_eq!(b.model.sas(b.now).len(), 1);
    assert_eq!(b.after(1_000_000), []);
}

#[test]
fn events_of_lcores_become_notices() {
    let (mut b, out) = (bench(), policy(PolicyDirection::Out));
    let key = sa(Direction::In, 1000).key();
    let id = b.add_sa(sa(Direction::In, 1000));
    let events = Arc::clone(&b.ipsec);
    events.events().push(Event::SequenceLow { sa: id });
    events.events().push(Event::Soft { sa: id });
    assert_eq!(b.after(0), [soft(key)]);
    let addr = "203.0.113.9".parse().unwrap();
    events.events().push(Event::PeerMoved {
        sa: id,
        addr,
        port: 1027,
    });
    assert_eq!(
        b.after(0),
        [Notice::Mapping {
            key,
            addr,
            port: 1027
        }]
    );

    b.model.add_policy(CHARON, out, protect(None)).unwrap();
    let policy_key = b.model.policies()[0].key;
    let policy = b.model.policies()[0].ids[0];
    let (src, dst) = ("10.1.0.9".parse().unwrap(), "10.2.0.9".parse().unwrap());
    let flow = Flow {
        src,
        dst,
        proto: 6,
        ports: Some((4000, 443)),
    };
    events.events().push(Event::Acquire { policy, flow });
    let side = |addr, port| TrafficSelector::of_packet(addr, 6, Some(port));
    let acquire = Notice::Acquire {
        policy: policy_key,
        reqid: 7,
        src: side(src, 4000),
        dst: side(dst, 443),
    };
    assert_eq!(b.after(0), [acquire]);

    events.events().push(Event::Hard { sa: id });
    assert_eq!(b.after(0), [Notice::Expire { key, hard: true }]);
    events.events().push(Event::Soft { sa: id });
    assert_eq!(b.after(0), [], "of an SA that is gone");
}

#[test]
fn another_action_replaces_a_policy_without_a_gap() {
    let (mut b, out) = (bench(), policy(PolicyDirection::Out));
    b.add_sa(sa(Direction::Out, 1000));
    b.model
        .add_policy(CHARON, out, protect(Some(1000)))
        .unwrap();
    let before = b.model.policies()[0].clone();
    let drop = PolicyUse {
        verdict: Verdict::Discard,
        spi: None,
        ..protect(Some(1000))
    };
    b.model.add_policy(CHARON, out, drop).unwrap();
    let now = b.model.policies()[0].clone();
    assert_ne!(now.ids, before.ids);
    assert_eq!(now.priority >> 1, before.priority >> 1);
    let mut reader = Domain::register(b.ipsec.domain()).unwrap();
    let action = {
        let guard = reader.read();
        assert!(b.ipsec.policy(&guard, before.ids[0]).is_none());
        b.ipsec.policy(&guard, now.ids[0]).unwrap().spec().action
    };
    assert_eq!(action, Action::Discard);
    b.model.del_policy(CHARON, &out, &drop).unwrap();
    assert!(b.bound().is_some());
    b.model
        .del_policy(CHARON, &out, &protect(Some(1000)))
        .unwrap();
    assert!(b.model.policies().is_empty() && !b.ipsec.has_policies());
}

#[test]
fn addresses_change_in_place() {
    let (mut b, out) = (bench(), policy(PolicyDirection::Out));
    let id = b.add_sa(sa(Direction::Out, 1000));
    b.model
        .add_policy(CHARON, out, protect(Some(1000)))
        .unwrap();
    let key = sa(Direction::Out, 1000).key();
    let dst = "203.0.113.77".parse().unwrap();
    let change = SaChange {
        src: "192.0.2.2".parse().unwrap(),
        dst,
        encap: None,
        reqid: None,
    };
    b.model.update_sa(&key, change).unwrap();
    assert_eq!(b.id(SaKey { dst, ..key }), id);
    assert_eq!(b.bound(), Some(id));
    assert!(matches!(b.model.query_sa(&key), Err(Refusal::NotFound(_))));
    let moved = SaChange {
        reqid: Some(8),
        ..change
    };
    b.model.update_sa(&SaKey { dst, ..key }, moved).unwrap();
    assert_eq!(b.bound(), None, "its reqid is another one now");
}

#[test]
fn a_policy_that_the_data_plane_refuses_leaves_nothing() {
    let mut b = bench();
    let net = |net: &str| TrafficSelector::net(net.parse().unwrap());
    // 64 policies fit, those that wait for a grace period included.
    for at in 0..64 {
        let key = PolicyKey {
            src: net(&format!("10.9.{at}.0/24")),
            ..policy(PolicyDirection::Out)
        };
        if b.model.add_policy(CHARON, key, protect(Some(1))).is_err() {
            assert!(at > 32, "{at}");
            assert_eq!(b.model.policies().len(), at);
            return;
        }
    }
    let refused = b
        .model
        .add_policy(CHARON, policy(PolicyDirection::Out), protect(Some(1)));
    assert!(matches!(refused, Err(Refusal::Refused(_))), "{refused:?}");
    assert_eq!(b.model.policies().len(), 64);
}

#[test]
fn an_sa_whose_time_is_over_is_not_installed_again() {
    let mut b = bench();
    let late = NewSa {
        age: Duration::from_secs(41),
        ..sa(Direction::In, 1000)
    };
    let key = late.key();
    assert!(matches!(
        b.model.add_sa(CHARON, late, b.now),
        Err(Refusal::NotFound(_))
    ));
    assert_eq!(b.notices(), [Notice::Expire { key, hard: true }]);
    assert!(!b.ipsec.has_sas());
}

#[test]
fn an_outer_address_tells_apart_what_a_reqid_does_not() {
    let mut b = bench();
    let to = |spi, peer: &str| {
        let mut new = sa(Direction::Out, spi);
        (new.spec.reqid, new.spec.dst) = (0, peer.parse().unwrap());
        new
    };
    b.add_sa(to(1000, "198.51.100.1"));
    b.add_sa(to(1001, "198.51.100.2"));
    let any = "0.0.0.0".parse().unwrap();
    let use_of = |peer: &str| PolicyUse {
        reqid: 0,
        outer: Some((any, peer.parse().unwrap())),
        ..protect(None)
    };
    let out = policy(PolicyDirection::Out);
    let spi_of = |b: &Bench| {
        let bound = b.model.policies()[0].sa;
        let sas = b.model.sas(b.now);
        let sa = sas.iter().find(|sa| Some(sa.id) == bound);
        sa.map(|sa| sa.key.spi)
    };
    let old = use_of("198.51.100.1");
    b.model.add_policy(CHARON, out, old).unwrap();
    assert_eq!(spi_of(&b), Some(1000));
    let new = use_of("198.51.100.2");
    b.model.add_policy(CHARON, out, new).unwrap();
    b.model.del_policy(CHARON, &out, &old).unwrap();
    assert_eq!(spi_of(&b), Some(1001), "the template was changed");
    let nobody = use_of("198.51.100.3");
    b.model.add_policy(CHARON, out, nobody).unwrap();
    assert_eq!(spi_of(&b), None);
}
