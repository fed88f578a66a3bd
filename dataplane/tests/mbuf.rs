//! Packets in one segment and in chains: grow, cut, join, copy. No buffer is lost by any of it.

mod rig;

use ironlane_dataplane::eal::{BURST_MAX, Mbuf, MbufBatch, Mempool, RxChecksum};
use rig::{bytes, eal};

/// A packet of segments with these lengths, its bytes counting up from 0.
fn packet(pool: &Mempool, lens: &[usize]) -> Mbuf {
    let mut next = 0u8;
    let mut segments = lens.iter().map(|&len| {
        let mut batch = MbufBatch::new();
        assert!(pool.alloc(&mut batch, 1));
        let mut mbuf = batch.pop().unwrap();
        for byte in mbuf.append(len).unwrap() {
            *byte = next;
            next = next.wrapping_add(1);
        }
        mbuf
    });
    let mut whole = segments.next().unwrap();
    segments.for_each(|segment| whole.chain(segment));
    whole
}

fn counting(len: usize) -> Vec<u8> {
    (0..len).map(|i| i as u8).collect()
}

#[test]
fn chains_are_cut_joined_and_copied_byte_by_byte() {
    let pool = Mempool::create(eal(), "chains", 63, 256, -1).unwrap();
    let shapes: &[&[usize]] = &[&[100], &[60, 40], &[1, 1, 98], &[14, 0, 50, 36], &[100, 0]];
    for shape in shapes {
        for cut in 0..=101 {
            let mut mbuf = packet(&pool, shape);
            assert_eq!(mbuf.nb_segs() as usize, shape.len());
            mbuf.truncate(cut);
            assert_eq!(
                bytes(&mbuf),
                counting(cut.min(100)),
                "{shape:?} cut to {cut}"
            );
            assert_eq!(mbuf.segments().count(), mbuf.nb_segs() as usize);
            assert_eq!(
                mbuf.segments().map(<[u8]>::len).sum::<usize>(),
                mbuf.pkt_len()
            );
            mbuf.free();

            let mut mbuf = packet(&pool, shape);
            assert_eq!(mbuf.pullup(cut), cut <= 100, "{shape:?} first {cut}");
            assert_eq!(bytes(&mbuf), counting(100));
            assert!(mbuf.data_len() >= if cut <= 100 { cut } else { 0 });
            assert_eq!(mbuf.segments().count(), mbuf.nb_segs() as usize);
            let mut copy = [0xee; 30];
            let there = mbuf.copy_to(cut, &mut copy);
            assert_eq!(there, 30.min(100usize.saturating_sub(cut)));
            assert_eq!(copy[..there], counting(100)[cut.min(100)..][..there]);
            mbuf.free();
        }
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_first_segment_that_is_full_to_its_end_is_joined_at_its_front() {
    let pool = Mempool::create(eal(), "full", 15, 256, -1).unwrap();
    // 128 bytes of headroom and 256 of data.
    for (lens, n) in [([256, 200], 384), ([256, 200], 257), ([100, 256], 356)] {
        let mut mbuf = packet(&pool, &lens);
        let len = lens[0] + lens[1];
        assert_eq!((mbuf.headroom(), mbuf.pullup_max()), (128, len.min(384)));
        assert!(mbuf.pullup(n), "{lens:?} first {n}");
        assert_eq!(mbuf.data(), &counting(n)[..]);
        assert!(!mbuf.pullup(385), "no buffer is so long");
        assert_eq!(bytes(&mbuf), counting(len));
        mbuf.free();
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn the_front_grows_into_the_headroom_and_shrinks_again() {
    let pool = Mempool::create(eal(), "front", 15, 256, -1).unwrap();
    let mut mbuf = packet(&pool, &[50, 50]);
    let headroom = mbuf.headroom();
    mbuf.prepend(4).unwrap().copy_from_slice(&[9; 4]);
    assert_eq!((mbuf.pkt_len(), mbuf.headroom()), (104, headroom - 4));
    assert!(mbuf.adj(4) && !mbuf.adj(51));
    assert_eq!(bytes(&mbuf), counting(100));
    assert!(mbuf.prepend(headroom + 1).is_none());
    assert!(
        mbuf.append(1).is_none(),
        "only the end of a single segment grows"
    );
    assert!(mbuf.trim(60) && !mbuf.trim(41));
    assert_eq!((bytes(&mbuf), mbuf.nb_segs()), (counting(40), 1));
    mbuf.free();
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn pullup_without_room_changes_nothing() {
    let pool = Mempool::create(eal(), "noroom", 15, 256, -1).unwrap();
    let mut mbuf = packet(&pool, &[250, 250]);
    let room = mbuf.headroom() + mbuf.tailroom();
    assert!(room < 250 && !mbuf.pullup(250 + room + 1));
    assert_eq!((bytes(&mbuf), mbuf.data_len()), (counting(500), 250));
    mbuf.free();
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn marks_do_not_disturb_each_other() {
    let pool = Mempool::create(eal(), "marks", 15, 256, -1).unwrap();
    let mut mbuf = packet(&pool, &[60]);
    assert_eq!(
        (mbuf.rss_hash(), mbuf.ip_checksum()),
        (None, RxChecksum::Unknown)
    );
    mbuf.set_rss_hash(0x1234_5678);
    mbuf.set_user(77);
    mbuf.set_port(5);
    for checksum in [RxChecksum::Good, RxChecksum::Bad, RxChecksum::Unknown] {
        mbuf.set_ip_checksum(checksum);
        assert_eq!(mbuf.ip_checksum(), checksum);
    }
    assert_eq!(
        (mbuf.rss_hash(), mbuf.user(), mbuf.port()),
        (Some(0x1234_5678), 77, 5)
    );
    mbuf.free();
    let fresh = packet(&pool, &[60]);
    assert_eq!(fresh.rss_hash(), None, "a new packet has no old marks");
    fresh.free();
}

#[test]
fn a_pool_gives_all_or_nothing_and_takes_all_back() {
    let pool = Mempool::create(eal(), "all", 40, 256, -1).unwrap();
    let mut batch = MbufBatch::new();
    assert!(!pool.alloc(&mut batch, BURST_MAX) && batch.is_empty());
    assert!(pool.alloc(&mut batch, 40));
    assert_eq!((pool.available(), pool.in_use(), batch.len()), (0, 40, 40));
    assert!(!pool.alloc(&mut batch, 1));
    batch.free();
    assert_eq!((pool.available(), pool.in_use(), pool.size()), (40, 0, 40));
}

#[test]
fn packets_are_taken_out_of_a_batch_and_the_others_close_up() {
    let pool = Mempool::create(eal(), "out", 255, 256, -1).unwrap();
    for (len, places) in [
        (0, 0),
        (1, 0),
        (1, 1),
        (BURST_MAX, 1 << 63 | 1),
        (BURST_MAX, 0xf0f0_0000_dead_beef),
        (BURST_MAX, u64::MAX),
        (10, 0b10_0110_0000),
        (10, u64::MAX << 10), // there are none
    ] {
        let mut batch = MbufBatch::new();
        for n in 0..len {
            batch.push(packet(&pool, &[1 + n])).unwrap();
        }
        let is_out = |place: &usize| places >> place & 1 != 0;
        let mut out = Vec::new();
        batch.take_out(places, |place, mbuf| {
            assert_eq!(mbuf.pkt_len(), 1 + place);
            mbuf.free();
            out.push(place);
        });
        assert!(out.iter().copied().eq((0..len).filter(is_out)));
        let rest = batch.drain().map(|mbuf| {
            let place = mbuf.pkt_len() - 1;
            mbuf.free();
            place
        });
        assert!(rest.eq((0..len).filter(|place| !is_out(place))));
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_batch_takes_another_as_a_whole_or_not_at_all() {
    let pool = Mempool::create(eal(), "append", 255, 256, -1).unwrap();
    for (there, more) in [
        (0, 0),
        (0, 64),
        (64, 0),
        (10, 54),
        (10, 55),
        (64, 1),
        (33, 32),
    ] {
        let (mut batch, mut other) = (MbufBatch::new(), MbufBatch::new());
        for n in 0..there + more {
            let mbuf = packet(&pool, &[1 + n]);
            let to = if n < there { &mut batch } else { &mut other };
            to.push(mbuf).unwrap();
        }
        let fits = there + more <= BURST_MAX;
        assert_eq!(batch.append(&mut other), fits);
        assert_eq!(batch.len(), if fits { there + more } else { there });
        assert_eq!(other.len(), if fits { 0 } else { more });
        for (n, mbuf) in batch.drain().chain(other.drain()).enumerate() {
            assert_eq!(mbuf.pkt_len(), 1 + n);
            mbuf.free();
        }
    }
    assert_eq!(pool.in_use(), 0);
}
