//! The way to the daemon: its Unix socket.

use std::io;
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

use super::failure::Failure;
use crate::api::proto::ironlane_client::IronlaneClient;

/// A client of the running daemon.
pub type Client = IronlaneClient<Channel>;

/// Connects to the daemon on `socket`, or says why none answers and what to do.
pub async fn connect(socket: &Path) -> Result<Client, Failure> {
    // A first connection by hand: its error is the user's to read, tonic's would bury it.
    let first = UnixStream::connect(socket)
        .await
        .map_err(|e| no_daemon(socket, &e))?;
    let mut first = Some(first);
    let path = PathBuf::from(socket);
    let connector = tower::service_fn(move |_: tonic::codegen::http::Uri| {
        let (path, first) = (path.clone(), first.take());
        async move {
            let stream = match first {
                Some(stream) => stream,
                None => UnixStream::connect(path).await?,
            };
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    });
    // The address is of no use on a Unix socket, but an endpoint must have one.
    let channel = Endpoint::from_static("http://ironlane.invalid")
        .connect_with_connector(connector)
        .await
        .map_err(|e| Failure::Other(format!("{}: {e}", socket.display())))?;
    Ok(IronlaneClient::new(channel))
}

fn no_daemon(socket: &Path, error: &io::Error) -> Failure {
    let at = socket.display();
    Failure::Other(match error.kind() {
        io::ErrorKind::NotFound => format!(
            "no daemon on {at}: start one with: ironlane run --config FILE\n\
             (or name the socket of one that runs elsewhere: --socket PATH or IRONLANE_SOCKET)"
        ),
        io::ErrorKind::ConnectionRefused => format!(
            "no daemon on {at}, only the socket of one that has ended: start it again with: \
             ironlane run --config FILE"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "{at}: permission denied: run this as root, or as a member of the group that \
             [daemon] socket_group names"
        ),
        _ => format!("{at}: {error}"),
    })
}
