//! Listens to charon's events for as long as the daemon runs, whether charon is there or not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use super::connection::{Connection, ViciError};
use super::event::{Event, EventKind, NAMES};

/// Time between two tries to connect; the first ones come sooner.
const RETRY: Duration = Duration::from_secs(2);

/// The first time between two tries, doubled with each.
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// Events that wait for a slow listener before it loses the oldest.
const WAITING: usize = 1024;

/// Listens to charon. Ends when it is dropped, and with it every stream of events.
#[derive(Debug)]
pub struct Vici {
    path: PathBuf,
    events: broadcast::Sender<Event>,
    watcher: JoinHandle<()>,
}

/// The way to charon, for answers of the API. Does not keep anything running.
#[derive(Debug, Clone)]
pub struct ViciHandle {
    path: PathBuf,
    events: broadcast::WeakSender<Event>,
}

impl Vici {
    /// Begins to listen on charon's socket `path`, on threads of `runtime`. charon may come later.
    pub fn start(runtime: &Handle, path: &Path) -> Self {
        let (events, _) = broadcast::channel(WAITING);
        let watcher = runtime.spawn(watch(path.to_owned(), events.clone()));
        Self {
            path: path.to_owned(),
            events,
            watcher,
        }
    }

    /// A handle for the API.
    pub fn handle(&self) -> ViciHandle {
        ViciHandle {
            path: self.path.clone(),
            events: self.events.downgrade(),
        }
    }
}

impl Drop for Vici {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl ViciHandle {
    /// charon's socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Events from now on; `None` if the daemon is about to end.
    pub fn events(&self) -> Option<broadcast::Receiver<Event>> {
        self.events.upgrade().map(|events| events.subscribe())
    }
}

/// Whether charon answers on `path`, as an event.
pub async fn state_of(path: &Path) -> Event {
    match Connection::open(path).await {
        Ok(_) => up(path),
        Err(e) => Event::of_charon(EventKind::CharonDown, e.to_string()),
    }
}

fn up(path: &Path) -> Event {
    Event::of_charon(EventKind::CharonUp, path.display().to_string())
}

async fn watch(path: PathBuf, events: broadcast::Sender<Event>) {
    let mut pause = FIRST_RETRY;
    let mut told = false;
    loop {
        let (was_up, why) = listen(&path, &events).await;
        if was_up {
            pause = FIRST_RETRY;
            tell(
                &events,
                Event::of_charon(EventKind::CharonDown, why.to_string()),
            );
        } else if !told {
            tracing::info!("{why}; it is tried again until it answers");
        }
        // Once, not at every try; what is gone is told by the event.
        told = true;
        tokio::time::sleep(pause).await;
        pause = RETRY.min(pause * 2);
    }
}

/// Hands on events until the connection ends: whether charon was there, and why it ended.
async fn listen(path: &Path, events: &broadcast::Sender<Event>) -> (bool, ViciError) {
    let registered = async {
        let mut connection = Connection::open(path).await?;
        for name in NAMES {
            if !connection.register(name).await? {
                tracing::debug!("this charon has no events {name}");
            }
        }
        Ok(connection)
    };
    let mut connection = match registered.await {
        Ok(connection) => connection,
        Err(e) => return (false, e),
    };
    tell(events, up(path));
    loop {
        match connection.next_event().await {
            Ok((name, message)) => {
                for event in Event::all(&name, &message) {
                    tell(events, event);
                }
            }
            Err(e) => return (true, e),
        }
    }
}

/// Logs an event, and hands it to those who listen.
fn tell(events: &broadcast::Sender<Event>, event: Event) {
    let kind = event.kind.name();
    match event.kind {
        EventKind::CharonUp => tracing::info!("{kind}: {}", event.text),
        EventKind::CharonDown | EventKind::Alert => tracing::warn!("{kind}: {}", event.text),
        _ => tracing::info!(
            connection = event.connection,
            ike_id = event.ike_id,
            remote = event.remote,
            remote_id = event.remote_id,
            child = event.child,
            child_id = event.child_id,
            "{kind}{}{}",
            if event.text.is_empty() { "" } else { ": " },
            event.text
        ),
    }
    // Nobody need listen.
    let _ = events.send(event);
}
