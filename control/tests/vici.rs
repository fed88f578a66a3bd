//! Asks real charons by VICI, and has them do things. Needs root and strongSwan.

mod sites;

use std::path::Path;
use std::time::Duration;

use ironlane_control::ipsec::vici::{
    self, Event, EventKind, IkeSa, Initiate, Terminate, Vici, ViciError, Which,
};
use ironlane_ipsec::Direction;
use sites::{Site, Sites, Wanted, agree, wait_for};
use tokio::runtime::Runtime;
use tokio::sync::broadcast::Receiver;

const LIMIT: Duration = Duration::from_secs(15);

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

fn child(name: &str) -> Initiate {
    Initiate {
        child: Some(name.into()),
        ike: None,
    }
}

fn initiate(runtime: &Runtime, site: &Site, what: &Initiate) -> Result<(), ViciError> {
    runtime.block_on(vici::initiate(&site.vici(), what, LIMIT, |_| ()))
}

fn sas(runtime: &Runtime, path: &Path) -> Vec<IkeSa> {
    runtime.block_on(vici::list_sas(path, LIMIT)).unwrap()
}

/// Events as they come, and those that have come, for whom one is missing.
struct Events<'r> {
    runtime: &'r Runtime,
    receiver: Receiver<Event>,
    seen: Vec<Event>,
}

impl Events<'_> {
    /// Waits for an event of a kind; what came before it is forgotten.
    fn wait(&mut self, kind: EventKind) -> Event {
        loop {
            let next = async { tokio::time::timeout(LIMIT, self.receiver.recv()).await };
            let Ok(event) = self.runtime.block_on(next) else {
                panic!("no {kind:?} after {:?}", self.seen);
            };
            let event = event.unwrap();
            self.seen.push(event.clone());
            if event.kind == kind {
                return event;
            }
        }
    }
}

#[test]
fn sas_come_up_are_listed_are_told_of_and_go() {
    let Some(sites) = Sites::up("vici", Wanted::default()) else {
        return;
    };
    let (a, b) = (&sites.a, &sites.b);
    let runtime = runtime();
    let vici = Vici::start(runtime.handle(), &a.vici());
    let mut events = Events {
        runtime: &runtime,
        receiver: vici.handle().events().unwrap(),
        seen: Vec::new(),
    };
    // Registered: what happens from here on is told.
    events.wait(EventKind::CharonUp);

    let configured = runtime
        .block_on(vici::list_conns(&a.vici(), LIMIT))
        .unwrap();
    assert_eq!((configured.len(), configured[0].name.as_str()), (1, "s"));
    assert_eq!(configured[0].remote_addrs, ["10.0.255.2"]);
    assert_eq!(configured[0].children[0].name, "c");
    assert_eq!(configured[0].children[0].remote_ts, ["192.168.2.0/24"]);
    assert!(sas(&runtime, &a.vici()).is_empty());

    let mut log = Vec::new();
    let (path, wanted) = (a.vici(), child("c"));
    let initiated = vici::initiate(&path, &wanted, LIMIT, |line| log.push(line));
    runtime.block_on(initiated).unwrap();
    let said = |text: &str| log.iter().any(|line| line.text.contains(text));
    assert!(said("initiating IKE_SA s[1] to 10.0.255.2"), "{log:?}");
    assert!(said("CHILD_SA c{1} established"), "{log:?}");

    // The same SAs as the router has them.
    let listed = sas(&runtime, &a.vici());
    let ike = &listed[0];
    assert_eq!((listed.len(), ike.name.as_str()), (1, "s"));
    assert_eq!((ike.id, ike.version, ike.initiator), (1, 2, true));
    assert_eq!(ike.state, "ESTABLISHED");
    assert_eq!(
        (ike.remote.host.as_str(), ike.remote.port),
        ("10.0.255.2", 4500)
    );
    assert_eq!(ike.remote.id, "10.0.255.2");
    assert_eq!(ike.algorithms, "AES_GCM_16-128/PRF_HMAC_SHA2_256/ECP_256");
    assert!(ike.rekey_in_s.unwrap() > 60 && ike.reauth_in_s.is_none());
    let inbound = a.sas(Direction::In).remove(0);
    let (c, sending) = (&ike.children[0], a.sending().unwrap());
    assert_eq!((c.spi_in, c.spi_out), (inbound.key.spi, sending.key.spi));
    assert_eq!(c.reqid, inbound.spec.reqid);
    assert_eq!((c.state.as_str(), c.mode.as_str()), ("INSTALLED", "TUNNEL"));
    assert_eq!(c.local_ts, ["192.168.1.0/24"]);

    assert_eq!(events.wait(EventKind::IkeUp).ike_id, 1);
    let up = events.wait(EventKind::ChildUp);
    assert_eq!((up.connection.as_str(), up.child.as_str()), ("s", "c"));
    assert_eq!(up.spis, (c.spi_in, c.spi_out));
    assert_eq!(up.remote, "10.0.255.2");

    a.swanctl("--rekey --child c");
    let rekeyed = events.wait(EventKind::ChildRekey);
    assert!(
        rekeyed.child_id > 1 && rekeyed.spis != up.spis,
        "{rekeyed:?}"
    );
    a.swanctl("--rekey --ike s");
    assert_eq!(events.wait(EventKind::IkeRekey).ike_id, 2);
    wait_for("both sides agree", || {
        (agree(a, b) && agree(b, a)).then_some(())
    });

    let number = Terminate {
        child: Some(Which::Id(rekeyed.child_id)),
        ..Terminate::default()
    };
    let gone = runtime.block_on(vici::terminate(&a.vici(), &number, LIMIT, |_| ()));
    assert_eq!(gone.unwrap(), 1);
    assert_eq!(events.wait(EventKind::ChildDown).child_id, rekeyed.child_id);
    let ike = Terminate {
        ike: Some(Which::Name("s".into())),
        ..Terminate::default()
    };
    let gone = runtime.block_on(vici::terminate(&a.vici(), &ike, LIMIT, |_| ()));
    assert_eq!(gone.unwrap(), 1);
    events.wait(EventKind::IkeDown);
    wait_for("no SA is left in the router", || {
        a.sas(Direction::In).is_empty().then_some(())
    });
}

