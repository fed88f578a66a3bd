//! Eight packets at a time, for CPUs without AVX-512: the fields of their mbufs and headers are turned from
//! rows into columns, and each rule is a compare of a column. What is plain is listed without a gap.
#![allow(unsafe_code)] // loads by pointer, from mbufs and frames

use std::arch::x86_64::*;
use std::hint::select_unpredictable;

use dpdk_sys as c;
use ironlane_packet::eth::Mac;

use super::Found;
use super::rows::{BLANK, FRAME_AT, FRAME6_AT, FRAME6_END, MBUF_AT, filled_up, own_or_blank};
use crate::burst::{Arrived, PlainList};
use crate::eal::{BURST_MAX, HEAD_BYTES, Heads, Mbuf, TAG_STRIPPED};

/// Packets of a group.
const LANES: usize = 8;
const _: () = assert!(BURST_MAX.is_multiple_of(LANES));

/// Of each mask of lanes, its lanes in order, a byte each. What follows them is the first lane.
static ORDERS: [u64; 1 << LANES] = {
    let mut orders = [0; 1 << LANES];
    let mut mask = 0;
    while mask < orders.len() {
        let (mut lane, mut shift) = (0, 0);
        while lane < LANES as u64 {
            if mask >> lane & 1 != 0 {
                orders[mask] |= lane << shift;
                shift += 8;
            }
            lane += 1;
        }
        mask += 1;
    }
    orders
};

