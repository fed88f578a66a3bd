//! A service with made-up state, served on a socket as the daemon's is.
#![allow(dead_code, reason = "each test file uses another part of it")]

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Mutex;

use futures::{Stream, stream};
use ironlane_control::api::proto::ironlane_server::Ironlane;
use ironlane_control::api::proto::*;
use ironlane_control::api::{Socket, serve};
use ironlane_control::log::LogControl;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status as Refusal};

/// How many routes it says to have beside the named ones.
pub const MANY: u32 = 200_000;

/// The made-up state.
pub struct Fake {
    log: LogControl,
    cleared: Mutex<bool>,
}

type Answer<T> = Result<Response<T>, Refusal>;
type Flow<T> = Pin<Box<dyn Stream<Item = Result<T, Refusal>> + Send>>;

fn flow<T: Send + 'static>(
    items: impl IntoIterator<Item = T, IntoIter: Send + 'static>,
) -> Flow<T> {
    Box::pin(stream::iter(items.into_iter().map(Ok)))
}

/// Serves a [`Fake`] until dropped, on a thread of its own.
pub struct Daemon {
    pub socket: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Daemon {
    pub fn start(folder: &Path) -> Self {
        let socket = folder.join("ironlane.sock");
        let bound = Socket::bind(&socket, None).unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let fake = Fake {
                log: LogControl::detached("info"),
                cleared: Mutex::new(false),
            };
            let until = async { drop(stopped.await) };
            runtime
                .unwrap()
                .block_on(serve(fake, bound, until))
                .unwrap();
        });
        Self {
            socket,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl std::ops::Drop for Daemon {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn route(prefix: String, gateway: &str) -> Route {
    let path = RoutePath {
        gateway: gateway.into(),
        interface: "p0".into(),
        weight: 1,
        alive: true,
    };
    Route {
        prefix,
        vrf: "default".into(),
        protocol: "ospf".into(),
        kind: "unicast".into(),
        metric: 20,
        paths: vec![path],
        active: true,
        nexthop: 5,
        table: 254,
        nexthop_object: 0,
    }
}

fn adjacency() -> Adjacency {
    Adjacency {
        nexthop: 5,
        kind: "forward".into(),
        port: "p0".into(),
        neighbour: "192.0.2.9".into(),
        mtu: 1500,
        source_mac: "02:00:00:00:00:01".into(),
        destination_mac: "02:00:00:00:00:09".into(),
        used: true,
    }
}

#[tonic::async_trait]
impl Ironlane for Fake {
    type ListRoutesStream = Flow<Route>;
    type ListNexthopsStream = Flow<Nexthop>;
    type ListAdjacenciesStream = Flow<Adjacency>;
    type ListNeighboursStream = Flow<Neighbour>;
    type ListIpsecSasStream = Flow<IpsecSa>;
    type ListIpsecPoliciesStream = Flow<IpsecPolicy>;
    type ListIpsecConnectionsStream = Flow<IpsecConnection>;
    type InitiateIpsecStream = Flow<IpsecProgress>;
    type TerminateIpsecStream = Flow<IpsecProgress>;
    type WatchIpsecStream = Flow<IpsecEvent>;
    type VerifyStream = Flow<VerifyEvent>;

    async fn get_status(&self, _: Request<GetStatusRequest>) -> Answer<Status> {
        Ok(Response::new(Status {
            version: "0.1.0".into(),
            pid: 7,
            ..Status::default()
        }))
    }

    async fn get_config(&self, _: Request<GetConfigRequest>) -> Answer<ConfigText> {
        let toml = "[[port]]\nname = \"p0\"\ndevice = \"net_null0\"\n".into();
        Ok(Response::new(ConfigText {
            file: "router.toml".into(),
            toml,
        }))
    }

    async fn list_ports(&self, request: Request<ListPortsRequest>) -> Answer<ListPortsResponse> {
        let name = request.into_inner().name;
        if !name.is_empty() && name != "p0" {
            return Err(Refusal::not_found(format!(
                "there is no port {name}; there is p0"
            )));
        }
        let counters = PortCounters {
            rx_packets: 12,
            ..PortCounters::default()
        };
        let port = Port {
            name: "p0".into(),
            counters: Some(counters),
            ..Port::default()
        };
        Ok(Response::new(ListPortsResponse { ports: vec![port] }))
    }

    async fn list_routes(&self, request: Request<ListRoutesRequest>) -> Answer<Flow<Route>> {
        let few = ["203.0.113.0/24".to_owned(), "198.51.100.0/24".to_owned()];
        let few = few.map(|prefix| route(prefix, "192.0.2.9"));
        if !request.into_inner().all {
            return Ok(Response::new(flow(few)));
        }
        let many = (0..MANY).map(|i| {
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + (i << 4));
            route(format!("{address}/28"), "192.0.2.9")
        });
        Ok(Response::new(flow(few.into_iter().chain(many))))
    }

    async fn get_route(&self, request: Request<GetRouteRequest>) -> Answer<RouteLookup> {
        Ok(Response::new(RouteLookup {
            address: request.into_inner().address,
            vrf: "default".into(),
            route: Some(route("203.0.113.0/24".into(), "192.0.2.9")),
            nexthop: 5,
            adjacencies: vec![adjacency()],
            verdict: "forward".into(),
            why: vec!["the longest prefix that matches is 203.0.113.0/24".into()],
        }))
    }

    async fn list_nexthops(&self, _: Request<ListNexthopsRequest>) -> Answer<Flow<Nexthop>> {
        let members = vec![NexthopMember {
            adjacency: Some(adjacency()),
            weight: 1,
        }];
        let single = Nexthop {
            index: 5,
            kind: "single".into(),
            routes: 2,
            members,
        };
        Ok(Response::new(flow([single])))
    }

    async fn list_adjacencies(
        &self,
        _: Request<ListAdjacenciesRequest>,
    ) -> Answer<Flow<Adjacency>> {
        Ok(Response::new(flow([adjacency()])))
    }

    async fn list_neighbours(&self, _: Request<ListNeighboursRequest>) -> Answer<Flow<Neighbour>> {
        let neighbour = Neighbour {
            address: "192.0.2.9".into(),
            interface: "p0".into(),
            mac: "02:00:00:00:00:09".into(),
            state: "reachable".into(),
            on_port: true,
        };
        Ok(Response::new(flow([neighbour])))
    }

    async fn list_ipsec_sas(
        &self,
        _: Request<ListIpsecSasRequest>,
    ) -> Answer<Self::ListIpsecSasStream> {
        let sa = IpsecSa {
            id: "0.0".into(),
            direction: "out".into(),
            spi: "0xc1234567".into(),
            algorithm: "aes-gcm-16".into(),
            key_bits: 128,
            rekey_in_s: Some(12),
            origin: Some(IpsecOrigin {
                connection: "site-b".into(),
                child: "nets".into(),
                ike_id: 1,
                remote_id: "b.example.org".into(),
                ..IpsecOrigin::default()
            }),
            ..IpsecSa::default()
        };
        Ok(Response::new(flow([sa])))
    }

    async fn get_ipsec_xfrm(&self, _: Request<GetIpsecXfrmRequest>) -> Answer<IpsecXfrm> {
        let refused = IpsecRefused {
            subject: "ESP SA 0x00000108 to 198.51.100.1".into(),
            why: "not supported: cbc(des3_ede)".into(),
        };
        Ok(Response::new(IpsecXfrm {
            sas: 4,
            policies: 6,
            refused_sas: 1,
            refused: vec![refused],
            ..IpsecXfrm::default()
        }))
    }

    async fn list_ipsec_connections(
        &self,
        _: Request<ListIpsecConnectionsRequest>,
    ) -> Answer<Self::ListIpsecConnectionsStream> {
        let child = IpsecChild {
            name: "nets".into(),
            id: 3,
            state: "INSTALLED".into(),
            local_selectors: vec!["10.1.0.0/16".into()],
            remote_selectors: vec!["10.2.0.0/16".into()],
            ..IpsecChild::default()
        };
        let up = IpsecConnection {
            connection: "site-b".into(),
            ike_id: 1,
            state: "ESTABLISHED".into(),
            local_address: "192.0.2.1".into(),
            remote_address: "198.51.100.1".into(),
            local_port: 500,
            remote_port: 500,
            remote_id: "b.example.org".into(),
            rekey_in_s: Some(9000),
            children: vec![child],
            ..IpsecConnection::default()
        };
        let down = IpsecConnection {
            connection: "site-c".into(),
            ..IpsecConnection::default()
        };
        Ok(Response::new(flow([up, down])))
    }

    /// The child `nets` comes up; any other is not there.
    async fn initiate_ipsec(
        &self,
        request: Request<InitiateIpsecRequest>,
    ) -> Answer<Self::InitiateIpsecStream> {
        let line = IpsecProgress {
            group: "IKE".into(),
            line: "initiating IKE_SA site-b[1] to 198.51.100.1".into(),
            done: None,
        };
        let end = match request.into_inner().child.as_str() {
            "nets" => Ok(IpsecProgress {
                done: Some(1),
                ..IpsecProgress::default()
            }),
            child => Err(Refusal::not_found(format!(
                "charon has no child {child}; there is nets"
            ))),
        };
        Ok(Response::new(Box::pin(stream::iter([Ok(line), end]))))
    }

    async fn terminate_ipsec(
        &self,
        request: Request<TerminateIpsecRequest>,
    ) -> Answer<Self::TerminateIpsecStream> {
        let done = Some(request.into_inner().ike_id);
        let end = IpsecProgress {
            done,
            ..IpsecProgress::default()
        };
        Ok(Response::new(flow([end])))
    }

    async fn watch_ipsec(&self, _: Request<WatchIpsecRequest>) -> Answer<Self::WatchIpsecStream> {
        let event = IpsecEvent {
            time_ms: 45_296_789,
            kind: "child-up".into(),
            connection: "site-b".into(),
            ike_id: 1,
            remote_address: "198.51.100.1".into(),
            remote_id: "b.example.org".into(),
            child: "nets".into(),
            child_id: 3,
            spi_in: "0xc1234567".into(),
            spi_out: "0xc7654321".into(),
            text: String::new(),
        };
        Ok(Response::new(flow([event])))
    }

    async fn list_ipsec_policies(
        &self,
        request: Request<ListIpsecPoliciesRequest>,
    ) -> Answer<Self::ListIpsecPoliciesStream> {
        let policy = IpsecPolicy {
            direction: request.into_inner().direction,
            source: "10.1.0.0/16".into(),
            destination: "10.2.0.0/16".into(),
            action: "protect".into(),
            sa: "0.0".into(),
            ..IpsecPolicy::default()
        };
        Ok(Response::new(flow([policy])))
    }

    async fn list_punts(&self, _: Request<ListPuntsRequest>) -> Answer<ListPuntsResponse> {
        let ports = vec![PuntPort {
            port: "p0".into(),
            packets: 3,
        }];
        let punt = Punt {
            reason: "ospf".into(),
            packets: 3,
            ports,
            ..Punt::default()
        };
        Ok(Response::new(ListPuntsResponse { punts: vec![punt] }))
    }

    async fn list_drops(&self, _: Request<ListDropsRequest>) -> Answer<ListDropsResponse> {
        let packets = if *self.cleared.lock().unwrap() { 0 } else { 12 };
        let drop = Drop {
            port: "p0".into(),
            reason: "ip4_bad_checksum".into(),
            stage: "ip4_check".into(),
            packets,
            last_seen_ms: Some(0),
            meaning: "wrong".into(),
        };
        Ok(Response::new(ListDropsResponse { drops: vec![drop] }))
    }

    async fn list_lcores(&self, _: Request<ListLcoresRequest>) -> Answer<ListLcoresResponse> {
        Ok(Response::new(ListLcoresResponse {
            lcores: vec![Lcore::default()],
        }))
    }

    async fn list_stages(&self, _: Request<ListStagesRequest>) -> Answer<ListStagesResponse> {
        Ok(Response::new(ListStagesResponse {
            stages: vec![Stage::default()],
        }))
    }

    async fn get_stats(&self, _: Request<GetStatsRequest>) -> Answer<Stats> {
        Ok(Response::new(Stats {
            identity_holds: true,
            ..Stats::default()
        }))
    }

    async fn clear_stats(&self, _: Request<ClearStatsRequest>) -> Answer<ClearStatsResponse> {
        *self.cleared.lock().unwrap() = true;
        Ok(Response::new(ClearStatsResponse {}))
    }

    async fn get_latency(&self, _: Request<GetLatencyRequest>) -> Answer<Latency> {
        Ok(Response::new(Latency {
            samples: 9,
            ..Latency::default()
        }))
    }

    async fn get_log_level(&self, _: Request<GetLogLevelRequest>) -> Answer<LogLevel> {
        Ok(Response::new(LogLevel {
            level: self.log.level(),
        }))
    }

    async fn set_log_level(&self, request: Request<SetLogLevelRequest>) -> Answer<LogLevel> {
        let level = request.into_inner().level;
        self.log.set(&level).map_err(Refusal::invalid_argument)?;
        Ok(Response::new(LogLevel { level }))
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Answer<Flow<VerifyEvent>> {
        let repaired = request.into_inner().repair;
        let difference = VerifyDifference {
            object: "leaf".into(),
            cause: "tables".into(),
            subject: "203.0.113.0/24".into(),
            expected: "slot 5".into(),
            found: "slot 0".into(),
            repaired,
        };
        let summary = VerifySummary {
            routes_checked: 2,
            differences: 1,
            repaired: repaired.into(),
            counters_identity_holds: true,
            ..VerifySummary::default()
        };
        let event = |difference, summary| VerifyEvent {
            difference,
            summary,
        };
        Ok(Response::new(flow([
            event(Some(difference), None),
            event(None, Some(summary)),
        ])))
    }
}