#[test]
fn what_cannot_be_done_is_said_in_words() {
    let Some(mut sites) = Sites::up("vici_refused", Wanted::default()) else {
        return;
    };
    let runtime = runtime();
    let a = &sites.a;
    let refused = |what: &Initiate| initiate(&runtime, a, what).unwrap_err().to_string();
    assert_eq!(refused(&child("d")), "charon has no child d; there is c");
    let other = Initiate {
        ike: Some("t".into()),
        ..child("c")
    };
    assert_eq!(refused(&other), "charon has no connection t; there is s");
    let nothing = Terminate {
        child: Some(Which::Name("c".into())),
        ..Terminate::default()
    };
    let refused = runtime.block_on(vici::terminate(&a.vici(), &nothing, LIMIT, |_| ()));
    let said = refused.unwrap_err().to_string();
    assert!(said.starts_with("there is no CHILD SA c:"), "{said}");

    // A peer that does not answer.
    initiate(&runtime, a, &child("c")).unwrap();
    sites.b.kill_charon();
    let limit = Duration::from_secs(1);
    let forced = Terminate {
        ike: Some(Which::Name("s".into())),
        force: true,
        ..Terminate::default()
    };
    let gentle = Terminate {
        force: false,
        ..forced.clone()
    };
    let path = sites.a.vici();
    let refused = runtime.block_on(vici::terminate(&path, &gentle, limit, |_| ()));
    let said = refused.unwrap_err().to_string();
    assert_eq!(said, "charon: terminating SA failed");
    let gone = runtime.block_on(vici::terminate(&path, &forced, limit, |_| ()));
    assert_eq!(gone.unwrap(), 1, "whether the peer agrees or not");
    let limit = Duration::from_secs(1);
    let mut log = Vec::new();
    let (path, wanted) = (sites.a.vici(), child("c"));
    let silent = vici::initiate(&path, &wanted, limit, |line| log.push(line.text));
    let silent = runtime.block_on(silent).unwrap_err();
    let said = silent.to_string();
    assert!(
        said.starts_with("c was not established within 1 s:"),
        "{said}"
    );
    assert!(
        log.iter().any(|line| line.contains("sending packet")),
        "{log:?}"
    );
}

#[test]
fn a_charon_that_is_started_again_is_heard_again() {
    let Some(mut sites) = Sites::up("vici_restart", Wanted::default()) else {
        return;
    };
    let runtime = runtime();
    let vici = Vici::start(runtime.handle(), &sites.a.vici());
    let mut events = Events {
        runtime: &runtime,
        receiver: vici.handle().events().unwrap(),
        seen: Vec::new(),
    };
    // Before it was up, nobody misses it.
    events.wait(EventKind::CharonUp);
    initiate(&runtime, &sites.a, &child("c")).unwrap();
    sites.a.kill_charon();
    events.wait(EventKind::CharonDown);
    let gone = runtime.block_on(vici::list_sas(&sites.a.vici(), LIMIT));
    let said = gone.unwrap_err().to_string();
    assert!(said.contains("nobody listens there any more"), "{said}");
    sites.a.start_charon();
    events.wait(EventKind::CharonUp);
    assert!(
        sas(&runtime, &sites.a.vici()).is_empty(),
        "it knows nothing of the last run"
    );
    initiate(&runtime, &sites.a, &child("c")).unwrap();
    let up = events.wait(EventKind::ChildUp);
    assert_eq!(
        up.spis.0,
        sas(&runtime, &sites.a.vici())[0].children[0].spi_in
    );
}
