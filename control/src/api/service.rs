//! The service itself: one method for each call.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, stream};
use ipnet::IpNet;
use ironlane_rib::RouteFilter;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status as Refusal};

use super::proto::{self, ironlane_server::Ironlane};
use super::state::{Parts, State, away, blocking, gone, lock};
use super::{counters, ipsec, ports, routes, status, verify, vici};
use crate::ipsec::xfrm::XfrmReports;
use crate::netlink::MirrorHandle;
use crate::verify::VerifyOptions;

/// Routes taken from the mirror at a time, so that it is never kept from its work for long.
const ROUTES_AT_ONCE: usize = 2_000;

/// The API of a running daemon.
#[derive(Clone)]
pub struct Service {
    state: Arc<State>,
}

impl Service {
    /// The service over the parts of a daemon. Call it on the tokio runtime that will serve it: a
    /// task there looks once a second which counters moved, as long as the service lives.
    pub fn new(parts: Parts) -> Self {
        Self {
            state: State::new(parts),
        }
    }
}

type Answer<T> = Result<Response<T>, Refusal>;
type Flow<T> = Pin<Box<dyn Stream<Item = Result<T, Refusal>> + Send>>;

fn flow<T: Send + 'static>(items: Vec<T>) -> Response<Flow<T>> {
    Response::new(Box::pin(stream::iter(items.into_iter().map(Ok))))
}

#[tonic::async_trait]
impl Ironlane for Service {
    type ListRoutesStream = Flow<proto::Route>;
    type ListNexthopsStream = Flow<proto::Nexthop>;
    type ListAdjacenciesStream = Flow<proto::Adjacency>;
    type ListNeighboursStream = Flow<proto::Neighbour>;
    type ListIpsecSasStream = Flow<proto::IpsecSa>;
    type ListIpsecPoliciesStream = Flow<proto::IpsecPolicy>;
    type ListIpsecConnectionsStream = Flow<proto::IpsecConnection>;
    type InitiateIpsecStream = Flow<proto::IpsecProgress>;
    type TerminateIpsecStream = Flow<proto::IpsecProgress>;
    type WatchIpsecStream = Flow<proto::IpsecEvent>;
    type VerifyStream = Flow<proto::VerifyEvent>;

    async fn get_status(&self, _: Request<proto::GetStatusRequest>) -> Answer<proto::Status> {
        Ok(Response::new(status::status(&self.state).await?))
    }

    async fn get_config(&self, _: Request<proto::GetConfigRequest>) -> Answer<proto::ConfigText> {
        let parts = &self.state.parts;
        let file = parts.config_file.display().to_string();
        Ok(Response::new(proto::ConfigText {
            file,
            toml: parts.config.to_toml(),
        }))
    }

    async fn list_ports(
        &self,
        request: Request<proto::ListPortsRequest>,
    ) -> Answer<proto::ListPortsResponse> {
        let name = request.into_inner().name;
        self.state.known_port(&name)?;
        let taps = self
            .state
            .parts
            .mirror
            .with(|state| ports::taps(&state.rib));
        let taps = taps.await.map_err(gone)?;
        let ports = blocking(&self.state, move |state| {
            let (sample, _) = state.since_clear();
            let base = state.cleared_devices();
            let (dataplane, config) = (&state.parts.dataplane, &state.parts.config);
            let names = config.ports.iter().map(|port| port.tap.as_str());
            let interfaces = config.ipsec_interfaces.iter().map(|one| one.name.as_str());
            let wanted = names.chain(interfaces).zip(dataplane.ports());
            let wanted = wanted.filter(|(_, info)| name.is_empty() || info.name == name);
            wanted
                .map(|(tap_name, info)| {
                    let tap = taps.get(&info.id);
                    ports::port(dataplane, info, tap_name, tap, &sample, &base)
                })
                .collect()
        });
        Ok(Response::new(proto::ListPortsResponse {
            ports: ports.await?,
        }))
    }

