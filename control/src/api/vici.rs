//! What charon is asked by VICI, as the API has it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tonic::Status as Refusal;

use super::proto;
use crate::ipsec::vici::{
    self, ChildSa, Configured, Event, IkeSa, Initiate, LogLine, Terminate, ViciError, ViciHandle,
    Which,
};

/// How long a listing waits for charon.
const LISTING: Duration = Duration::from_secs(10);

/// How long a listing of SAs waits for their names, which it can do without.
const NAMES: Duration = Duration::from_secs(2);

/// How long charon may take to bring SAs up or down, where the caller does not say.
const CONTROL: Duration = Duration::from_secs(30);

/// Messages that wait for a caller that reads slowly.
const WAITING: usize = 256;

/// The way to charon, if there is one.
pub(super) fn known(vici: Option<&ViciHandle>) -> Result<&ViciHandle, Refusal> {
    vici.ok_or_else(|| {
        Refusal::failed_precondition(
            "charon is not asked: set vici = \"/run/charon.vici\" in the [ipsec] section of the \
             configuration",
        )
    })
}

fn refusal(error: ViciError) -> Refusal {
    let text = error.to_string();
    match error {
        ViciError::NotThere { .. } | ViciError::UnknownCommand(_) => {
            Refusal::failed_precondition(text)
        }
        ViciError::NotFound(_) => Refusal::not_found(text),
        ViciError::Request(_) => Refusal::invalid_argument(text),
        ViciError::TimedOut(_) | ViciError::NotEstablished { .. } => {
            Refusal::deadline_exceeded(text)
        }
        ViciError::Lost(_) | ViciError::NotVici { .. } | ViciError::Refused(_) => {
            Refusal::aborted(text)
        }
    }
}

/// Adds to SAs what charon knows of them. Leaves them as they are where it does not answer: they are
/// the router's, with it or without.
pub(super) async fn add_origins(vici: Option<&ViciHandle>, sas: &mut [proto::IpsecSa]) {
    let Some(vici) = vici.filter(|_| !sas.is_empty()) else {
        return;
    };
    match vici::list_sas(vici.path(), NAMES).await {
        Ok(ike_sas) => join(&ike_sas, sas),
        Err(e) => tracing::debug!("SAs are shown without names: {e}"),
    }
}

/// Finds the CHILD SA of each SA: by direction, protocol, SPI and destination.
fn join(ike_sas: &[IkeSa], sas: &mut [proto::IpsecSa]) {
    let mut origins: HashMap<(&str, String, String, IpAddr), (&IkeSa, &ChildSa)> = HashMap::new();
    for ike in ike_sas {
        for child in &ike.children {
            let ends = [
                ("in", child.spi_in, ike.local.address()),
                ("out", child.spi_out, ike.remote.address()),
            ];
            for (direction, spi, destination) in ends {
                if let Some(destination) = destination {
                    let protocol = child.protocol.to_lowercase();
                    let key = (direction, protocol, spi_word(spi), destination);
                    origins.insert(key, (ike, child));
                }
            }
        }
    }
    for sa in sas {
        let Ok(destination) = sa.destination.parse() else {
            continue;
        };
        let key = (
            sa.direction.as_str(),
            sa.protocol.clone(),
            sa.spi.clone(),
            destination,
        );
        let found = origins.get(&key);
        sa.origin = found.map(|(ike, child)| origin(ike, child));
    }
}

/// As [`proto::IpsecSa`] has it; empty for none.
fn spi_word(spi: u32) -> String {
    match spi {
        0 => String::new(),
        spi => format!("{spi:#010x}"),
    }
}

fn origin(ike: &IkeSa, child: &ChildSa) -> proto::IpsecOrigin {
    proto::IpsecOrigin {
        connection: ike.name.clone(),
        child: child.name.clone(),
        ike_id: ike.id,
        child_id: child.id,
        ike_state: ike.state.clone(),
        remote_id: ike.remote.id.clone(),
        ike_rekey_in_s: ike.rekey_in_s,
        ike_reauth_in_s: ike.reauth_in_s,
    }
}

/// IKE SAs with their children, and what is configured and has none; in the order of their names.
pub(super) async fn connections(vici: &ViciHandle) -> Result<Vec<proto::IpsecConnection>, Refusal> {
    let (path, limit) = (vici.path(), LISTING);
    let both = tokio::try_join!(vici::list_conns(path, limit), vici::list_sas(path, limit));
    let (configured, sas) = both.map_err(refusal)?;
    Ok(joined(&configured, &sas))
}