/// Finds what is plain, and lists it. What the lists hold behind that is anything.
#[target_feature(enable = "avx2,popcnt")]
pub(in crate::stage) fn find(
    heads: &Heads<'_>,
    ip4: &mut PlainList<u32>,
    ip6: &mut PlainList<u128>,
    own: Mac,
) -> Found {
    let zero = _mm256_setzero_si256();
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
                sorter.sort(first, packets, frames, LANES);
            },
            // SAFETY: as above, of fewer.
            _ => unsafe {
                let (all, at) = (filled_up(packets), filled_up(frames));
                sorter.sort(first, &all, &at, packets.len());
            },
        }
    }
    let mut bytes = [0_u32; LANES];
    // SAFETY: as many bytes.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), sorter.bytes) };
    Found {
        arrived: Arrived {
            bytes: bytes.iter().map(|&bytes| u64::from(bytes)).sum(),
            stripped: _mm256_testz_si256(sorter.stripped, sorter.stripped) == 0,
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
    bytes: __m256i,
    /// Not zero where a tag was taken off.
    stripped: __m256i,
}

impl Sorter<'_> {
    /// Lists what is plain of a group, whose first packet is at the place `first`. Only the first `count` packets
    /// count.
    ///
    /// # Safety
    /// The pointers are of live packets that nobody writes, and of their frames: HEAD_BYTES each, which may be
    /// others where the packet has less.
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn sort(
        &mut self,
        first: usize,
        packets: &[*const c::rte_mbuf; LANES],
        frames: &[*mut u8; LANES],
        count: usize,
    ) {
        let [o0, o1, o2, o3, o4, o5] = self.own.0;
        let start = u16::from_le_bytes([o0, o1]);
        // SAFETY: live mbufs, by our contract, are 128 bytes long, and a frame has HEAD_BYTES.
        let (mbufs, headers) = unsafe {
            let heads = frames.map(|head| own_or_blank(head, start).add(FRAME_AT));
            let mbufs = packets.map(|mbuf| mbuf.cast::<u8>().add(MBUF_AT));
            (
                [columns(rows(mbufs, 0)), columns(rows(mbufs, 16))],
                [columns(rows(heads, 0)), columns(rows(heads, 16))],
            )
        };
        let [[_, segments, flags, _], [_, bytes, lengths, _]] = mbufs;
        let [[to, from, kind, tos_len], [id, ttl_sum, src, dst]] = headers;
        let low_half = all(0xffff);
        let and = |a, b| _mm256_and_si256(a, b);
        let or = |a, b| _mm256_or_si256(a, b);
        let xor = |a, b| _mm256_xor_si256(a, b);
        let add = |a, b| _mm256_add_epi32(a, b);
        let high = |column| _mm256_srli_epi32::<16>(column);
        let numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let lanes = _mm256_cmpgt_epi32(all(count as u32), numbers);
        let stripped = and(flags, all(TAG_STRIPPED as u32));
        self.bytes = add(self.bytes, and(lanes, bytes));
        self.stripped = or(self.stripped, stripped);

        // The frame. All of `odd` is zero for a plain one. Of a frame that is too short the length is, too.
        let odd = or(
            or(xor(to, all(u32::from_le_bytes([o2, o3, o4, o5]))), stripped),
            or(and(from, all(1)), and(xor(segments, all(1)), low_half)),
        );
        let is_own = and(
            is(from, u32::from_le_bytes([o0, o1, o2, o3])),
            is(and(kind, low_half), u32::from(u16::from_le_bytes([o4, o5]))),
        );
        let framed = _mm256_andnot_si256(is_own, lanes);
        let ip = xor(high(kind), all(0x0008));
        let odd4 = or(ip, and(xor(tos_len, all(0x45)), all(0xff)));
        let ip = xor(high(kind), all(0xdd86));
        let odd6 = or(ip, and(xor(tos_len, all(0x60)), all(0xf0)));
        let ip6 = and(framed, is(or(odd, odd6), 0));
        let framed = and(framed, is(or(odd, odd4), 0));

        // The length: not below a header, not beyond the frame.
        let len = and(reversed(tos_len), low_half);
        let room = _mm256_sub_epi32(and(lengths, low_half), all(HEAD_BYTES as u32));
        let payload = _mm256_sub_epi32(len, all(20));
        let is_whole = _mm256_cmpeq_epi32(payload, room);
        let plain = and(framed, at_most(payload, room));
        let ends = is(and(ttl_sum, all(0xfe)), 0);

        // Addresses.
        let (src_host, dst_host) = (reversed(src), reversed(dst));
        let special = |host| {
            or(
                is(and(host, all(0xff00_0000)), 127 << 24),
                is(high(host), 0xa9fe),
            )
        };
        let unicast = |host| at_most(_mm256_sub_epi32(host, all(1 << 24)), all((223 << 24) - 1));
        let plain = and(plain, and(unicast(src_host), unicast(dst_host)));
        let not = or(ends, or(special(src_host), special(dst_host)));

        // The sum of the header's ten words is 0xffff, folded once: it is below ten times that.
        let low = |column| and(column, low_half);
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
        let sums = or(good, _mm256_andnot_si256(bad, right));
        let plain = and(_mm256_andnot_si256(not, plain), sums);

        // One hop less (RFC 1624, eqn. 3): the sum grows by one, over its end-around carry at 0xfffe.
        let carry = at_most(all(0xfffe_0000), ttl_sum);
        let word = add(add(ttl_sum, low_half), and(carry, all(1 << 16)));

        let mask = bits(plain);
        let at = next(self.found.ip4);
        let order = note(self.ip4, at, mask, first, len, word);
        let hosts = _mm256_permutevar8x32_epi32(dst_host, order);
        // SAFETY: room for eight, since `at` leaves so much.
        unsafe { _mm256_storeu_si256(self.ip4.addresses.as_mut_ptr().add(at).cast(), hosts) };
        self.found.ip4 |= u64::from(mask) << first;
        self.found.cut |= u64::from(mask & !bits(is_whole)) << first;
        let ip6 = bits(ip6);
        if ip6 != 0 {
            // SAFETY: frames of live packets, by our contract.
            unsafe { self.sort6(first, frames, lengths, id, ip6) };
        }
    }

    /// The same of frames that may be plain IPv6, by the mask `fit`. `id` is the column of payload length, next
    /// header and hop limit.
    ///
    /// # Safety
    /// Those frames of `fit` that are at least FRAME6_END long by the column of lengths are so.
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn sort6(
        &mut self,
        first: usize,
        frames: &[*mut u8; LANES],
        lengths: __m256i,
        id: __m256i,
        fit: u8,
    ) {
        let and = |a, b| _mm256_and_si256(a, b);
        let or = |a, b| _mm256_or_si256(a, b);
        let lengths = and(lengths, all(0xffff));
        let fit = fit & bits(at_most(all(FRAME6_END as u32), lengths));
        let mut heads = [BLANK.as_ptr(); LANES];
        for (lane, head) in heads.iter_mut().enumerate() {
            let frame = frames[lane].cast_const();
            *head = select_unpredictable(fit >> lane & 1 != 0, frame, *head);
        }
        // SAFETY: all of them have FRAME6_END bytes, by our contract.
        let (src_rows, dst_rows) = unsafe { (rows(heads, FRAME6_AT), rows(heads, FRAME6_AT + 16)) };
        let ([src, src_low, ..], [dst, dst_low, ..]) = (columns(src_rows), columns(dst_rows));
        let special = |high, low| or(is(or(high, low), 0), is(and(high, all(0xfe)), 0xfe));
        let payload = _mm256_srli_epi32::<16>(reversed(id));
        let room = _mm256_sub_epi32(lengths, all(FRAME6_END as u32));
        let is_whole = _mm256_cmpeq_epi32(payload, room);
        let ends = or(
            is(and(id, all(0xfe00_0000)), 0),
            is(and(id, all(0x00ff_0000)), 0),
        );
        let not = or(ends, or(special(src, src_low), special(dst, dst_low)));
        let plain = fit & bits(_mm256_andnot_si256(not, at_most(payload, room)));
        let len = _mm256_add_epi32(payload, all(40));
        let word = _mm256_sub_epi32(id, all(1 << 24));
        let at = next(self.found.ip6);
        note(self.ip6, at, plain, first, len, word);
        let order = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let order = _mm256_broadcastsi128_si256(order);
        let hosts = dst_rows.map(|row| _mm256_shuffle_epi8(row, order));
        let to = self.ip6.addresses.as_mut_ptr().cast::<__m128i>();
        let mut end = at;
        // In order: what is not plain is overwritten by what is next.
        for lane in 0..LANES {
            let host = match lane {
                0..4 => _mm256_castsi256_si128(hosts[lane]),
                _ => _mm256_extracti128_si256::<1>(hosts[lane - 4]),
            };
            // SAFETY: at most `lane` behind `at`, which leaves room for eight.
            unsafe { _mm_storeu_si128(to.add(end), host) };
            end += usize::from(plain >> lane & 1);
        }
        self.found.ip6 |= u64::from(plain) << first;
        self.found.cut |= u64::from(plain & !bits(is_whole)) << first;
    }
}

