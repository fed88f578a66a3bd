//! Sixteen packets at a time: the fields of their mbufs and headers are turned from rows into columns,
//! and each rule is a compare of a column. What is plain is listed without a gap.
#![allow(unsafe_code)] // loads by pointer, from mbufs and frames

use std::arch::x86_64::*;

use dpdk_sys as c;
use ironlane_packet::eth::Mac;

use super::Found;
use super::rows::{FRAME_AT, MBUF_AT, filled_up, own_or_blank};
use crate::burst::{Arrived, PlainList};
use crate::eal::{BURST_MAX, HEAD_BYTES, Heads, Mbuf, TAG_STRIPPED};

mod ip6;

/// Packets of a group.
const LANES: usize = 16;

const _: () = assert!(BURST_MAX.is_multiple_of(LANES));

/// Finds what is plain, and lists it. What the lists hold behind that is anything.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
pub(in crate::stage) fn find(
    heads: &Heads<'_>,
    ip4: &mut PlainList<u32>,
    ip6: &mut PlainList<u128>,
    own: Mac,
) -> Found {
    let zero = _mm512_setzero_si512();
    let mut sorter = Sorter {
        own,
        ip4,
        ip6,
        found: Found::default(),
        bytes: zero,
        stripped: zero,
    };
    let (packets, frames) = (Mbuf::as_raw(heads.packets()), heads.as_raw());
    for first in (0..packets.len().min(BURST_MAX)).step_by(LANES) {
        let (packets, frames) = (&packets[first..], &frames[first..]);
        match (packets.first_chunk(), frames.first_chunk()) {
            // SAFETY: packets that are borrowed, and their frames.
            (Some(packets), Some(frames)) => unsafe {
                sorter.sort(first, packets, frames, u16::MAX);
            },
            // SAFETY: as above, of fewer.
            _ => unsafe {
                let (all, at) = (filled_up(packets), filled_up(frames));
                sorter.sort(first, &all, &at, (1 << packets.len()) - 1);
            },
        }
    }
    Found {
        arrived: Arrived {
            bytes: _mm512_reduce_add_epi32(sorter.bytes) as u64,
            stripped: _mm512_test_epi32_mask(sorter.stripped, sorter.stripped) != 0,
        },
        ..sorter.found
    }
}

/// The lists, and what has been found so far.
struct Sorter<'s> {
    own: Mac,
    ip4: &'s mut PlainList<u32>,
    ip6: &'s mut PlainList<u128>,
    found: Found,
    /// Bytes of the packets, to be summed.
    bytes: __m512i,
    /// Not zero where a tag was taken off.
    stripped: __m512i,
}

/// What becomes of the packets of a group, beside their addresses.
struct Notes {
    place: __m512i,
    len: __m512i,
    word: __m512i,
}

