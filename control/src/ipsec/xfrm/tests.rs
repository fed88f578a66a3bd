//! Recorded messages, damaged ones, and the books over a kernel that is none.

mod books;
mod malformed;
mod recorded;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use ironlane_ipsec::{Ipsec, Writer};
use ironlane_rcu::Domain;

use super::books::{Books, Kernel, NotTaken};
use super::encode::SaName;
use super::*;
use crate::ipsec::charon::Shared;
use crate::ipsec::model::{InterfaceName, Model, SaKey, Source, Tables, TrafficSelector};
use crate::netlink::{Message, Messages};

/// The datagrams of a recording.
fn recording(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/netlink");
    let file = std::fs::read(folder.join(name)).unwrap();
    let (mut rest, mut all) = (&file[..], Vec::new());
    while let Some((len, tail)) = rest.split_first_chunk() {
        let (datagram, tail) = tail.split_at(u32::from_le_bytes(*len) as usize);
        all.push(datagram.to_vec());
        rest = tail;
    }
    all
}

/// What the messages of a recording tell; none is malformed.
fn all_told(name: &str) -> Vec<Told> {
    let datagrams = recording(name);
    let messages = datagrams.iter().flat_map(|d| Messages::new(d));
    messages
        .filter_map(|message| told(&message.unwrap()).unwrap())
        .collect()
}

fn sas(all: &[Told]) -> impl Iterator<Item = &KernelSa> {
    all.iter().filter_map(|told| match told {
        Told::Sa(sa) => Some(&**sa),
        _ => None,
    })
}

fn policies(all: &[Told]) -> impl Iterator<Item = &KernelPolicy> {
    all.iter().filter_map(|told| match told {
        Told::Policy(policy) => Some(&**policy),
        _ => None,
    })
}

/// An SA of the recorded list.
fn listed(spi: u32) -> KernelSa {
    let all = all_told("xfrm-dump.bin");
    let mut found = sas(&all).filter(|sa| sa.key.spi == spi);
    found.next().unwrap().clone()
}

/// A kernel that only remembers.
#[derive(Debug, Default)]
struct Fake {
    /// Its own sequence numbers, if not 0.
    out: HashMap<SaKey, u64>,
    /// What it was told, in words.
    said: Vec<String>,
}

impl Kernel for Fake {
    fn take(&mut self, sa: &KernelSa) -> Result<u64, NotTaken> {
        self.said.push(format!("take {:#x}", sa.key.spi));
        let before = self.out.insert(sa.key, sa.last_possible());
        Ok(before.unwrap_or(0))
    }

    fn set(&mut self, name: &SaName, numbers: Option<&Numbers>, used: Option<&Used>) {
        if let Some(numbers) = numbers {
            self.out.insert(name.key, numbers.out);
        }
        let packets = used.map(|used| used.packets);
        self.said
            .push(format!("set {:#x} {packets:?}", name.key.spi));
    }

    fn expire(&mut self, name: &SaName, is_hard: bool) {
        let end = if is_hard { "hard" } else { "soft" };
        self.said.push(format!("{end} {:#x}", name.key.spi));
    }

    fn acquire(
        &mut self,
        policy: &KernelPolicy,
        template: &Template,
        (src, dst): (&TrafficSelector, &TrafficSelector),
    ) {
        let reqid = template.reqid;
        self.said.push(format!("acquire {reqid} {src} {dst}"));
        let body = super::encode::acquire(policy, template, (src, dst));
        assert_eq!(body.len(), 280 + 4 + 64);
    }
}

impl Fake {
    fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }
}

/// A model, its tables, and books of a host that has 192.0.2.1 and 2001:db8:1::1.
struct Bench {
    ipsec: Arc<Ipsec>,
    shared: Shared,
    books: Books,
    kernel: Fake,
}

fn bench() -> Bench {
    let ipsec = Arc::new(Ipsec::with_room(&Domain::new(), 64, 64));
    let tables = Tables::new(Writer::without_device(Arc::clone(&ipsec)), || 1000);
    let mut model = Model::new(Box::new(tables));
    // What the recordings name.
    let named = |if_id, mark| InterfaceName { if_id, mark };
    model.set_interfaces(vec![named(42, 0), named(0, 5), named(0, 7)]);
    model.begin(Source::Kernel);
    let mut books = Books::default();
    books.local = ["192.0.2.1", "2001:db8:1::1"]
        .map(|addr| addr.parse().unwrap())
        .into();
    Bench {
        ipsec,
        shared: Shared::new(model, 1),
        books,
        kernel: Fake::default(),
    }
}

impl Bench {
    fn apply(&mut self, told: Told) {
        self.books.apply(&self.shared, &mut self.kernel, told);
    }

    /// SPIs that lcores have.
    fn spis(&self) -> Vec<u32> {
        let views = self
            .shared
            .with(|model| model.sas(std::time::Instant::now()));
        let mut spis: Vec<_> = views.iter().map(|view| view.key.spi).collect();
        spis.sort_unstable();
        spis
    }

    /// Policies that lcores have, in words.
    fn policies(&self) -> Vec<String> {
        let views = self.shared.with(|model| model.policies());
        let word = |view: &crate::ipsec::model::PolicyView| {
            format!("{} {:?} {}", view.key, view.of.verdict, view.of.reqid)
        };
        views.iter().map(word).collect()
    }
}
