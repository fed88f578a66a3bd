//! Serves charon's plugin on a Unix socket.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::mpsc;

use super::answer::{self, Status, answer, event, refusal};
use super::decode::decode;
use super::frame::{Frame, FrameError};
use super::request::Request;
use super::{VERSION, convert};
use crate::ipsec::model::{Model, Notice, Refusal, Source};

/// Takes what a source should hear. Called with the lock held: it may not use the [`Shared`], nor wait.
type Ear = Box<dyn Fn(&Notice) + Send>;

/// The model, with those who want to hear from it.
///
/// Handles are cheap. The lock is held for a request, never while anything is waited for.
#[derive(Debug, Clone)]
pub struct Shared {
    state: Arc<Mutex<State>>,
    /// Names this run of the model to charon.
    boot: u64,
}

struct State {
    model: Model,
    /// Where notices for a source go.
    outlets: HashMap<Source, Outlet>,
    /// Tells connections of one source apart.
    connections: u64,
}

struct Outlet {
    connection: u64,
    ear: Ear,
}

impl Shared {
    /// Shares `model`. `boot` is a number that no other model has: charon tells by it whether the router
    /// has forgotten what it was told.
    pub fn new(model: Model, boot: u64) -> Self {
        let state = State {
            model,
            outlets: HashMap::new(),
            connections: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            boot,
        }
    }

    /// Uses the model; what it has to tell goes out afterwards.
    pub fn with<T>(&self, use_: impl FnOnce(&mut Model) -> T) -> T {
        let mut state = self.lock();
        let result = use_(&mut state.model);
        state.send_notices();
        result
    }

