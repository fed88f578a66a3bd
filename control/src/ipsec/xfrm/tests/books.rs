//! SAs and policies between a kernel and the model.

use std::time::{Duration, Instant};

use ironlane_ipsec::{Event, Flow, PolicyDirection, SaId};

use super::*;
use crate::ipsec::model::Notice;

fn sa(sa: KernelSa) -> Told {
    Told::Sa(Box::new(sa))
}

impl Bench {
    /// The last sequence number of an SA.
    fn seq(&self, spi: u32) -> u64 {
        self.view(spi).stats.seq
    }

    fn view(&self, spi: u32) -> crate::ipsec::model::SaView {
        let views = self.shared.with(|model| model.sas(Instant::now()));
        views.into_iter().find(|view| view.key.spi == spi).unwrap()
    }

    /// Has so many packets of 100 bytes pass an SA.
    fn pass(&self, spi: u32, packets: u64) -> SaId {
        let id = self.view(spi).id;
        let mut reader = Domain::register(self.ipsec.domain()).unwrap();
        let guard = reader.read();
        let sa = self.ipsec.sa(&guard, id).unwrap();
        for _ in 0..packets {
            sa.state().next_seq().unwrap();
            sa.state().count(id, 100, 1000, self.ipsec.events());
        }
        id
    }

    /// What the model tells now goes to the books.
    fn tick(&mut self) {
        let (sender, notices) = std::sync::mpsc::channel();
        self.shared.listen(Source::Kernel, move |notice| {
            sender.send(*notice).unwrap();
        });
        self.shared.with(|model| model.tick(Instant::now()));
        let notices: Vec<Notice> = notices.try_iter().collect();
        for notice in notices {
            self.books.hear(&self.shared, &mut self.kernel, &notice);
        }
    }
}

/// The gap behind a number that was told.
const GAP: u64 = 1 << 20;

#[test]
fn an_outbound_sa_is_taken_and_no_number_of_it_used_twice() {
    let (mut b, out) = (bench(), listed(0x101));
    b.kernel.out.insert(out.key, 5000);
    b.apply(sa(out.clone()));
    assert_eq!(b.kernel.said(), ["take 0x101"]);
    assert_eq!(
        b.kernel.out[&out.key],
        u64::from(u32::MAX),
        "the kernel is stopped"
    );
    assert_eq!(b.seq(0x101), 5000 + GAP, "the kernel had used 5000");
    b.apply(sa(out.clone()));
    assert!(b.kernel.said().is_empty(), "it is told again");

    // Deleted, and back with the number at its end, as IKE does when an address changes.
    b.pass(0x101, 7);
    b.apply(Told::SaGone(out.key));
    assert!(b.spis().is_empty());
    let moved = KernelSa {
        key: SaKey {
            dst: "198.51.100.9".parse().unwrap(),
            ..out.key
        },
        ..out.clone()
    };
    b.kernel.out.insert(moved.key, u32::MAX.into());
    b.apply(sa(moved.clone()));
    assert_eq!(b.seq(0x101), 5007 + 2 * GAP);

    // The router stops: the kernel goes on behind.
    b.kernel.said();
    b.books.hand_back(&b.shared, &mut b.kernel);
    assert!(b.spis().is_empty());
    assert_eq!(b.kernel.out[&moved.key], 5007 + 3 * GAP);
}

#[test]
fn an_sa_of_a_router_that_crashed_is_rekeyed_and_not_used() {
    let (mut b, out) = (bench(), listed(0x101));
    b.kernel.out.insert(out.key, u32::MAX.into());
    b.apply(sa(out.clone()));
    assert_eq!(b.kernel.said(), ["take 0x101", "soft 0x101"]);
    assert!(b.spis().is_empty());
    let report = b.books.report();
    assert_eq!((report.sas, report.refused_sas), (0, 1));
    assert!(report.refused[0].why.contains("did not give them back"));
    // Nor one of the same name with another key.
    b.kernel.out.remove(&out.key);
    b.apply(sa(out.clone()));
    b.apply(Told::SaGone(out.key));
    let mut other = listed(0x105);
    other.key = out.key;
    b.apply(sa(other));
    assert!(b.spis().is_empty());
}

#[test]
fn the_last_numbers_are_not_taken() {
    let (mut b, out) = (bench(), listed(0x101));
    b.kernel.out.insert(out.key, u64::from(u32::MAX) - 1000);
    b.apply(sa(out));
    assert!(b.spis().is_empty());
    assert_eq!(b.kernel.said(), ["take 0x101", "soft 0x101"]);
}

#[test]
fn a_larval_sa_is_nothing_and_the_direction_follows_the_addresses() {
    let mut b = bench();
    b.apply(sa(listed(0x2000)));
    assert_eq!(b.books.report(), XfrmReport::default());
    b.books.local.clear();
    b.apply(sa(listed(0x102)));
    let report = b.books.report();
    assert_eq!((report.sas, report.refused_sas), (0, 1));
    assert!(report.refused[0].why.contains("neither of its addresses"));
    b.books.local.insert(listed(0x102).key.dst);
    b.books
        .replace(&b.shared, &mut b.kernel, vec![listed(0x102)], vec![]);
    assert_eq!((b.spis(), b.books.report().refused), (vec![0x102], vec![]));
    // A kernel that says it is believed.
    b.apply(sa(KernelSa {
        direction: Some(ironlane_ipsec::Direction::Out),
        ..listed(0x102)
    }));
    assert_eq!(b.view(0x102).spec.direction, ironlane_ipsec::Direction::Out);
}

