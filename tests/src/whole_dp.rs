//! The data plane under test.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ironlane_dataplane::dataplane::{Dataplane, DataplaneConfig, PolicerConfig};
use ironlane_dataplane::eal::{CpuList, MbufBatch};
use ironlane_dataplane::ipsec::IpsecWriter;
use ironlane_fib::{PortId, VrfId, Writer};
use ironlane_packet::eth::Mac;

use crate::outcome::Outcome;
use crate::running::{PortSpec, RING, Running};
use crate::{FrameBuilder, Injected, Stream};

/// What differs from the usual set-up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// CPUs of the lcores; by default the first that this process may use.
    pub lcores: Vec<usize>,
    /// Policers that differ from "let everything through".
    pub policers: Vec<PolicerConfig>,
    /// Changes to the configuration of the data plane, ports apart.
    pub adjust: fn(&mut DataplaneConfig),
    /// Whether it has IPsec.
    pub ipsec: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lcores: CpuList::allowed().0.into_iter().take(1).collect(),
            policers: Vec::new(),
            adjust: |_| {},
            ipsec: false,
        }
    }
}

/// A data plane with its ports, tables and counters. One lives at a time in a process; a second
/// waits for the end of the first. When it goes it is stopped, and every packet buffer must
/// have come back.
pub struct WholeDp {
    specs: Vec<PortSpec>,
    settings: Settings,
    running: Option<Running>,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

impl Default for WholeDp {
    fn default() -> Self {
        Self::new()
    }
}

impl WholeDp {
    /// A data plane without ports, on one lcore, with policers that let everything through.
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    /// One with other settings.
    pub fn with(settings: Settings) -> Self {
        Self {
            specs: Vec::new(),
            settings,
            running: None,
            _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// A port with these addresses and prefix lengths, MTU 1500, one queue each way. Its MAC is
    /// `02:00:00:00:NN:01` where NN counts ports from 0.
    pub fn port(self, name: &str, addresses: &str) -> Self {
        self.port_with(name, addresses, 1500, (1, 1))
    }

    /// A port with another MTU and numbers of receive and transmit queues.
    pub fn port_with(mut self, name: &str, addresses: &str, mtu: u16, queues: (u16, u16)) -> Self {
        assert!(
            self.running.is_none(),
            "ports come before routes and frames"
        );
        self.specs.push(PortSpec {
            name: name.to_owned(),
            addresses: addresses.to_owned(),
            mtu,
            queues,
            vrf: VrfId::DEFAULT,
            ring: RING,
        });
        self
    }

    /// The last port belongs to this VRF.
    pub fn vrf(mut self, vrf: u16) -> Self {
        self.specs.last_mut().expect("a port").vrf = VrfId(vrf);
        self
    }

    /// Rings of the last port hold this many packets: one less than a power of two.
    pub fn ring_size(mut self, size: u32) -> Self {
        self.specs.last_mut().expect("a port").ring = size;
        self
    }

    /// `PREFIX via GATEWAY`, `PREFIX via A weight 2 via B`, `PREFIX unreachable` and so on;
    /// `default` and `default6` are the shortest prefixes.
    pub fn route(&mut self, text: &str) -> &mut Self {
        self.running().operator.route(text);
        self
    }

    /// Takes the route to a prefix away.
    pub fn no_route(&mut self, prefix: &str) -> &mut Self {
        self.running().operator.no_route(prefix);
        self
    }

    /// `ADDRESS dev PORT lladdr MAC`, or `ADDRESS dev PORT failed`.
    pub fn neighbour(&mut self, text: &str) -> &mut Self {
        self.running().operator.neighbour(text);
        self
    }

    /// The writer of the tables, for what the words above cannot say.
    pub fn writer(&mut self) -> &mut Writer {
        &mut self.running().operator.writer
    }

    /// The writer of SAs and policies.
    pub fn ipsec(&mut self) -> &mut IpsecWriter {
        let ipsec = self.running().ipsec.as_mut();
        ipsec.expect("asked for in the settings")
    }

    /// The running data plane.
    pub fn dataplane(&mut self) -> &mut Dataplane {
        self.running().dataplane.as_mut().expect("it runs")
    }

    /// A frame to be received by a port, from a host on its link.
    pub fn frame(&mut self, port: &str) -> FrameBuilder {
        FrameBuilder::to(self.mac(port))
    }

    /// The MAC of a port.
    pub fn mac(&mut self, port: &str) -> Mac {
        let running = self.running();
        running.ports[running.place(port)].mac
    }

    /// DPDK's number of a port.
    pub fn port_id(&mut self, port: &str) -> PortId {
        let running = self.running();
        running.ports[running.place(port)].id
    }

    /// Receives one frame and waits until it has gone somewhere.
    pub fn send(&mut self, port: &str, frame: impl Into<Injected>) -> Outcome {
        self.send_all(&[(port, frame.into())])
    }

    /// Receives frames in this order, and waits until all have gone somewhere. At most as many
    /// as the rings hold.
    pub fn send_all(&mut self, frames: &[(&str, Injected)]) -> Outcome {
        let running = self.running();
        let mut received = Vec::new();
        running.receive(frames, &mut received);
        running.settle(&received, &[])
    }

    /// As [`send_all`](Self::send_all), while the tables change: `change` is called again and again
    /// with a number that counts up, until the last frame has been received.
    pub fn send_while(
        &mut self,
        frames: &[(&str, Injected)],
        mut change: impl FnMut(&mut Self, usize),
    ) -> Outcome {
        let mut received = Vec::new();
        for (step, burst) in frames.chunks(16).enumerate() {
            let running = self.running();
            running.receive(burst, &mut received);
            change(self, step);
        }
        self.running().settle(&received, &[])
    }

    /// Hands frames to the data plane as the exception thread does, each to leave by its port.
    pub fn inject(&mut self, frames: &[(&str, &[u8])]) -> Outcome {
        let running = self.running();
        let mut batch = MbufBatch::new();
        let mut injected = Vec::new();
        for (port, frame) in frames {
            let place = running.place(port);
            let id = running.ports[place].id;
            injected.push((place, frame.len()));
            let exception = running.exception.as_mut().expect("taken at the start");
            let mbuf = exception
                .packet(frame)
                .expect("the exception pool has buffers");
            if batch.push(mbuf).is_err() {
                unreachable!("a batch of one");
            }
            assert_eq!(
                exception.inject(id, &mut batch),
                1,
                "the inject ring is full"
            );
        }
        running.settle(&[], &injected)
    }

    /// For frames at speed, which nothing is claimed of one by one.
    pub fn stream(&mut self) -> Stream<'_> {
        Stream {
            running: self.running(),
            batch: MbufBatch::new(),
        }
    }

    fn running(&mut self) -> &mut Running {
        let Self {
            specs,
            settings,
            running,
            ..
        } = self;
        running.get_or_insert_with(|| Running::start(specs, settings))
    }

    /// Stops the data plane; all buffers must have come back.
    pub fn stop(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        running.exception = None;
        running.ipsec = None;
        let report = running.dataplane.take().expect("it runs").stop();
        drop(running.rings);
        if !std::thread::panicking() {
            assert!(report.is_clean(), "{report:?}");
            assert_eq!(
                running.pool.in_use(),
                0,
                "frames of the test that did not come back"
            );
        }
    }
}

impl Drop for WholeDp {
    fn drop(&mut self) {
        self.finish();
    }
}