fn joined(configured: &[Configured], sas: &[IkeSa]) -> Vec<proto::IpsecConnection> {
    let mut all: Vec<_> = sas.iter().map(connection).collect();
    for configured in configured {
        let of_it: Vec<_> = sas.iter().filter(|sa| sa.name == configured.name).collect();
        let up = |child: &str| {
            of_it
                .iter()
                .any(|sa| sa.children.iter().any(|c| c.name == child))
        };
        let down = configured.children.iter().filter(|child| !up(&child.name));
        let down = down.map(|child| proto::IpsecChild {
            name: child.name.clone(),
            mode: child.mode.to_lowercase(),
            local_selectors: child.local_ts.clone(),
            remote_selectors: child.remote_ts.clone(),
            ..proto::IpsecChild::default()
        });
        match all.iter_mut().find(|sa| sa.connection == configured.name) {
            Some(sa) => sa.children.extend(down),
            None => all.push(proto::IpsecConnection {
                connection: configured.name.clone(),
                local_address: configured.local_addrs.join(","),
                remote_address: configured.remote_addrs.join(","),
                remote_id: configured.remote_id.clone(),
                children: down.collect(),
                ..proto::IpsecConnection::default()
            }),
        }
    }
    all.sort_by(|a, b| (&a.connection, a.ike_id).cmp(&(&b.connection, b.ike_id)));
    all
}

fn connection(sa: &IkeSa) -> proto::IpsecConnection {
    proto::IpsecConnection {
        connection: sa.name.clone(),
        ike_id: sa.id,
        state: sa.state.clone(),
        version: sa.version.into(),
        local_address: sa.local.host.clone(),
        remote_address: sa.remote.host.clone(),
        local_port: sa.local.port.into(),
        remote_port: sa.remote.port.into(),
        local_id: sa.local.id.clone(),
        remote_id: sa.remote.id.clone(),
        initiator: sa.initiator,
        algorithms: sa.algorithms.clone(),
        age_s: sa.age_s,
        rekey_in_s: sa.rekey_in_s,
        reauth_in_s: sa.reauth_in_s,
        local_virtual_ips: sa.local.virtual_ips.clone(),
        remote_virtual_ips: sa.remote.virtual_ips.clone(),
        children: sa.children.iter().map(child).collect(),
    }
}

fn child(child: &ChildSa) -> proto::IpsecChild {
    proto::IpsecChild {
        name: child.name.clone(),
        id: child.id,
        state: child.state.clone(),
        mode: child.mode.to_lowercase(),
        protocol: child.protocol.to_lowercase(),
        reqid: child.reqid,
        spi_in: spi_word(child.spi_in),
        spi_out: spi_word(child.spi_out),
        local_selectors: child.local_ts.clone(),
        remote_selectors: child.remote_ts.clone(),
        age_s: child.age_s,
        rekey_in_s: child.rekey_in_s,
    }
}

type Progress = mpsc::Receiver<Result<proto::IpsecProgress, Refusal>>;

/// Brings an SA up; ends when the daemon does.
pub(super) fn initiate(
    vici: &ViciHandle,
    request: proto::InitiateIpsecRequest,
) -> Result<Progress, Refusal> {
    let named = |name: String| (!name.is_empty()).then_some(name);
    let what = Initiate {
        child: named(request.child),
        ike: named(request.ike),
    };
    if what == Initiate::default() {
        let text = "initiate what? name a child or an IKE SA";
        return Err(Refusal::invalid_argument(text));
    }
    let (path, limit) = (vici.path().to_owned(), control_limit(request.timeout_ms));
    Ok(carried_out(vici, async move |log| {
        let initiated = vici::initiate(&path, &what, limit, |line| log.tell(line));
        initiated.await.map(|()| 1)
    }))
}