    async fn list_routes(
        &self,
        request: Request<proto::ListRoutesRequest>,
    ) -> Answer<Self::ListRoutesStream> {
        let filter = routes::filter(&request.into_inner())?;
        let (sender, receiver) = mpsc::channel(4 * ROUTES_AT_ONCE);
        let mirror = self.state.parts.mirror.clone();
        tokio::spawn(send_routes(mirror, filter, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn get_route(
        &self,
        request: Request<proto::GetRouteRequest>,
    ) -> Answer<proto::RouteLookup> {
        let request = request.into_inner();
        routes::known_vrf(&request.vrf)?;
        let address = routes::address(&request.address)?;
        let flow = routes::flow(address, &request.source)?;
        let both = self.state.parts.mirror.with(move |state| {
            let rib = &state.rib;
            (rib.explain(address), rib.nexthops())
        });
        let (explanation, views) = both.await.map_err(gone)?;
        let lookup = self
            .state
            .with_slots(&views, |slots| routes::lookup(explanation, slots, flow))?;
        Ok(Response::new(lookup))
    }

    async fn list_nexthops(
        &self,
        _: Request<proto::ListNexthopsRequest>,
    ) -> Answer<Self::ListNexthopsStream> {
        let views = self.state.nexthop_views().await?;
        Ok(flow(
            self.state.with_slots(&views, |slots| slots.nexthops())?,
        ))
    }

    async fn list_adjacencies(
        &self,
        request: Request<proto::ListAdjacenciesRequest>,
    ) -> Answer<Self::ListAdjacenciesStream> {
        let port = request.into_inner().port;
        self.state.known_port(&port)?;
        let views = self.state.nexthop_views().await?;
        let mut adjacencies = self.state.with_slots(&views, |slots| slots.adjacencies())?;
        adjacencies.retain(|a| port.is_empty() || a.port == port);
        Ok(flow(adjacencies))
    }

    async fn list_neighbours(
        &self,
        request: Request<proto::ListNeighboursRequest>,
    ) -> Answer<Self::ListNeighboursStream> {
        let request = request.into_inner();
        let mirror = &self.state.parts.mirror;
        let list = mirror.with(move |state| routes::neighbours(&state.rib, &request));
        Ok(flow(list.await.map_err(gone)?))
    }

    async fn list_ipsec_sas(
        &self,
        request: Request<proto::ListIpsecSasRequest>,
    ) -> Answer<Self::ListIpsecSasStream> {
        let reqid = request.into_inner().reqid;
        let shared = ipsec::known(self.state.parts.ipsec.as_ref())?.clone();
        let mut sas = away(move || ipsec::sas(&shared, reqid)).await?;
        vici::add_origins(self.state.parts.vici.as_ref(), &mut sas).await;
        Ok(flow(sas))
    }

    async fn list_ipsec_policies(
        &self,
        request: Request<proto::ListIpsecPoliciesRequest>,
    ) -> Answer<Self::ListIpsecPoliciesStream> {
        let direction = ipsec::direction(&request.into_inner().direction)?;
        let shared = ipsec::known(self.state.parts.ipsec.as_ref())?.clone();
        Ok(flow(
            away(move || ipsec::policies(&shared, direction)).await?,
        ))
    }

    async fn get_ipsec_xfrm(
        &self,
        _: Request<proto::GetIpsecXfrmRequest>,
    ) -> Answer<proto::IpsecXfrm> {
        let report = ipsec::xfrm(self.state.parts.xfrm.as_ref())?;
        Ok(Response::new(report))
    }

    async fn list_ipsec_connections(
        &self,
        _: Request<proto::ListIpsecConnectionsRequest>,
    ) -> Answer<Self::ListIpsecConnectionsStream> {
        let charon = vici::known(self.state.parts.vici.as_ref())?;
        Ok(flow(vici::connections(charon).await?))
    }

    async fn initiate_ipsec(
        &self,
        request: Request<proto::InitiateIpsecRequest>,
    ) -> Answer<Self::InitiateIpsecStream> {
        let charon = vici::known(self.state.parts.vici.as_ref())?;
        let progress = vici::initiate(charon, request.into_inner())?;
        Ok(Response::new(Box::pin(ReceiverStream::new(progress))))
    }

    async fn terminate_ipsec(
        &self,
        request: Request<proto::TerminateIpsecRequest>,
    ) -> Answer<Self::TerminateIpsecStream> {
        let charon = vici::known(self.state.parts.vici.as_ref())?;
        let progress = vici::terminate(charon, request.into_inner())?;
        Ok(Response::new(Box::pin(ReceiverStream::new(progress))))
    }

    async fn watch_ipsec(
        &self,
        _: Request<proto::WatchIpsecRequest>,
    ) -> Answer<Self::WatchIpsecStream> {
        let charon = vici::known(self.state.parts.vici.as_ref())?;
        let events = vici::events(charon)?;
        Ok(Response::new(Box::pin(ReceiverStream::new(events))))
    }

    async fn list_punts(
        &self,
        request: Request<proto::ListPuntsRequest>,
    ) -> Answer<proto::ListPuntsResponse> {
        let all = request.into_inner().all;
        let punts = blocking(&self.state, move |state| {
            let (sample, _) = state.since_clear();
            let dataplane = &state.parts.dataplane;
            let activity = lock(&state.activity);
            let policer = |reason| dataplane.policer(reason);
            counters::punts(&sample, dataplane.ports(), &activity, policer, all)
        });
        Ok(Response::new(proto::ListPuntsResponse {
            punts: punts.await?,
        }))
    }

    async fn list_drops(
        &self,
        request: Request<proto::ListDropsRequest>,
    ) -> Answer<proto::ListDropsResponse> {
        let all = request.into_inner().all;
        let drops = blocking(&self.state, move |state| {
            let (sample, _) = state.since_clear();
            let activity = lock(&state.activity);
            counters::drops(&sample, state.parts.dataplane.ports(), &activity, all)
        });
        Ok(Response::new(proto::ListDropsResponse {
            drops: drops.await?,
        }))
    }

    async fn list_lcores(
        &self,
        _: Request<proto::ListLcoresRequest>,
    ) -> Answer<proto::ListLcoresResponse> {
        let lcores = blocking(&self.state, |state| {
            let (sample, elapsed) = state.since_clear();
            let dataplane = &state.parts.dataplane;
            counters::lcores(&sample, dataplane.lcores(), dataplane.ports(), elapsed)
        });
        Ok(Response::new(proto::ListLcoresResponse {
            lcores: lcores.await?,
        }))
    }

    async fn list_stages(
        &self,
        _: Request<proto::ListStagesRequest>,
    ) -> Answer<proto::ListStagesResponse> {
        let stages = blocking(&self.state, |state| {
            counters::stages(&state.since_clear().0)
        });
        Ok(Response::new(proto::ListStagesResponse {
            stages: stages.await?,
        }))
    }

    async fn get_stats(&self, _: Request<proto::GetStatsRequest>) -> Answer<proto::Stats> {
        let stats = blocking(&self.state, |state| {
            let (sample, elapsed) = state.since_clear();
            counters::stats(&sample, elapsed)
        });
        Ok(Response::new(stats.await?))
    }

    async fn clear_stats(
        &self,
        _: Request<proto::ClearStatsRequest>,
    ) -> Answer<proto::ClearStatsResponse> {
        blocking(&self.state, State::clear).await?;
        let mirror = &self.state.parts.mirror;
        mirror
            .with(|state| state.clear_counters())
            .await
            .map_err(gone)?;
        Ok(Response::new(proto::ClearStatsResponse {}))
    }

    async fn get_latency(
        &self,
        request: Request<proto::GetLatencyRequest>,
    ) -> Answer<proto::Latency> {
        let clear = request.into_inner().clear;
        let latency = self.state.parts.mirror.with(move |state| {
            let latency = state.status().latency;
            if clear {
                state.clear_latency();
            }
            latency
        });
        let latency = latency.await.map_err(gone)?;
        let us = |ns: u64| ns as f64 / 1000.0;
        Ok(Response::new(proto::Latency {
            samples: latency.count,
            p50_us: us(latency.p50_ns),
            p99_us: us(latency.p99_ns),
            p999_us: us(latency.p999_ns),
            max_us: us(latency.max_ns),
        }))
    }

    async fn get_log_level(
        &self,
        _: Request<proto::GetLogLevelRequest>,
    ) -> Answer<proto::LogLevel> {
        Ok(Response::new(proto::LogLevel {
            level: self.state.parts.log.level(),
        }))
    }

    async fn set_log_level(
        &self,
        request: Request<proto::SetLogLevelRequest>,
    ) -> Answer<proto::LogLevel> {
        let level = request.into_inner().level;
        self.state
            .parts
            .log
            .set(&level)
            .map_err(Refusal::invalid_argument)?;
        tracing::info!(level, "log level set");
        Ok(Response::new(proto::LogLevel { level }))
    }

    async fn verify(&self, request: Request<proto::VerifyRequest>) -> Answer<Self::VerifyStream> {
        let options = VerifyOptions {
            repair: request.into_inner().repair,
            ..VerifyOptions::default()
        };
        // Not the numbers since a clear: the identity is of all packets ever.
        let counters = blocking(&self.state, |state| {
            state.parts.dataplane.counters().snapshot_at_rest()
        })
        .await?;
        // The mirror ends it when the daemon stops.
        let mirror = self.state.parts.mirror.clone();
        let report = away(move || crate::verify::verify(&mirror, &options, Some(&counters)))
            .await?
            .map_err(|e| Refusal::unavailable(e.to_string()))?;
        let xfrm = self.state.parts.xfrm.as_ref().map(XfrmReports::get);
        Ok(flow(verify::events(report, xfrm.as_ref())))
    }
}

/// Sends routes as they come from the mirror, until all are sent or nobody listens.
async fn send_routes(
    mirror: MirrorHandle,
    filter: RouteFilter,
    sender: mpsc::Sender<Result<proto::Route, Refusal>>,
) {
    let mut after: Option<IpNet> = None;
    loop {
        let (filter, all) = (filter.clone(), filter.all);
        let some = mirror.with(move |state| state.rib.routes(&filter, after, ROUTES_AT_ONCE));
        let views = match some.await {
            Ok(views) => views,
            Err(error) => {
                let _ = sender.send(Err(gone(error))).await;
                return;
            }
        };
        let Some(last) = views.last() else { return };
        after = Some(last.route.prefix);
        for view in views.iter().filter(|view| all || routes::is_plain(view)) {
            if sender.send(Ok(routes::route(view))).await.is_err() {
                return;
            }
        }
    }
}