    /// Has `ear` hear what concerns `source`, instead of who heard it before. It is called with the lock
    /// held: it may use neither this nor wait.
    pub fn listen(&self, source: Source, ear: impl Fn(&Notice) + Send + 'static) {
        let mut state = self.lock();
        state.connect(source, Box::new(ear));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held is a bug of one request; the books are checked by the next ones.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("model", &self.model)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

impl State {
    /// Gives a source an ear; the number of its connection.
    fn connect(&mut self, source: Source, ear: Ear) -> u64 {
        self.connections += 1;
        let connection = self.connections;
        self.outlets.insert(source, Outlet { connection, ear });
        connection
    }

    fn send_notices(&mut self) {
        for (source, notice) in self.model.take_notices() {
            match self.outlets.get(&source) {
                Some(outlet) => (outlet.ear)(&notice),
                None => tracing::debug!("{source} is not connected, and not told of {notice:?}"),
            }
        }
    }
}

/// Accepts connections of charon.
#[derive(Debug)]
pub struct CharonServer {
    shared: Shared,
}

impl CharonServer {
    /// Serves `shared`.
    pub fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// Accepts until it is dropped.
    ///
    /// # Errors
    /// If the socket fails.
    pub async fn serve(self, listener: UnixListener) -> std::io::Result<()> {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            // Those that have ended are forgotten; all end when this does.
            while connections.try_join_next().is_some() {}
            let shared = self.shared.clone();
            connections.spawn(async move {
                let (input, output) = stream.into_split();
                let (frames, outgoing) = mpsc::unbounded_channel();
                let mut session = Session {
                    shared,
                    frames,
                    source: None,
                };
                tokio::select! {
                    () = session.read(input) => {}
                    () = write(outgoing, output) => {}
                }
            });
        }
    }
}

/// Writes what is to be sent, many frames at a time where many wait.
async fn write(mut frames: mpsc::UnboundedReceiver<Vec<u8>>, mut output: impl AsyncWrite + Unpin) {
    while let Some(mut bytes) = frames.recv().await {
        while let Ok(more) = frames.try_recv() {
            bytes.extend(more);
        }
        if output.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// One connection.
struct Session {
    shared: Shared,
    frames: mpsc::UnboundedSender<Vec<u8>>,
    /// Who it is, and the number of the connection, once hello has come.
    source: Option<(Source, u64)>,
}

impl Session {
    /// Carries out requests until the connection ends.
    async fn read(&mut self, mut input: impl AsyncRead + Unpin) {
        loop {
            match Frame::read(&mut input).await {
                Ok(Some(frame)) => {
                    if !self.request(frame) {
                        // The writer has what explains it; give it the time to send that.
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                        return;
                    }
                }
                Ok(None) => return,
                Err(FrameError::Io(e)) => return tracing::debug!("charon: {e}"),
                Err(e) => return tracing::warn!("charon: {e}; the connection is closed"),
            }
        }
    }

    /// Carries out one request; whether the connection goes on.
    fn request(&mut self, mut frame: Frame) -> bool {
        let (kind, id) = (frame.kind, frame.id);
        let decoded = decode(kind, &mut frame.body);
        // Under one lock: an answer and the events that follow from the request are in order.
        let shared = self.shared.clone();
        let mut state = shared.lock();
        let (reply, go_on) = match decoded {
            Err(e) => {
                tracing::warn!("charon: {e}; the connection is closed");
                (
                    answer(kind, id, Status::Malformed, &answer::text(&e.to_string())),
                    false,
                )
            }
            Ok(Request::Hello {
                version,
                instance,
                who,
            }) => {
                let result = self.hello(&mut state, version, instance, &who);
                let go_on = result.is_ok();
                (reply(kind, id, result), go_on)
            }
            Ok(request) => match self.source {
                Some((source, _)) => {
                    let result = carry_out(&mut state.model, source, request, Instant::now());
                    if let Err(refusal) = &result {
                        tracing::info!("charon: refused: {refusal}");
                    }
                    (reply(kind, id, result), true)
                }
                None => {
                    let text = answer::text("the first message must be hello");
                    (answer(kind, id, Status::Malformed, &text), false)
                }
            },
        };
        let sent = self.frames.send(reply).is_ok();
        state.send_notices();
        sent && go_on
    }

    fn hello(
        &mut self,
        state: &mut State,
        version: u16,
        instance: u64,
        who: &str,
    ) -> Result<Vec<u8>, Refusal> {
        if version != VERSION {
            return Err(Refusal::NotSupported(format!(
                "this router speaks version {VERSION} of the protocol, the plugin {version}; install the \
                 plugin that belongs to it"
            )));
        }
        if self.source.is_some() {
            return Err(Refusal::Refused("a second hello".into()));
        }
        let source = Source::Charon(instance);
        let frames = self.frames.clone();
        // The connection may have ended a moment ago: after the next hello it is told again.
        let ear = move |notice: &Notice| drop(frames.send(event(notice)));
        // An older connection of the same charon is dead; it just does not know yet.
        let connection = state.connect(source, Box::new(ear));
        state.model.begin(source);
        self.source = Some((source, connection));
        tracing::info!("charon is connected: {who}");
        let mut body = VERSION.to_be_bytes().to_vec();
        body.extend(self.shared.boot.to_be_bytes());
        body.extend(answer::text(concat!(
            "Ironlane ",
            env!("CARGO_PKG_VERSION")
        )));
        Ok(body)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some((source, connection)) = self.source else {
            return;
        };
        let mut state = self.shared.lock();
        if state
            .outlets
            .get(&source)
            .is_some_and(|outlet| outlet.connection == connection)
        {
            state.outlets.remove(&source);
            state.model.disconnected(source);
            tracing::info!("charon is gone; its SAs stay until their lifetime ends");
        }
    }
}

fn reply(kind: u8, id: u32, result: Result<Vec<u8>, Refusal>) -> Vec<u8> {
    match result {
        Ok(body) => answer(kind, id, Status::Ok, &body),
        Err(why) => refusal(kind, id, &why),
    }
}

/// Milliseconds of an answer; all ones for never.
fn idle_ms(idle: Option<std::time::Duration>) -> [u8; 8] {
    idle.map_or(u64::MAX, |idle| idle.as_millis() as u64)
        .to_be_bytes()
}

/// Carries out a request other than hello; the answer's body.
fn carry_out(
    model: &mut Model,
    source: Source,
    request: Request,
    now: Instant,
) -> Result<Vec<u8>, Refusal> {
    let nothing = |()| Vec::new();
    match request {
        Request::Hello { .. } => Ok(Vec::new()),
        Request::GetSpi {
            protocol,
            dst,
            least,
            greatest,
        } => model
            .reserve_spi(protocol, dst, least..=greatest, now)
            .map(|spi| spi.to_be_bytes().to_vec()),
        Request::AddSa(sa) => {
            let new = convert::new_sa(*sa)?;
            model.add_sa(source, new, now).map(nothing)
        }
        Request::UpdateSa(update) => model
            .update_sa(&convert::sa_key(&update.name), convert::change(&update))
            .map(nothing),
        Request::QuerySa(name) => {
            let used = model.query_sa(&convert::sa_key(&name))?;
            Ok([
                used.bytes.to_be_bytes(),
                used.packets.to_be_bytes(),
                idle_ms(used.idle),
            ]
            .concat())
        }
        Request::DelSa(name) => model.del_sa(&convert::sa_key(&name)).map(nothing),
        Request::FlushSas => {
            model.flush_sas(source);
            Ok(Vec::new())
        }
        Request::AddPolicy(name, of) => model
            .add_policy(
                source,
                convert::policy_key(&name)?,
                convert::policy_use(&of)?,
            )
            .map(nothing),
        Request::QueryPolicy(name) => model
            .query_policy(&convert::policy_key(&name)?)
            .map(|idle| idle_ms(idle).to_vec()),
        Request::DelPolicy(name, of) => model
            .del_policy(
                source,
                &convert::policy_key(&name)?,
                &convert::policy_use(&of)?,
            )
            .map(nothing),
        Request::FlushPolicies => {
            model.flush_policies(source);
            Ok(Vec::new())
        }
        Request::Port(of, port) => {
            model.add_port(source, of, port);
            Ok(Vec::new())
        }
        Request::Synced => {
            model.synced(source, now);
            Ok(Vec::new())
        }
    }
}