impl Sorter<'_> {
    /// Lists what is plain of a group, whose first packet is at the place `first`. `lanes` are the packets that
    /// there are.
    ///
    /// # Safety
    /// The pointers are of live packets that nobody writes, and of their frames: HEAD_BYTES each, which may be
    /// others where the packet has less.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
    unsafe fn sort(
        &mut self,
        first: usize,
        packets: &[*const c::rte_mbuf; LANES],
        frames: &[*mut u8; LANES],
        lanes: u16,
    ) {
        let [o0, o1, o2, o3, o4, o5] = self.own.0;
        let start = u16::from_le_bytes([o0, o1]);
        let zero = _mm512_setzero_si512();
        let (mut mbuf_rows, mut frame_rows) = ([zero; 8], [zero; 8]);
        for row in 0..8 {
            let pair = [packets[row], packets[row + 8]];
            let heads = [frames[row], frames[row + 8]];
            // SAFETY: live mbufs, by our contract, are 128 bytes long, and a frame has HEAD_BYTES.
            unsafe {
                mbuf_rows[row] = load(pair.map(|mbuf| mbuf.cast::<u8>().add(MBUF_AT)));
                let heads = heads.map(|head| own_or_blank(head, start));
                frame_rows[row] = load(heads.map(|head| head.add(FRAME_AT)));
            }
        }
        let [_, segments, flags, _, _, bytes, lengths, _] = columns(mbuf_rows);
        let [to, from, kind, tos_len, id, ttl_sum, src, dst] = columns(frame_rows);
        let (low_half, high_half) = (all(0xffff), all(0xffff_0000));
        let is = |column, value| _mm512_cmpeq_epi32_mask(column, all(value));
        let and = |a, b| _mm512_and_si512(a, b);
        let xor = |a, b| _mm512_xor_si512(a, b);
        let or = |a, b| _mm512_or_si512(a, b);
        let stripped = and(flags, all(TAG_STRIPPED as u32));
        self.bytes = _mm512_mask_add_epi32(self.bytes, lanes, self.bytes, bytes);
        self.stripped = or(self.stripped, stripped);

        // The frame. All of `odd` is zero for a plain one. Of a frame that is too short the length is, too.
        let odd = or(
            or(xor(to, all(u32::from_le_bytes([o2, o3, o4, o5]))), stripped),
            or(and(from, all(1)), and(xor(segments, all(1)), low_half)),
        );
        let is_own = is(from, u32::from_le_bytes([o0, o1, o2, o3]))
            & is(and(kind, low_half), u32::from(u16::from_le_bytes([o4, o5])));
        let framed = lanes & _mm512_testn_epi32_mask(odd, odd) & !is_own;
        let odd4 = or(
            and(xor(kind, all(0x0008_0000)), high_half),
            and(xor(tos_len, all(0x45)), all(0xff)),
        );
        let odd6 = or(
            and(xor(kind, all(0xdd86_0000)), high_half),
            and(xor(tos_len, all(0x60)), all(0xf0)),
        );
        let ip6 = framed & _mm512_testn_epi32_mask(odd6, odd6);
        let ip4 = framed & _mm512_testn_epi32_mask(odd4, odd4);

        let numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let place = _mm512_add_epi32(numbers, all(first as u32));
        let lengths = and(lengths, low_half);
        if ip4 != 0 {
            let mbufs = [flags, lengths, place];
            self.sort4(first, mbufs, [tos_len, id, ttl_sum, src, dst], ip4);
        }
        if ip6 != 0 {
            // SAFETY: frames of live packets, by our contract.
            unsafe { self.sort6(first, frames, [lengths, place, id], ip6) };
        }
    }

    /// Lists what is plain IPv4 of frames that may be, by the mask `fit`. `header` are the columns of its words.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
    fn sort4(
        &mut self,
        first: usize,
        [flags, lengths, place]: [__m512i; 3],
        header: [__m512i; 5],
        fit: u16,
    ) {
        let [tos_len, id, ttl_sum, src, dst] = header;
        let (low_half, high_half) = (all(0xffff), all(0xffff_0000));
        let is = |column, value| _mm512_cmpeq_epi32_mask(column, all(value));
        let and = |a, b| _mm512_and_si512(a, b);

        // The length: not below a header, not beyond the frame.
        let turned = reversed(tos_len);
        let len = and(turned, low_half);
        let room = _mm512_sub_epi32(lengths, all(HEAD_BYTES as u32));
        let payload = _mm512_sub_epi32(len, all(20));
        let fits = _mm512_cmple_epu32_mask(payload, room);
        let cut = _mm512_cmplt_epu32_mask(payload, room);
        let lasts = _mm512_test_epi32_mask(ttl_sum, all(0xfe));

        // Addresses.
        let (src_host, dst_host) = (reversed(src), reversed(dst));
        let ordinary = |host| {
            let net = and(host, all(0xff00_0000));
            _mm512_cmplt_epu32_mask(_mm512_sub_epi32(host, all(1 << 24)), all(223 << 24))
                & _mm512_cmpneq_epi32_mask(net, all(127 << 24))
                & _mm512_cmpneq_epi32_mask(and(host, high_half), all(0xa9fe << 16))
        };

        // The sum of the header's ten words is 0xffff, folded once: it is below ten times that.
        let low = |column| and(column, low_half);
        let high = |column| _mm512_srli_epi32::<16>(column);
        let add = |a, b| _mm512_add_epi32(a, b);
        let lows = add(
            add(low(tos_len), low(id)),
            add(low(ttl_sum), add(low(src), low(dst))),
        );
        let highs = add(
            add(high(tos_len), high(id)),
            add(high(ttl_sum), add(high(src), high(dst))),
        );
        let sum = add(lows, highs);
        let right = is(add(low(sum), high(sum)), 0xffff);
        let said = and(flags, all(c::IL_MBUF_RX_IP_CKSUM_MASK as u32));
        let good = is(said, c::IL_MBUF_RX_IP_CKSUM_GOOD as u32);
        let bad = is(said, c::IL_MBUF_RX_IP_CKSUM_BAD as u32);
        let ip4 =
            fit & fits & lasts & ordinary(src_host) & ordinary(dst_host) & (good | right & !bad);

        // One hop less (RFC 1624, eqn. 3): the sum grows by one, over its end-around carry at 0xfffe.
        let word = add(ttl_sum, all(0xffff));
        let carry = _mm512_cmpge_epu32_mask(ttl_sum, all(0xfffe_0000));
        let word = _mm512_mask_add_epi32(word, carry, word, all(1 << 16));

        let at = next(self.found.ip4);
        note(self.ip4, at, ip4, &Notes { place, len, word });
        let hosts = _mm512_maskz_compress_epi32(ip4, dst_host);
        // SAFETY: room for sixteen, since `at` leaves so much.
        unsafe { _mm512_storeu_si512(self.ip4.addresses.as_mut_ptr().add(at).cast(), hosts) };
        self.found.ip4 |= u64::from(ip4) << first;
        self.found.cut |= u64::from(ip4 & cut) << first;
    }
}

