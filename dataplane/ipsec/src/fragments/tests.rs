//! The table against a naive one, and its bounds.

use std::collections::{BTreeMap, HashMap};

use ironlane_fib::VrfId;
use ironlane_packet::ip4::{Ip4, Ip4Fields};
use ironlane_packet::ip6::{Ip6, Ip6Fields};
use proptest::prelude::*;

use super::*;

/// A fragment of a packet `id` of `src`, which is its bytes.
fn fragment(src: u32, id: u16, at: usize, more: bool, body: &[u8]) -> Vec<u8> {
    let word = (at / 8) as u16 | if more { 0x2000 } else { 0 };
    let fields = Ip4Fields {
        src,
        id,
        fragment_word: word,
        protocol: 50,
        ..Ip4Fields::default()
    };
    [&fields.to_bytes(body.len() as u16)[..], body].concat()
}

fn piece(packet: &[u8]) -> Piece {
    Piece::of(packet, packet.len(), VrfId::DEFAULT).expect("a good fragment")
}

fn table(held: u16) -> Fragments<Vec<u8>, char> {
    let limits = FragmentLimits {
        held,
        timeout_ns: 100,
    };
    Fragments::new(limits, RandomState::new())
}

/// What becomes of a fragment.
#[derive(Debug, PartialEq)]
enum Came {
    Waits,
    /// The body of the whole packet.
    Whole(Vec<u8>),
    Lost(Loss),
    /// It is of a packet that is worthless already.
    TooLate,
}

/// Adds a fragment as an lcore does.
fn add(table: &mut Fragments<Vec<u8>, char>, packet: &[u8], now: u64) -> Came {
    while let Some(place) = table.late(now) {
        table.remove(place, drop);
    }
    let piece = self::piece(packet);
    while let Some(place) = table.crowded(&piece.key) {
        table.remove(place, drop);
    }
    let place = table.find(&piece.key);
    let place = place.or_else(|| table.start(piece.key, now)).unwrap();
    if table.decision(place).is_some() {
        return Came::TooLate;
    }
    match table.add(place, &piece, packet.to_vec(), |a, b| a == b) {
        Ok(None) => Came::Waits,
        Ok(Some(whole)) => {
            let mut body = Vec::new();
            table.remove(place, |part| body.extend_from_slice(&part[20..]));
            assert_eq!(whole.len(), 20 + body.len());
            Came::Whole(body)
        }
        Err((Loss::Duplicate, _)) => Came::Lost(Loss::Duplicate),
        Err((loss, _)) => {
            table.decide(place, 'x', drop);
            Came::Lost(loss)
        }
    }
}

/// A packet as a list of what came, with every byte looked at.
#[derive(Default)]
struct Naive {
    since: u64,
    came: Vec<(usize, bool, Vec<u8>)>,
    is_worthless: bool,
}

impl Naive {
    fn add(&mut self, at: usize, more: bool, body: &[u8]) -> Came {
        if self.is_worthless {
            return Came::TooLate;
        }
        if self.came.contains(&(at, more, body.to_vec())) {
            return Came::Lost(Loss::Duplicate);
        }
        self.came.push((at, more, body.to_vec()));
        let mut bytes = BTreeMap::new();
        let mut ends = Vec::new();
        for (at, more, body) in &self.came {
            for (n, byte) in body.iter().enumerate() {
                self.is_worthless |= bytes.insert(at + n, *byte).is_some();
            }
            ends.extend((!more).then_some(at + body.len()));
        }
        let last = bytes.keys().next_back().map_or(0, |last| last + 1);
        self.is_worthless |= ends.len() > 1 || ends.iter().any(|&end| last > end);
        if self.is_worthless {
            return Came::Lost(Loss::Overlap);
        }
        match ends.first() {
            Some(&end) if bytes.len() == end => Came::Whole(bytes.into_values().collect()),
            _ => Came::Waits,
        }
    }
}

