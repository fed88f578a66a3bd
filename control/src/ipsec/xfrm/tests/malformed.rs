//! Bytes that no kernel sends.

use proptest::prelude::*;

use super::*;
use crate::ipsec::xfrm::wire::kind;

const KINDS: [u16; 13] = [
    kind::NEW_SA,
    kind::DEL_SA,
    kind::NEW_POLICY,
    kind::DEL_POLICY,
    kind::ACQUIRE,
    kind::EXPIRE,
    kind::UPDATE_POLICY,
    kind::UPDATE_SA,
    kind::POLICY_EXPIRE,
    kind::FLUSH_SA,
    kind::FLUSH_POLICY,
    kind::MIGRATE,
    kind::GET_DEFAULT,
];

/// Reads a message, and judges what it tells as if it were true.
fn take(kind: u16, body: &[u8]) -> bool {
    let message = Message {
        kind,
        flags: 0,
        seq: 0,
        pid: 0,
        body,
    };
    let read = told(&message);
    if let Ok(Some(told)) = &read {
        let mut b = bench();
        b.apply(told.clone());
    }
    read.is_ok()
}

/// All messages of the recordings.
fn messages() -> Vec<(u16, Vec<u8>)> {
    let files = ["xfrm-dump.bin", "xfrm-monitor.bin"].map(recording);
    let datagrams = files.iter().flatten();
    datagrams
        .flat_map(|datagram| Messages::new(datagram))
        .map(|message| message.unwrap())
        .map(|message| (message.kind, message.body.to_vec()))
        .collect()
}

#[test]
fn a_message_that_is_whole_is_read_and_one_without_its_structure_refused() {
    for (kind, body) in messages() {
        assert!(take(kind, &body));
        for len in 0..body.len().min(256) {
            take(kind, &body[..len]);
        }
    }
    let bytes = [0; 256];
    let lengths = [
        (kind::NEW_SA, 224),
        (kind::DEL_SA, 24),
        (kind::EXPIRE, 225),
        (kind::NEW_POLICY, 168),
        (kind::DEL_POLICY, 64),
        (kind::POLICY_EXPIRE, 169),
        (kind::FLUSH_SA, 1),
        (kind::GET_DEFAULT, 3),
    ];
    for (kind, len) in lengths {
        assert!(!take(kind, &bytes[..len - 1]), "{kind:#x}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_read_or_refused(
        at in 0..KINDS.len(),
        body in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        take(KINDS[at], &body);
    }

    #[test]
    fn changed_messages_are_read_or_refused(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let all = messages();
        let (kind, mut body) = all[which.index(all.len())].clone();
        if body.is_empty() {
            return Ok(());
        }
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if is_cut {
            body.truncate(cut.index(body.len()));
        }
        take(kind, &body);
    }
}
