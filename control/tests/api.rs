//! The API's socket: its mode, who may take it, and that it describes itself.

mod fake;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use fake::Daemon;
use hyper_util::rt::TokioIo;
use ironlane_control::api::{ServeError, Socket};
use tokio::net::UnixStream;
use tokio_stream::StreamExt;
use tonic::transport::Endpoint;

#[test]
fn the_socket_is_for_root_and_its_group_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/x.sock");
    let socket = Socket::bind(&path, Some("0")).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o660);
    drop(socket);
    assert!(!path.exists(), "a daemon that ends takes its socket along");
}

#[test]
fn a_daemon_that_answers_is_not_pushed_aside() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let refused = Socket::bind(&daemon.socket, None).unwrap_err();
    assert!(matches!(refused, ServeError::InUse(_)), "{refused}");
    assert!(
        refused
            .to_string()
            .contains("another daemon answers on this socket; stop it")
    );
    assert!(daemon.socket.exists());
}

#[test]
fn what_a_killed_daemon_left_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(
        path.exists(),
        "std leaves the file, as a killed daemon does"
    );
    Socket::bind(&path, None).unwrap();
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sock");
    std::fs::write(&path, "precious").unwrap();
    let refused = Socket::bind(&path, None).unwrap_err();
    assert!(matches!(refused, ServeError::NotASocket(_)), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_group_that_is_not_there_is_told_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.sock");
    let refused = Socket::bind(&path, Some("no-such-group")).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("groupadd --system no-such-group"),
        "{refused}"
    );
    assert!(!path.exists());
}

/// Asks by one version of the reflection protocol which services there are.
macro_rules! services {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;
        let request = tonic_reflection::pb::$version::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut answers = ServerReflectionClient::new($channel)
            .server_reflection_info(tokio_stream::once(request))
            .await
            .unwrap()
            .into_inner();
        let answer = answers.next().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = answer else {
            panic!("{answer:?}")
        };
        let names = list.service.into_iter().map(|s| s.name);
        names.collect::<Vec<_>>()
    }};
}

#[tokio::test]
async fn the_service_describes_itself_in_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let path = daemon.socket.clone();
    let connect = tower::service_fn(move |_: tonic::codegen::http::Uri| {
        let path = path.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
    });
    let endpoint = Endpoint::from_static("http://ironlane.invalid");
    let channel = endpoint.connect_with_connector(connect).await.unwrap();
    for names in [
        services!(v1, channel.clone()),
        services!(v1alpha, channel.clone()),
    ] {
        let ours = names.iter().any(|name| name == "ironlane.v1.Ironlane");
        assert!(ours, "{names:?}");
    }
}
