//! The running parts: the model's clock, the server of charon, the mirror of XFRM.

use std::net::IpAddr;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime};

use tokio::net::UnixListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::charon::{CharonServer, Shared};
use super::model::TooBig;
use super::xfrm::{XfrmError, XfrmMirror, XfrmOptions, XfrmReports};
use crate::api::{ServeError, Socket};

/// How often lcores' events and lifetimes are looked at. Lifetimes are of seconds, and a packet that
/// found no SA has an exchange of IKE ahead of it.
const TICK: Duration = Duration::from_millis(50);

/// Errors about paths that are judged in a tick.
const ERRORS: usize = 64;

/// Is told of all peers whose paths take less than the first link, with the bytes. It must not block.
pub type PathListener = Box<dyn FnMut(Vec<(IpAddr, u16)>) + Send>;

/// What is heard of paths to peers, and who is to know what comes of it.
pub struct PathEars {
    /// What routers say.
    pub heard: Receiver<TooBig>,
    /// Whom what comes of it concerns.
    pub tell: PathListener,
}

impl PathEars {
    fn turn(&mut self, shared: &Shared) {
        let heard = self.heard.try_iter().take(ERRORS);
        let paths = shared.with(|model| {
            heard.for_each(|too_big| model.too_big(&too_big, Instant::now()));
            model.take_paths()
        });
        if let Some(paths) = paths {
            (self.tell)(paths);
        }
    }
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum IpsecError {
    /// The socket.
    #[error("[ipsec] charon_socket: {0}")]
    Socket(#[from] ServeError),
    /// The kernel's SAs.
    #[error(transparent)]
    Xfrm(#[from] XfrmError),
    /// The runtime does not take it.
    #[error("[ipsec] charon_socket: {0}")]
    Listen(#[from] std::io::Error),
}

/// The control side of IPsec, running. Ends when it is dropped; what is in the data plane stays.
#[derive(Debug)]
pub struct Ipsec {
    shared: Shared,
    xfrm: Option<XfrmMirror>,
    server: Option<JoinHandle<()>>,
    ticker: JoinHandle<()>,
    _socket: Option<Socket>,
}

impl Ipsec {
    /// Serves `shared` to charon on `socket`, on threads of `runtime`, and has it follow the kernel as `xfrm`
    /// says. Where either is missing nobody comes that way. What `paths` hears of paths to peers counts.
    ///
    /// # Errors
    /// If the socket cannot be listened on, or the kernel has no XFRM.
    pub fn start(
        runtime: &Handle,
        shared: Shared,
        mut socket: Option<Socket>,
        xfrm: Option<XfrmOptions>,
        mut paths: Option<PathEars>,
    ) -> Result<Self, IpsecError> {
        let _entered = runtime.enter();
        let xfrm = xfrm
            .map(|options| XfrmMirror::start(options, shared.clone()))
            .transpose()?;
        let server = match &mut socket {
            Some(socket) => {
                let listener = UnixListener::from_std(socket.listener()?)?;
                let server = CharonServer::new(shared.clone());
                Some(runtime.spawn(async move {
                    if let Err(e) = server.serve(listener).await {
                        tracing::error!("charon cannot connect any more: {e}");
                    }
                }))
            }
            None => None,
        };
        let ticking = shared.clone();
        let ticker = async move {
            let mut ticks = tokio::time::interval(TICK);
            loop {
                ticks.tick().await;
                ticking.with(|model| model.tick(Instant::now()));
                if let Some(paths) = &mut paths {
                    paths.turn(&ticking);
                }
            }
        };
        Ok(Self {
            shared,
            xfrm,
            server,
            ticker: runtime.spawn(ticker),
            _socket: socket,
        })
    }

    /// The model.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What of the kernel's is taken and what not, where it is followed.
    pub fn xfrm(&self) -> Option<XfrmReports> {
        self.xfrm.as_ref().map(XfrmMirror::reports)
    }

    /// Whether charon can connect, and the kernel is followed.
    pub fn is_running(&self) -> bool {
        self.server
            .as_ref()
            .is_none_or(|server| !server.is_finished())
            && self.xfrm.as_ref().is_none_or(XfrmMirror::is_running)
            && !self.ticker.is_finished()
    }
}

impl Drop for Ipsec {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
        self.ticker.abort();
    }
}

/// A number that no other run of the router has, for [`Shared::new`].
pub fn boot_number() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    (since.as_micros() as u64) << 12 | u64::from(std::process::id() & 0xfff)
}