/// Where a list goes on in which the packets of a word are; so that there is room for a group.
#[inline]
#[target_feature(enable = "popcnt")]
fn next(listed: u64) -> usize {
    (listed.count_ones() as usize).min(BURST_MAX - LANES)
}

/// Puts down behind `at` what is known of the packets of a mask, in order, which it gives; `at` leaves room for
/// eight. The first lane is at the place `first`.
#[inline]
#[target_feature(enable = "avx2")]
fn note<K>(
    list: &mut PlainList<K>,
    at: usize,
    mask: u8,
    first: usize,
    len: __m256i,
    word: __m256i,
) -> __m256i {
    assert!(at <= BURST_MAX - LANES);
    let lanes = ORDERS[usize::from(mask)];
    let order = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(lanes as i64));
    let len = _mm256_permutevar8x32_epi32(len, order);
    // Two quarters each: the first four and the last four.
    let len = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(len, len));
    // SAFETY: there are so many of each, by the first line.
    unsafe {
        let to = list.places.as_mut_ptr().add(at).cast::<[u8; LANES]>();
        to.write((lanes + first as u64 * 0x0101_0101_0101_0101).to_le_bytes());
        let to = list.lens.as_mut_ptr().add(at).cast();
        _mm_storeu_si128(to, _mm256_castsi256_si128(len));
        let to = list.words.as_mut_ptr().add(at).cast();
        _mm256_storeu_si256(to, _mm256_permutevar8x32_epi32(word, order));
    }
    order
}

#[inline]
#[target_feature(enable = "avx2")]
fn all(value: u32) -> __m256i {
    _mm256_set1_epi32(value as i32)
}

/// All ones where the column is `value`.
#[inline]
#[target_feature(enable = "avx2")]
fn is(column: __m256i, value: u32) -> __m256i {
    _mm256_cmpeq_epi32(column, all(value))
}

/// All ones where `a` is at most `b`, without a sign.
#[inline]
#[target_feature(enable = "avx2")]
fn at_most(a: __m256i, b: __m256i) -> __m256i {
    _mm256_cmpeq_epi32(_mm256_min_epu32(a, b), a)
}

/// A bit for each lane that is all ones.
#[inline]
#[target_feature(enable = "avx2")]
fn bits(lanes: __m256i) -> u8 {
    _mm256_movemask_ps(_mm256_castsi256_ps(lanes)) as u8
}

/// The bytes of each dword turned round.
#[inline]
#[target_feature(enable = "avx2")]
fn reversed(column: __m256i) -> __m256i {
    let order = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    _mm256_shuffle_epi8(column, _mm256_broadcastsi128_si256(order))
}

/// Sixteen bytes of each row, from `at` on: row `n` is the lower half of the answer's `n`, row `n + 4` the upper
/// one.
///
/// # Safety
/// They may be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn rows(rows: [*const u8; LANES], at: usize) -> [__m256i; 4] {
    let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
    // SAFETY: by our contract.
    let quarter = |row: *const u8| unsafe { _mm_loadu_si128(row.add(at).cast()) };
    let pair = |low, high| _mm256_set_m128i(quarter(high), quarter(low));
    [pair(r0, r4), pair(r1, r5), pair(r2, r6), pair(r3, r7)]
}

/// Columns of four dwords of eight rows, as [`rows`] gives them.
#[inline]
#[target_feature(enable = "avx2")]
fn columns([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
    let (ab_high, cd_high) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
    [
        _mm256_unpacklo_epi64(ab, cd),
        _mm256_unpackhi_epi64(ab, cd),
        _mm256_unpacklo_epi64(ab_high, cd_high),
        _mm256_unpackhi_epi64(ab_high, cd_high),
    ]
}