proptest! {
    #[test]
    fn any_fragments_in_any_order_are_what_the_naive_table_says(
        steps in prop::collection::vec(
            (0u16..3, 0usize..6, 1usize..4, any::<bool>(), 0u8..2, 0u64..30),
            1..120,
        )
    ) {
        let mut real = table(16_384);
        let mut naive: HashMap<u16, Naive> = HashMap::new();
        let mut now = 0;
        for (id, at, len, more, fill, pause) in steps {
            now += pause;
            // All of a packet is no fragment in IPv4.
            let more = more || at == 0;
            naive.retain(|_, packet| packet.since + 100 > now);
            let body = vec![fill; len * 8];
            let expected = naive
                .entry(id)
                .or_insert_with(|| Naive { since: now, ..Naive::default() })
                .add(at * 8, more, &body);
            if matches!(expected, Came::Whole(_)) {
                naive.remove(&id);
            }
            let came = add(&mut real, &fragment(7, id, at * 8, more, &body), now);
            prop_assert_eq!(came, expected);
            let waiting = naive.values().filter(|packet| !packet.is_worthless);
            let waiting: usize = waiting.map(|packet| packet.came.len()).sum();
            prop_assert_eq!(real.held(), waiting);
        }
    }

    #[test]
    fn a_table_of_any_use_stays_in_its_bounds_and_is_empty_in_the_end(
        steps in prop::collection::vec((0u32..9, 0u16..200, 0usize..80, any::<bool>(), 0u64..3), 1..900)
    ) {
        let mut table = table(272);
        let mut now = 0;
        for (src, id, at, more, pause) in steps {
            now += pause;
            add(&mut table, &fragment(src, id, at * 8, more || at == 0, &[0; 8]), now);
            prop_assert!(table.held() <= 272);
            prop_assert!(table.used <= 272 && table.used >= table.held());
            prop_assert!(table.shares.iter().all(|&share| share <= 68));
            prop_assert_eq!(table.shares.iter().map(|&n| usize::from(n)).sum::<usize>(), table.used);
        }
        while let Some(place) = table.first() {
            table.remove(place, drop);
        }
        prop_assert!(table.is_empty() && table.held() == 0);
        prop_assert!(table.buckets.iter().all(|&bucket| bucket == NONE));
        prop_assert!(table.shares.iter().all(|&share| share == 0));
    }

    #[test]
    fn any_bytes_are_a_piece_inside_them_or_none(mut bytes in prop::collection::vec(any::<u8>(), 0..120), six: bool) {
        if let Some(first) = bytes.first_mut() {
            *first = if six { 0x60 } else { 0x40 | *first & 15 };
        }
        if let Ok(piece) = Piece::of(&bytes, bytes.len(), VrfId::DEFAULT) {
            prop_assert_eq!(piece.body_at + piece.len, bytes.len());
            prop_assert_eq!(protocol(&bytes), Some(piece.key.protocol));
        }
    }
}

#[test]
fn a_source_has_its_quarter_and_loses_its_oldest() {
    let mut table = table(272);
    add(&mut table, &fragment(1, 1, 0, true, &[0; 8]), 0);
    for id in 0..200 {
        add(&mut table, &fragment(2, id, 0, true, &[0; 8]), 0);
    }
    // A packet and a fragment each.
    assert_eq!(table.held(), 1 + 34);
    let last = fragment(1, 1, 8, false, &[1; 8]);
    assert!(matches!(add(&mut table, &last, 0), Came::Whole(_)));
    assert_eq!(
        add(&mut table, &fragment(2, 160, 8, false, &[1; 8]), 0),
        Came::Waits,
        "its first fragment had to go"
    );
    let young = fragment(2, 199, 8, false, &[1; 8]);
    assert!(matches!(add(&mut table, &young, 0), Came::Whole(_)));
}

#[test]
fn a_full_table_loses_what_is_oldest() {
    let mut table = table(272);
    for src in 0..400 {
        add(&mut table, &fragment(src, 1, 0, true, &[0; 8]), 0);
    }
    assert_eq!(table.held(), 272 / 2);
}

#[test]
fn a_packet_of_as_many_fragments_as_may_be_is_whole_and_one_of_more_is_not() {
    for (count, expected) in [(64, None), (65, Some(Loss::TooLong))] {
        let mut table = table(272);
        let mut lost = None;
        for n in (0..count).rev() {
            match add(
                &mut table,
                &fragment(1, 1, n * 8, n + 1 < count, &[n as u8; 8]),
                0,
            ) {
                Came::Lost(loss) => lost = Some(loss),
                Came::Whole(body) => assert_eq!(body.len(), 64 * 8),
                came => assert_eq!(came, Came::Waits),
            }
        }
        assert_eq!(lost, expected);
        assert_eq!(table.held(), 0);
    }
}

#[test]
fn what_was_decided_holds_for_all_fragments_and_is_forgotten_behind_the_last() {
    let mut table = table(272);
    let (first, last) = (
        fragment(1, 1, 0, true, &[0; 8]),
        fragment(1, 1, 16, false, &[0; 8]),
    );
    add(&mut table, &last, 0);
    let place = table.find(&piece(&first).key).unwrap();
    let mut given = Vec::new();
    table.decide(place, 'k', |packet| given.push(packet));
    assert_eq!(given, [last]);
    table.pass(place, &piece(&first));
    assert_eq!(table.decision(place), Some('k'));
    table.pass(place, &piece(&fragment(1, 1, 8, true, &[0; 8])));
    assert!(table.is_empty());
}