#[test]
fn usage_goes_back_and_limits_go_on() {
    let mut b = bench();
    let limited = KernelSa {
        limits: Limits {
            packets: (15, 1000),
            ..listed(0x101).limits
        },
        used: Used {
            packets: 10,
            bytes: 1000,
            ..Used::default()
        },
        ..listed(0x101)
    };
    b.apply(sa(limited.clone()));
    b.kernel.said();
    b.books.tell_use(&b.shared, &mut b.kernel);
    assert!(b.kernel.said().is_empty(), "nothing has passed");
    b.pass(0x101, 3);
    b.books.tell_use(&b.shared, &mut b.kernel);
    b.books.tell_use(&b.shared, &mut b.kernel);
    assert_eq!(b.kernel.said(), ["set 0x101 Some(13)"]);
    b.tick();
    assert!(b.kernel.said().is_empty(), "13 of 15");
    b.pass(0x101, 2);
    b.tick();
    assert_eq!(b.kernel.said(), ["set 0x101 Some(15)", "soft 0x101"]);
    // Another limit: the SA is installed anew, and counts on.
    let wider = KernelSa {
        limits: Limits {
            packets: (15, 20),
            ..limited.limits
        },
        ..limited
    };
    b.apply(sa(wider));
    assert_eq!(b.kernel.said(), ["take 0x101"]);
    assert_eq!(b.view(0x101).spec.limits.hard_packets, 5);
    b.pass(0x101, 5);
    b.tick();
    assert!(b.kernel.said().contains(&"hard 0x101".to_owned()));
    assert!(b.spis().is_empty());
}

#[test]
fn an_end_of_time_is_left_to_the_kernel() {
    let mut b = bench();
    let mut timed = listed(0x101);
    timed.limits.seconds = (100, 0);
    timed.used.added_s = 0;
    b.apply(sa(timed));
    b.kernel.said();
    b.shared
        .with(|model| model.tick(Instant::now() + Duration::from_secs(200)));
    b.tick();
    assert!(b.view(0x101).soft_in_s.unwrap() <= 100);
    assert!(b.kernel.said().is_empty(), "the kernel itself tells");
}

#[test]
fn addresses_and_reqids_change_in_place() {
    let (mut b, out) = (bench(), listed(0x101));
    b.apply(sa(out.clone()));
    b.pass(0x101, 9);
    let seq = b.seq(0x101);
    b.apply(sa(KernelSa {
        reqid: 77,
        ..out.clone()
    }));
    assert_eq!((b.view(0x101).spec.reqid, b.seq(0x101)), (77, seq));
    // What a list does not have goes.
    b.books.replace(&b.shared, &mut b.kernel, vec![], vec![]);
    assert!(b.spis().is_empty());
}

#[test]
fn a_packet_without_sa_asks_ike_by_its_policy() {
    let mut b = bench();
    for told in all_told("xfrm-dump.bin") {
        if matches!(told, Told::Policy(_)) {
            b.apply(told);
        }
    }
    let views = b.shared.with(|model| model.policies());
    let out = |view: &&crate::ipsec::model::PolicyView| {
        view.key.direction == PolicyDirection::Out && view.of.reqid == 1
    };
    let policy = views.iter().find(out).unwrap().ids[0];
    let flow = Flow {
        src: "10.1.0.9".parse().unwrap(),
        dst: "10.2.0.9".parse().unwrap(),
        proto: 6,
        ports: Some((4000, 443)),
    };
    b.ipsec.events().push(Event::Acquire { policy, flow });
    b.tick();
    let expected = "acquire 1 10.1.0.9/32[6/4000] 10.2.0.9/32[6/443]";
    assert_eq!(b.kernel.said(), [expected]);
}

#[test]
fn policies_change_and_defaults_come_last() {
    let mut b = bench();
    let all = all_told("xfrm-dump.bin");
    let listed: Vec<_> = policies(&all).cloned().collect();
    b.books
        .replace(&b.shared, &mut b.kernel, vec![], listed.clone());
    assert_eq!(b.policies().len(), 8);
    let tunnel = listed.iter().find(|p| p.priority == 90).unwrap();
    let blocking = KernelPolicy {
        blocks: true,
        ..tunnel.clone()
    };
    b.apply(Told::Policy(Box::new(blocking)));
    assert_eq!(b.policies().len(), 8);
    let name = "policy out 10.1.0.0/16 to 10.2.0.0/16";
    let now = b.policies();
    let discards = now.iter().find(|words| words.starts_with(name)).unwrap();
    assert!(discards.contains("Discard"), "{discards}");

    let blocked = Blocked {
        outbound: true,
        ..Blocked::default()
    };
    b.apply(Told::Default(blocked));
    assert_eq!(b.policies().len(), 10, "both families");
    let views = b.shared.with(|model| model.policies());
    let out = views
        .iter()
        .filter(|view| view.key.direction == PolicyDirection::Out);
    let last = out.map(|view| view.key.to_string()).next_back().unwrap();
    assert!(last.ends_with("::/0 to ::/0"), "{last}");
    b.apply(Told::Default(Blocked::default()));
    b.apply(Told::PoliciesFlushed);
    assert!(b.policies().is_empty());
}