/// Where a list goes on in which the packets of a word are; so that there is room for a group.
#[inline]
#[target_feature(enable = "popcnt")]
fn next(listed: u64) -> usize {
    (listed.count_ones() as usize).min(BURST_MAX - LANES)
}

/// Puts down behind `at` what is known of the packets of a mask, in order; `at` leaves room for sixteen.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn note<K>(list: &mut PlainList<K>, at: usize, mask: u16, notes: &Notes) {
    assert!(at <= BURST_MAX - LANES);
    let pick = |column| _mm512_maskz_compress_epi32(mask, column);
    let (place, len) = (pick(notes.place), pick(notes.len));
    // SAFETY: there are so many of each, by the line above.
    unsafe {
        let to = list.places.as_mut_ptr().add(at).cast();
        _mm_storeu_si128(to, _mm512_cvtepi32_epi8(place));
        let to = list.lens.as_mut_ptr().add(at).cast();
        _mm256_storeu_si256(to, _mm512_cvtepi32_epi16(len));
        let to = list.words.as_mut_ptr().add(at).cast();
        _mm512_storeu_si512(to, pick(notes.word));
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn all(value: u32) -> __m512i {
    _mm512_set1_epi32(value as i32)
}

/// The bytes of each dword turned round.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn reversed(column: __m512i) -> __m512i {
    let order = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    _mm512_shuffle_epi8(column, _mm512_broadcast_i32x4(order))
}

/// Two rows of 32 bytes.
///
/// # Safety
/// Both may be read.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load([a, b]: [*const u8; 2]) -> __m512i {
    // SAFETY: by our contract.
    let (a, b) = unsafe { (_mm256_loadu_si256(a.cast()), _mm256_loadu_si256(b.cast())) };
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b)
}

/// Columns of sixteen rows of eight dwords; row `n` is the lower half of `rows[n]`, row `n + 8` the
/// upper one.
#[inline]
#[target_feature(enable = "avx512f")]
fn columns(rows: [__m512i; 8]) -> [__m512i; 8] {
    // Quarters of four rows: columns n, n + 4 and, of the rows eight on, again n, n + 4.
    let quarters = |[a, b, c, d]: [__m512i; 4]| {
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        [
            _mm512_unpacklo_epi64(ab, cd),
            _mm512_unpackhi_epi64(ab, cd),
            _mm512_unpacklo_epi64(ab_high, cd_high),
            _mm512_unpackhi_epi64(ab_high, cd_high),
        ]
    };
    let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
    let (upper, lower) = (quarters([r0, r1, r2, r3]), quarters([r4, r5, r6, r7]));
    let even = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
    let odd = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    let pick = |n: usize, order| _mm512_permutex2var_epi64(upper[n], order, lower[n]);
    [
        pick(0, even),
        pick(1, even),
        pick(2, even),
        pick(3, even),
        pick(0, odd),
        pick(1, odd),
        pick(2, odd),
        pick(3, odd),
    ]
}
