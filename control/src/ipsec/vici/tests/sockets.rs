//! Whatever listens on the socket: a call ends, with words that say what is wrong.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::ipsec::vici::*;

const SOON: Duration = Duration::from_secs(10);

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32 + 1).to_be_bytes();
    [&len[..], &[kind], body].concat()
}

/// The next packet of a client: its kind and name.
fn packet(stream: &mut UnixStream) -> Option<(u8, String)> {
    let mut len = [0; 4];
    stream.read_exact(&mut len).ok()?;
    let mut body = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut body).ok()?;
    let name = &body[2..2 + usize::from(body[1])];
    Some((body[0], String::from_utf8(name.to_vec()).unwrap()))
}

/// A socket on which `play` plays charon for each connection.
fn charon(play: impl Fn(UnixStream) + Send + 'static) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vici");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            play(stream.unwrap());
        }
    });
    (folder, path)
}

/// Confirms what is registered for, and answers each command with `answers`.
fn answering(answers: &'static [(u8, &'static [u8])]) -> (TempDir, PathBuf) {
    charon(move |mut stream| {
        while let Some((kind, _)) = packet(&mut stream) {
            let answers = match kind {
                3 => &[(5, &b""[..])],
                _ => answers,
            };
            for (kind, body) in answers {
                let _ = stream.write_all(&frame(*kind, body));
            }
        }
    })
}

fn listed(path: &std::path::Path) -> Result<Vec<IkeSa>, String> {
    let listed = runtime().block_on(list_sas(path, Duration::from_secs(2)));
    listed.map_err(|e| e.to_string())
}

#[test]
fn no_charon_is_told_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vici");
    let said = listed(&path).unwrap_err();
    assert!(
        said.contains("no charon on") && said.contains("start strongSwan"),
        "{said}"
    );
    drop(UnixListener::bind(&path).unwrap());
    let said = listed(&path).unwrap_err();
    assert!(said.contains("nobody listens there any more"), "{said}");
}

#[test]
fn what_is_no_charon_is_named() {
    let garbage: [(&[u8], &str); 6] = [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "a packet of 1213486160 bytes",
        ),
        (b"\0\0\0\0", "a packet of 0 bytes"),
        (b"\0\x08\0\x01", "a packet of 524289 bytes"),
        (b"\0\0\0\x01\x09", "a packet of type 9"),
        (b"\0\0\0\x01\x01", "an answer that nobody asked for"),
        (b"\0\0\0\x03\x07\x05a", "an event without a name"),
    ];
    for (bytes, wanted) in garbage {
        let (_folder, path) = charon(move |mut stream| {
            let _ = stream.write_all(bytes);
            // Until the client has had enough.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let said = listed(&path).unwrap_err();
        assert!(said.contains(wanted), "{said}");
    }
}

#[test]
fn a_charon_that_ends_or_does_not_answer_ends_the_call() {
    let (_folder, path) = charon(drop);
    let said = listed(&path).unwrap_err();
    assert!(said.contains("charon ended"), "{said}");
    // In the middle of a packet.
    let (_folder, path) = charon(|mut stream| stream.write_all(b"\0\0\0\x09\x05").unwrap());
    assert!(listed(&path).unwrap_err().contains("charon ended"));
    let (_folder, path) = charon(|stream| {
        thread::sleep(SOON);
        drop(stream);
    });
    let began = Instant::now();
    let said = listed(&path).unwrap_err();
    assert!(said.contains("not answered within 2 s"), "{said}");
    assert!(began.elapsed() < SOON);
}

#[test]
fn events_of_a_command_come_with_it_and_others_do_not_disturb() {
    let (_folder, path) = answering(&[
        (7, b"\x03log\x03\x03msg\0\x01x"),
        (7, b"\x07list-sa\x01\x01s\x03\x08uniqueid\0\x017\x02"),
        (1, b""),
    ]);
    let sas = listed(&path).unwrap();
    assert_eq!((sas.len(), sas[0].name.as_str(), sas[0].id), (1, "s", 7));
}

#[test]
fn refusals_are_handed_on() {
    let (_folder, path) = answering(&[(2, b"")]);
    let said = listed(&path).unwrap_err();
    assert!(
        said.contains("does not know the command list-sas"),
        "{said}"
    );

    let limit = Duration::from_secs(2);
    let wanted = Initiate {
        child: Some("nets".into()),
        ike: None,
    };
    let (_folder, path) = answering(&[
        (
            7,
            b"\x0bcontrol-log\x03\x05group\0\x03IKE\x03\x03msg\0\x07no luck",
        ),
        (1, b"\x03\x07success\0\x02no\x03\x06errmsg\0\x06failed"),
    ]);
    let mut log = Vec::new();
    let failed = runtime().block_on(initiate(&path, &wanted, limit, |line| log.push(line)));
    assert_eq!(failed.unwrap_err().to_string(), "charon: failed");
    assert_eq!(
        (log[0].group.as_str(), log[0].text.as_str()),
        ("IKE", "no luck")
    );

    let (_folder, path) = answering(&[(
        1,
        b"\x03\x07success\0\x02no\x03\x07matches\0\x010\x03\x06errmsg\0\x02no",
    )]);
    let wanted = Terminate {
        ike: Some(Which::Id(7)),
        ..Terminate::default()
    };
    let failed = runtime().block_on(terminate(&path, &wanted, limit, |_| ()));
    let said = failed.unwrap_err();
    assert!(matches!(said, ViciError::NotFound(_)), "{said}");
}

#[test]
fn events_go_on_when_charon_comes_goes_and_comes_again() {
    let runtime = runtime();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vici");
    // Nobody is there yet.
    let vici = Vici::start(runtime.handle(), &path);
    let mut events = vici.handle().events().unwrap();
    let mut next = || {
        let next = async { tokio::time::timeout(SOON, events.recv()).await };
        runtime
            .block_on(next)
            .expect("an event comes")
            .unwrap()
            .kind
    };
    for _ in 0..2 {
        let listener = UnixListener::bind(&path).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        for _ in 0..6 {
            let (kind, name) = packet(&mut stream).unwrap();
            assert_eq!(kind, 3);
            // A charon that is older than alerts.
            let known = if name == "alert" { 6 } else { 5 };
            stream.write_all(&frame(known, b"")).unwrap();
        }
        assert_eq!(next(), EventKind::CharonUp);
        let up = b"\x0aike-updown\x03\x02up\0\x03yes\x01\x01s\x03\x08uniqueid\0\x017\x02";
        stream.write_all(&frame(7, up)).unwrap();
        assert_eq!(next(), EventKind::IkeUp);
        drop((stream, listener));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(next(), EventKind::CharonDown);
    }
    let handle = vici.handle();
    drop(vici);
    let end = async { tokio::time::timeout(SOON, events.recv()).await };
    assert!(runtime.block_on(end).expect("the stream ends").is_err());
    assert!(handle.events().is_none(), "nobody listens any more");
}