#[test]
fn congestion_that_a_fragment_met_is_marked_or_loses_the_packet() {
    let with_ecn = |ecn: u8, at: usize| {
        let mut packet = fragment(1, 1, at, at == 0, &[0; 8]);
        packet[1] = 0xb8 | ecn;
        packet
    };
    for (a, b, expected) in [
        (0, 0, Some(0)),
        (2, 3, Some(3)),
        (3, 1, Some(3)),
        (2, 1, Some(2)),
        (0, 3, None),
        (3, 0, None),
    ] {
        let mut table = table(272);
        let (first, second) = (with_ecn(a, 0), with_ecn(b, 8));
        add(&mut table, &first, 0);
        let key = piece(&second).key;
        let place = table.find(&key).unwrap();
        let came = table.add(place, &piece(&second), second, |a, b| a == b);
        let found = came.map(|whole| {
            let whole = whole.expect("both are there");
            let mut packet = first[..whole.head_len()].to_vec();
            packet.resize(whole.len(), 0);
            whole.finish(&mut packet);
            packet[1]
        });
        assert_eq!(found.ok(), expected.map(|ecn| 0xb8 | ecn), "{a} and {b}");
    }
}

#[test]
fn headers_of_a_whole_packet_are_those_of_its_first_fragment() {
    // IPv4 with an option that only the first fragment has.
    let mut first = fragment(1, 9, 0, true, b"\x45\0\0\0\0\0\0\0");
    first.splice(20..20, [7, 4, 5, 0]);
    first[0] = 0x46;
    let start = piece(&first);
    assert_eq!((start.body_at, start.is_first()), (24, true));
    let mut table = table(272);
    let place = table.start(start.key, 0).unwrap();
    table
        .add(place, &start, first.clone(), |_, _| false)
        .unwrap();
    let second = fragment(1, 9, 8, false, b"end");
    let end = piece(&second);
    let whole = table
        .add(place, &end, second, |_, _| false)
        .unwrap()
        .unwrap();
    let mut packet = first[..whole.head_len()].to_vec();
    packet.extend(&first[24..]);
    packet.extend(b"end");
    whole.finish(&mut packet);
    let header = Ip4::new(&packet).unwrap();
    assert_eq!((header.fragment_word(), header.total_len_bytes()), (0, 35));
    assert!(ironlane_packet::checksum::is_valid(&packet[..24]));
    assert_eq!(protocol(&packet), None);

    // IPv6 with destination options before the fragment header.
    let fields = Ip6Fields {
        next_header: 60,
        ..Ip6Fields::default()
    };
    let body = [
        &[44u8, 0, 1, 4, 0, 0, 0, 0][..],
        &[50, 0, 0, 0, 0, 0, 0, 7],
        b"ESP bytes",
    ]
    .concat();
    let whole6 = [&fields.to_bytes(body.len() as u16)[..], &body].concat();
    let atomic = piece(&whole6);
    assert!(atomic.is_whole());
    assert_eq!((atomic.key.id, atomic.key.protocol, atomic.len), (7, 50, 9));
    let whole = atomic.whole();
    let mut packet = [&whole6[..whole.head_len()], &whole6[atomic.body_at..]].concat();
    whole.finish(&mut packet);
    let header = Ip6::new(&packet).unwrap();
    assert_eq!((header.next_header(), header.payload_len_bytes()), (60, 17));
    assert_eq!((packet[40], &packet[48..]), (50, &b"ESP bytes"[..]));
}

#[test]
fn fragments_that_cannot_be_are_refused() {
    let refused = |packet: &[u8]| {
        let piece = Piece::of(packet, packet.len(), VrfId::DEFAULT);
        assert_eq!(piece, Err(Loss::Malformed), "{packet:x?}");
    };
    refused(&fragment(1, 1, 0, true, &[]));
    refused(&fragment(1, 1, 8, false, &[]));
    refused(&fragment(1, 1, 0, true, &[0; 7]));
    refused(&fragment(1, 1, 65528, false, &[0; 8]));
    refused(&fragment(1, 1, 65512, true, &[0; 8]));
    refused(&fragment(1, 1, 0, false, &[0; 8]));
    let last = fragment(1, 1, 65504, false, &[0; 11]);
    assert_eq!(piece(&last).at, 65504);
}
