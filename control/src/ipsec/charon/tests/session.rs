//! A connection from hello to its end, over a socket, with a data plane without device.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ironlane_ipsec::Writer;
use ironlane_rcu::Domain;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::super::request::{AddSa, flag, kind};
use super::super::{CharonServer, Shared};
use super::bodies::{hello_body, name_body, policy_body, sa_body, sample_policy, sample_sa};
use crate::ipsec::model::{Model, Tables};

const OK: u8 = 0;

fn model() -> Model {
    let ipsec = Arc::new(ironlane_ipsec::Ipsec::new(&Domain::new()));
    Model::new(Box::new(Tables::new(Writer::without_device(ipsec), || {
        1000
    })))
}

/// A server on a socket of its own; ends with the runtime.
fn serve(folder: &Path) -> (Shared, std::path::PathBuf) {
    let (shared, path) = (Shared::new(model(), 77), folder.join("charon.sock"));
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(CharonServer::new(shared.clone()).serve(listener));
    (shared, path)
}

/// The plugin's side.
struct Plugin {
    stream: UnixStream,
    last_id: u32,
}

impl Plugin {
    async fn connect(path: &Path, instance: u64) -> Self {
        let mut plugin = Self {
            stream: UnixStream::connect(path).await.unwrap(),
            last_id: 0,
        };
        let (status, body) = plugin.ask(kind::HELLO, &hello_body(1, instance)).await;
        assert_eq!(
            (status, &body[..10]),
            (OK, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 77][..])
        );
        plugin
    }

    async fn send(&mut self, of: u8, body: &[u8]) -> u32 {
        self.last_id += 1;
        let mut frame = (body.len() as u32 + 6).to_be_bytes().to_vec();
        frame.extend([of, 0]);
        frame.extend(self.last_id.to_be_bytes());
        frame.extend(body);
        self.stream.write_all(&frame).await.unwrap();
        self.last_id
    }

    /// Type, status, id, body.
    async fn receive(&mut self) -> (u8, u8, u32, Vec<u8>) {
        let read = async {
            let mut header = [0; 10];
            self.stream.read_exact(&mut header).await.unwrap();
            let len = u32::from_be_bytes(header[..4].try_into().unwrap()) as usize;
            let mut body = vec![0; len - 6];
            self.stream.read_exact(&mut body).await.unwrap();
            (
                header[4],
                header[5],
                u32::from_be_bytes(header[6..].try_into().unwrap()),
                body,
            )
        };
        tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .expect("nothing came")
    }

    async fn ask(&mut self, of: u8, body: &[u8]) -> (u8, Vec<u8>) {
        let id = self.send(of, body).await;
        let (answered, status, of_id, body) = self.receive().await;
        assert_eq!((answered, of_id), (of | 0x80, id));
        (status, body)
    }

    async fn done(&mut self, of: u8, body: &[u8]) {
        let (status, text) = self.ask(of, body).await;
        assert_eq!(status, OK, "{}", String::from_utf8_lossy(&text));
    }
}

/// The outbound SA of the sample policy.
fn outbound(spi: u32) -> AddSa {
    let mut sa = sample_sa(spi);
    (sa.name.src, sa.name.dst) = (sa.name.dst, sa.name.src);
    sa.flags &= !flag::INBOUND;
    sa
}

#[tokio::test]
async fn sas_and_policies_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, path) = serve(folder.path());
    let mut plugin = Plugin::connect(&path, 1).await;
    let sa = outbound(0xc123_4567);
    let (mut policy, of) = sample_policy();
    (policy.mark, policy.if_id) = (sa.name.mark, sa.name.if_id);
    plugin.done(kind::ADD_SA, &sa_body(&sa)).await;
    plugin
        .done(kind::ADD_POLICY, &policy_body(&policy, Some(&of)))
        .await;

    let bound = shared.with(|model| model.policies()[0].sa);
    assert_eq!(
        bound,
        shared.with(|model| Some(model.sas(Instant::now())[0].id))
    );
    let (status, used) = plugin.ask(kind::QUERY_SA, &name_body(&sa.name)).await;
    assert_eq!((status, used), (OK, [&[0; 16][..], &[255; 8]].concat()));
    let (status, idle) = plugin
        .ask(kind::QUERY_POLICY, &policy_body(&policy, None))
        .await;
    assert_eq!((status, idle), (OK, vec![255; 8]));

    plugin
        .done(kind::DEL_POLICY, &policy_body(&policy, Some(&of)))
        .await;
    plugin.done(kind::DEL_SA, &name_body(&sa.name)).await;
    assert_eq!(plugin.ask(kind::DEL_SA, &name_body(&sa.name)).await.0, 3);
    assert!(
        shared.with(|model| model.sas(Instant::now()).is_empty() && model.policies().is_empty())
    );
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_a_reason_and_the_connection_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = serve(folder.path());
    let mut plugin = Plugin::connect(&path, 1).await;
    let camellia = AddSa {
        enc_alg: 23,
        ..sample_sa(0xc000_0001)
    };
    let (status, text) = plugin.ask(kind::ADD_SA, &sa_body(&camellia)).await;
    assert_eq!(status, 2);
    assert!(
        String::from_utf8_lossy(&text).contains("encryption algorithm 23"),
        "{text:?}"
    );
    plugin
        .done(kind::ADD_SA, &sa_body(&sample_sa(0xc000_0001)))
        .await;
    let mut other = sample_sa(0xc000_0001);
    other.enc_key = ironlane_ipsec::Secret::new(&[1; 20]).unwrap();
    assert_eq!(plugin.ask(kind::ADD_SA, &sa_body(&other)).await.0, 1);
}