/// Takes SAs down; ends when the daemon does.
pub(super) fn terminate(
    vici: &ViciHandle,
    request: proto::TerminateIpsecRequest,
) -> Result<Progress, Refusal> {
    let what = Terminate {
        child: which(request.child, request.child_id)?,
        ike: which(request.ike, request.ike_id)?,
        force: request.force,
    };
    if what.child.is_none() && what.ike.is_none() {
        let text = "terminate what? name a child or an IKE SA, or give its number";
        return Err(Refusal::invalid_argument(text));
    }
    let (path, limit) = (vici.path().to_owned(), control_limit(request.timeout_ms));
    Ok(carried_out(vici, async move |log| {
        vici::terminate(&path, &what, limit, |line| log.tell(line)).await
    }))
}

fn control_limit(timeout_ms: u32) -> Duration {
    match timeout_ms {
        0 => CONTROL,
        ms => Duration::from_millis(ms.into()),
    }
}

fn which(name: String, id: u32) -> Result<Option<Which>, Refusal> {
    match (name.is_empty(), id) {
        (true, 0) => Ok(None),
        (true, id) => Ok(Some(Which::Id(id))),
        (false, 0) => Ok(Some(Which::Name(name))),
        (false, _) => Err(Refusal::invalid_argument(
            "either a name or a number, not both",
        )),
    }
}

/// Where charon's log goes while it works.
struct Log(mpsc::Sender<Result<proto::IpsecProgress, Refusal>>);

impl Log {
    /// Hands a line on. One that a slow caller has no room for is lost to it.
    fn tell(&self, line: LogLine) {
        let _ = self.0.try_send(Ok(proto::IpsecProgress {
            group: line.group,
            line: line.text,
            done: None,
        }));
    }
}

/// Runs `work` beside the caller: charon's log, and at last for how many SAs it was done. Ends early
/// if the caller goes, or the daemon.
fn carried_out<W>(vici: &ViciHandle, work: impl FnOnce(Log) -> W) -> Progress
where
    W: Future<Output = Result<u32, ViciError>> + Send + 'static,
{
    let (sender, progress) = mpsc::channel(WAITING);
    let (work, vici) = (work(Log(sender.clone())), vici.clone());
    tokio::spawn(async move {
        let end = tokio::select! {
            end = work => end.map_err(refusal),
            () = sender.closed() => return,
            () = daemon_ends(&vici) => Err(ending()),
        };
        let end = end.map(|done| proto::IpsecProgress {
            done: Some(done),
            ..proto::IpsecProgress::default()
        });
        // A caller that has gone needs no answer.
        let _ = sender.send(end).await;
    });
    progress
}

fn ending() -> Refusal {
    Refusal::unavailable("it is about to end")
}

/// Ends when the daemon is about to.
async fn daemon_ends(vici: &ViciHandle) {
    let Some(mut events) = vici.events() else {
        return;
    };
    while !matches!(events.recv().await, Err(RecvError::Closed)) {}
}

type Events = mpsc::Receiver<Result<proto::IpsecEvent, Refusal>>;

/// Whether charon answers, and then what it tells, until the caller or the daemon ends.
pub(super) fn events(vici: &ViciHandle) -> Result<Events, Refusal> {
    let mut told = vici.events().ok_or_else(ending)?;
    let (sender, events) = mpsc::channel(WAITING);
    let path = vici.path().to_owned();
    tokio::spawn(async move {
        let first = vici::state_of(&path).await;
        if sender.send(Ok(event(&first))).await.is_err() {
            return;
        }
        loop {
            let next = tokio::select! {
                next = told.recv() => next,
                () = sender.closed() => return,
            };
            let next = match next {
                Ok(next) => event(&next),
                Err(RecvError::Lagged(lost)) => proto::IpsecEvent {
                    time_ms: now_ms(),
                    kind: "alert".into(),
                    text: format!("{lost} events were lost: they are read too slowly"),
                    ..proto::IpsecEvent::default()
                },
                Err(RecvError::Closed) => return,
            };
            if sender.send(Ok(next)).await.is_err() {
                return;
            }
        }
    });
    Ok(events)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

fn event(event: &Event) -> proto::IpsecEvent {
    proto::IpsecEvent {
        time_ms: now_ms(),
        kind: event.kind.name().into(),
        connection: event.connection.clone(),
        ike_id: event.ike_id,
        remote_address: event.remote.clone(),
        remote_id: event.remote_id.clone(),
        child: event.child.clone(),
        child_id: event.child_id,
        spi_in: spi_word(event.spis.0),
        spi_out: spi_word(event.spis.1),
        text: event.text.clone(),
    }
}

#[cfg(test)]
mod tests;
