//! What happens by itself: time that passes, and what lcores say.

use std::time::Instant;

use ironlane_ipsec::Event;

use super::{Model, Notice, SaKey, TrafficSelector};

impl Model {
    /// Does all that is due, and says when something is again. Call it then, and often enough for
    /// events of lcores.
    pub fn tick(&mut self, now: Instant) -> Option<Instant> {
        while let Some(event) = self.dataplane.next_event() {
            self.event(event);
        }
        while let Some(key) = self.sas.next_due(now) {
            self.due(key, now);
        }
        self.paths.forget(now);
        self.dataplane.reclaim();
        self.sas.next_timer()
    }

    /// A timer of an SA has run out.
    fn due(&mut self, key: SaKey, now: Instant) {
        let Some(entry) = self.sas.get(&key) else {
            return;
        };
        if entry.hard_at.is_some_and(|at| at <= now) {
            self.end(key);
        } else {
            self.tell_soft(key);
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Soft { sa } | Event::SequenceLow { sa } => {
                if let Some(key) = self.sas.key_of(sa) {
                    self.tell_soft(key);
                }
            }
            Event::Hard { sa } => {
                if let Some(key) = self.sas.key_of(sa) {
                    self.end(key);
                }
            }
            Event::PeerMoved { sa, addr, port } => {
                let known = self
                    .sas
                    .key_of(sa)
                    .and_then(|key| Some((key, self.sas.get(&key)?.source)));
                if let Some((key, source)) = known {
                    self.notices
                        .push((source, Notice::Mapping { key, addr, port }));
                }
            }
            Event::Acquire { policy, flow } => {
                let found = self.policies.key_of(policy).and_then(|key| {
                    let (of, source) = self.policies.get(&key)?.in_force(&key)?;
                    Some((key, of, source))
                });
                let Some((policy, of, source)) = found else {
                    return;
                };
                let ports = flow.ports.unzip();
                let side = |addr, port| TrafficSelector::of_packet(addr, flow.proto, port);
                let notice = Notice::Acquire {
                    policy,
                    reqid: of.reqid,
                    src: side(flow.src, ports.0),
                    dst: side(flow.dst, ports.1),
                };
                self.notices.push((source, notice));
            }
        }
    }

    /// The soft end of an SA, told once.
    fn tell_soft(&mut self, key: SaKey) {
        if let Some(entry) = self.sas.get_mut(&key)
            && !entry.soft_told
        {
            entry.soft_told = true;
            self.notices
                .push((entry.source, Notice::Expire { key, hard: false }));
        }
    }

    /// The hard end of an SA: it is gone, whether its source listens or not.
    fn end(&mut self, key: SaKey) {
        if let Some(source) = self.sas.get(&key).map(|entry| entry.source) {
            tracing::info!("{key}: its lifetime is over");
            self.notices
                .push((source, Notice::Expire { key, hard: true }));
            self.remove_sa(&key);
        }
    }
}