#[tokio::test]
async fn what_is_malformed_is_answered_and_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = serve(folder.path());
    let mut plugin = Plugin::connect(&path, 1).await;
    assert_eq!(plugin.ask(kind::DEL_SA, &[50, 0]).await.0, 4);
    assert_eq!(plugin.stream.read(&mut [0; 1]).await.unwrap(), 0);

    let mut plugin = Plugin {
        stream: UnixStream::connect(&path).await.unwrap(),
        last_id: 0,
    };
    assert_eq!(
        plugin.ask(kind::FLUSH_SAS, &[]).await.0,
        4,
        "hello must come first"
    );
    let mut plugin = Plugin {
        stream: UnixStream::connect(&path).await.unwrap(),
        last_id: 0,
    };
    assert_eq!(plugin.ask(kind::HELLO, &hello_body(9, 1)).await.0, 2);
    let mut plugin = Plugin::connect(&path, 1).await;
    plugin.stream.write_all(&[0xff; 10]).await.unwrap();
    assert_eq!(plugin.stream.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_connection_that_is_lost_keeps_its_sas_and_what_is_not_told_again_goes() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, path) = serve(folder.path());
    let mut plugin = Plugin::connect(&path, 1).await;
    let (kept, gone) = (sample_sa(0xc000_0001), sample_sa(0xc000_0002));
    plugin.done(kind::ADD_SA, &sa_body(&kept)).await;
    plugin.done(kind::ADD_SA, &sa_body(&gone)).await;
    let id = shared.with(|model| model.sas(Instant::now())[0].id);
    drop(plugin);

    let mut plugin = Plugin::connect(&path, 1).await;
    assert_eq!(shared.with(|model| model.sas(Instant::now()).len()), 2);
    plugin
        .done(
            kind::ADD_SA,
            &sa_body(&AddSa {
                flags: kept.flags | flag::RESENT,
                ..kept
            }),
        )
        .await;
    plugin.done(kind::SYNCED, &[]).await;
    let left = shared.with(|model| model.sas(Instant::now()));
    assert_eq!(
        (left.len(), left[0].id),
        (1, id),
        "it is the same SA, with its state"
    );
}

#[tokio::test]
async fn a_soft_end_is_told_as_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, path) = serve(folder.path());
    let mut plugin = Plugin::connect(&path, 1).await;
    let sa = sample_sa(0xc000_0001);
    plugin.done(kind::ADD_SA, &sa_body(&sa)).await;
    shared.with(|model| model.tick(Instant::now() + Duration::from_secs(3000)));
    let (of, status, id, body) = plugin.receive().await;
    assert_eq!((of, status, id), (64, 0, 0));
    assert_eq!(body, [50, 0xc0, 0, 0, 1, 4, 192, 0, 2, 1, 0]);
    shared.with(|model| model.tick(Instant::now() + Duration::from_secs(3600)));
    assert_eq!(plugin.receive().await.3.last(), Some(&1));
    assert!(shared.with(|model| model.sas(Instant::now()).is_empty()));
}

/// Two SAs a CHILD_SA, pipelined as the threads of charon do.
#[tokio::test]
async fn ten_thousand_sas_a_second_come_by_one_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, path) = serve(folder.path());
    let mut plugin = Plugin::connect(&path, 1).await;
    const SAS: u32 = 10_000;
    const AT_ONCE: u32 = 16;
    let began = Instant::now();
    for first in (0..SAS).step_by(AT_ONCE as usize) {
        for at in first..first + AT_ONCE {
            plugin
                .send(kind::ADD_SA, &sa_body(&sample_sa(0xc000_0000 + at)))
                .await;
        }
        for _ in 0..AT_ONCE {
            assert_eq!(plugin.receive().await.1, OK);
        }
    }
    let took = began.elapsed();
    println!(
        "{SAS} SAs in {took:?}: {:.0} a second",
        f64::from(SAS) / took.as_secs_f64()
    );
    assert_eq!(
        shared.with(|model| model.sas(Instant::now()).len()),
        SAS as usize
    );
    // A machine that runs other tests beside this one is given four times as long.
    assert!(took < Duration::from_secs(4), "10,000 SAs took {took:?}");
}
