//! Listens on the Unix socket and serves the API.

use std::future::Future;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, umask};
use nix::unistd::{Gid, Group, chown};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;

use super::proto::ironlane_server::{Ironlane, IronlaneServer};

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another daemon answers there.
    #[error(
        "{}: another daemon answers on this socket; stop it, or give this one a [daemon] socket, \
         run_dir and [dpdk] file_prefix of its own", .0.display()
    )]
    InUse(PathBuf),
    /// There is something that is no socket.
    #[error("{}: exists and is not a socket; remove it or set [daemon] socket", .0.display())]
    NotASocket(PathBuf),
    /// There is no such group.
    #[error("[daemon] socket_group \"{0}\": no such group; add it with: groupadd --system {0}")]
    NoGroup(String),
    /// The system refused.
    #[error("{}: {what}: {source}", .path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// How it failed.
        source: io::Error,
    },
    /// The server ended with an error.
    #[error("the API server ended: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// A bound socket, mode 0660. Removed from the file system when dropped.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    listener: Option<StdListener>,
}

impl Socket {
    /// Binds `path`, its folder made if missing, and gives it to `group` if there is one.
    ///
    /// A socket that nobody listens on (left by a killed daemon) is replaced; one that answers is
    /// [`ServeError::InUse`].
    pub fn bind(path: &Path, group: Option<&str>) -> Result<Self, ServeError> {
        let failed = |what| {
            move |source: io::Error| ServeError::System {
                path: path.to_owned(),
                what,
                source,
            }
        };
        let gid = group.map(find_group).transpose()?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed("making its folder"))?;
        }
        remove_stale(path)?;
        // Born without rights for others: between bind and chmod nobody else can connect.
        let before = umask(Mode::from_bits_truncate(0o177));
        let bound = StdListener::bind(path);
        umask(before);
        let listener = bound.map_err(failed("binding"))?;
        let socket = Self {
            path: path.to_owned(),
            listener: Some(listener),
        };
        if let Some(gid) = gid {
            chown(path, None, Some(gid))
                .map_err(io::Error::from)
                .map_err(failed("chown"))?;
        }
        let mode = Mode::from_bits_truncate(0o660);
        fchmodat(AT_FDCWD, path, mode, FchmodatFlags::FollowSymlink)
            .map_err(io::Error::from)
            .map_err(failed("chmod"))?;
        Ok(socket)
    }

    /// The listener, for a server other than the API's; once.
    ///
    /// # Errors
    /// If it was taken, or the system refuses to make it non-blocking.
    pub fn listener(&mut self) -> io::Result<StdListener> {
        let listener = self.listener.take().ok_or(io::ErrorKind::NotConnected)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Gone already is as good as removed now.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Serves `service` on `socket` until `stop` is ready, then ends the calls under way.
///
/// Runs on the current tokio runtime.
pub async fn serve<S: Ironlane>(
    service: S,
    mut socket: Socket,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let path = socket.path.clone();
    let failed = move |source| ServeError::System {
        path,
        what: "listening",
        source,
    };
    let Some(listener) = socket.listener.take() else {
        return Ok(());
    };
    let listener = listener
        .set_nonblocking(true)
        .and_then(|()| UnixListener::from_std(listener))
        .map_err(failed)?;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(super::proto::DESCRIPTOR)
    };
    let refused = |e| ServeError::System {
        path: socket.path.clone(),
        what: "reflection",
        source: io::Error::other(e),
    };
    let server = tonic::transport::Server::builder()
        .add_service(reflection().build_v1().map_err(refused)?)
        // Many clients, older grpcurl among them, know only this one.
        .add_service(reflection().build_v1alpha().map_err(refused)?)
        .add_service(IronlaneServer::new(service))
        .serve_with_incoming(UnixListenerStream::new(listener));
    // Not the graceful kind: a client that watches would keep the daemon from ending.
    tokio::select! {
        ended = server => ended.map_err(ServeError::from),
        () = stop => Ok(()),
    }
}

fn find_group(name: &str) -> Result<Gid, ServeError> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        _ => Err(ServeError::NoGroup(name.to_owned())),
    }
}

fn remove_stale(path: &Path) -> Result<(), ServeError> {
    use std::os::unix::fs::FileTypeExt;
    let Ok(found) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(ServeError::NotASocket(path.to_owned()));
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(ServeError::InUse(path.to_owned()));
    }
    std::fs::remove_file(path).map_err(|source| ServeError::System {
        path: path.to_owned(),
        what: "removing the socket of a daemon that is gone",
        source,
    })
}
