//! Sixteen packets at a time: the fields of their mbufs and headers are turned from rows into columns,
//! and each rule is a compare of a column.
#![allow(unsafe_code)] // loads by pointer, from mbufs and frames

use std::arch::asm;
use std::arch::x86_64::*;
use std::hint::select_unpredictable;
use std::mem::offset_of;

use dpdk_sys as c;
use ironlane_packet::eth::Mac;

use super::Found;
use crate::burst::PlainList;
use crate::eal::{BURST_MAX, Mbuf};

/// Packets of a group.
const LANES: usize = 16;

/// Where a row of the mbuf starts; eight dwords.
const MBUF_AT: usize = 16;
const _: () = {
    assert!(offset_of!(c::rte_mbuf, nb_segs) == MBUF_AT + 4);
    assert!(offset_of!(c::rte_mbuf, ol_flags) == MBUF_AT + 8);
    assert!(offset_of!(c::rte_mbuf, data_len) == MBUF_AT + 24);
    assert!(c::IL_MBUF_RX_IP_CKSUM_MASK <= u32::MAX as u64);
    assert!(BURST_MAX.is_multiple_of(LANES));
};

/// Where a row of the frame starts: so that the words of an IPv4 header are columns.
const FRAME_AT: usize = 2;
/// Bytes of a frame up to the end of its row.
const FRAME_END: usize = 34;

/// The same of the row with the addresses of IPv6.
const FRAME6_AT: usize = 22;
const FRAME6_END: usize = 54;

/// What is looked at of a frame that is too short, or that is for another station.
static BLANK: [u8; FRAME6_END] = [0; FRAME6_END];

/// Finds what is plain, and notes of each packet destination, length and new word at its place in the
/// list of its family. What the lists hold at other places is anything.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(in crate::stage) fn find(
    packets: &[Mbuf],
    own: Mac,
    ip4: &mut PlainList<u32>,
    ip6: &mut PlainList<u128>,
) -> Found {
    let mut found = Found::default();
    let packets = Mbuf::as_raw(packets);
    let lists = rooms(ip4).zip(rooms(ip6));
    for (group, (mut ip4, mut ip6)) in lists.enumerate() {
        let rest = packets.get(group * LANES..).unwrap_or(&[]);
        let here = match (rest.first_chunk(), rest.last()) {
            // SAFETY: pointers of packets that are borrowed.
            (Some(full), _) => unsafe { of_group(full, own, &mut ip4, &mut ip6) },
            (None, Some(&last)) => {
                let mut padded = [last; LANES];
                padded[..rest.len()].copy_from_slice(rest);
                // SAFETY: as above.
                let all = unsafe { of_group(&padded, own, &mut ip4, &mut ip6) };
                all.map(|mask| mask & ((1 << rest.len()) - 1))
            }
            _ => break,
        };
        let [ip4, ip6, cut] = here.map(|mask| u64::from(mask) << (group * LANES));
        found.ip4 |= ip4;
        found.ip6 |= ip6;
        found.cut |= cut;
    }
    found
}

/// Room for what is noted of a group.
struct Room<'s, K> {
    addresses: &'s mut [K; LANES],
    lens: &'s mut [u16; LANES],
    words: &'s mut [u32; LANES],
}

#[inline]
fn rooms<K>(list: &mut PlainList<K>) -> impl Iterator<Item = Room<'_, K>> {
    let (addresses, _) = list.addresses.as_chunks_mut();
    let (lens, _) = list.lens.as_chunks_mut();
    let (words, _) = list.words.as_chunks_mut();
    let lists = addresses.iter_mut().zip(lens).zip(words);
    lists.map(|((addresses, lens), words)| Room {
        addresses,
        lens,
        words,
    })
}

/// The masks of [`Found`] of one group.
///
/// # Safety
/// The pointers are of live packets that nobody writes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn of_group(
    packets: &[*const c::rte_mbuf; LANES],
    own: Mac,
    room4: &mut Room<'_, u32>,
    room6: &mut Room<'_, u128>,
) -> [u16; 3] {
    let [o0, o1, o2, o3, o4, o5] = own.0;
    let start = u16::from_le_bytes([o0, o1]);
    let zero = _mm512_setzero_si512();
    let (mut mbuf_rows, mut frame_rows) = ([zero; 8], [zero; 8]);
    let mut frames = [[BLANK.as_ptr(); 2]; 8];
    for row in 0..8 {
        let pair = [packets[row], packets[row + 8]];
        // SAFETY: live mbufs, by our contract, are 128 bytes long, and a frame has FRAME_END bytes.
        unsafe {
            mbuf_rows[row] = load(pair.map(|mbuf| mbuf.cast::<u8>().add(MBUF_AT)));
            frames[row] = pair.map(|mbuf| frame(mbuf, start));
            frame_rows[row] = load(frames[row].map(|frame| frame.add(FRAME_AT)));
        }
    }
    let [_, segments, flags, _, _, _, lengths, _] = columns(mbuf_rows);
    let [to, from, kind, tos_len, id, ttl_sum, src, dst] = columns(frame_rows);
    let (low_half, high_half) = (all(0xffff), all(0xffff_0000));
    let is = |column, value| _mm512_cmpeq_epi32_mask(column, all(value));
    let and = |a, b| _mm512_and_si512(a, b);
    let xor = |a, b| _mm512_xor_si512(a, b);
    let or = |a, b| _mm512_or_si512(a, b);

    // The frame. All of `odd` is zero for a plain one.
    let odd = or(
        xor(to, all(u32::from_le_bytes([o2, o3, o4, o5]))),
        or(and(from, all(1)), and(xor(segments, all(1)), low_half)),
    );
    let is_own = is(from, u32::from_le_bytes([o0, o1, o2, o3]))
        & is(and(kind, low_half), u32::from(u16::from_le_bytes([o4, o5])));
    let framed = _mm512_testn_epi32_mask(odd, odd) & !is_own;
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

    // The length: not below a header, not beyond the frame.
    let turned = reversed(tos_len);
    let len = and(turned, low_half);
    let room = _mm512_sub_epi32(and(lengths, low_half), all(FRAME_END as u32));
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

    // One hop less (RFC 1624, eqn. 3): the sum grows by one, over its end-around carry at 0xfffe.
    let word = add(ttl_sum, all(0xffff));
    let carry = _mm512_cmpge_epu32_mask(ttl_sum, all(0xfffe_0000));
    let word = _mm512_mask_add_epi32(word, carry, word, all(1 << 16));

    // SAFETY: arrays of sixteen.
    unsafe {
        _mm512_storeu_si512(room4.addresses.as_mut_ptr().cast(), dst_host);
        _mm512_storeu_si512(room4.words.as_mut_ptr().cast(), word);
        _mm256_storeu_si256(room4.lens.as_mut_ptr().cast(), _mm512_cvtepi32_epi16(len));
    }
    let ip4 = ip4 & fits & lasts & ordinary(src_host) & ordinary(dst_host) & (good | right & !bad);
    if ip6 == 0 {
        return [ip4, 0, ip4 & cut];
    }
    // SAFETY: the frames are of `packets`, or blank.
    let [ip6, cut6] = unsafe { of_group6(&frames, lengths, id, ip6, room6) };
    [ip4, ip6, ip4 & cut | cut6]
}

/// Of frames that may be plain IPv6 those that are, and those of them with bytes behind the packet.
/// `id` is the column of payload length, next header and hop limit.
///
/// # Safety
/// Those frames of `fit` that are at least FRAME6_END long by the column of lengths are so.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn of_group6(
    frames: &[[*const u8; 2]; 8],
    lengths: __m512i,
    id: __m512i,
    fit: u16,
    room6: &mut Room<'_, u128>,
) -> [u16; 2] {
    let and = |a, b| _mm512_and_si512(a, b);
    let lengths = and(lengths, all(0xffff));
    let fit = fit & _mm512_cmpge_epu32_mask(lengths, all(FRAME6_END as u32));
    let mut rows = [_mm512_setzero_si512(); 8];
    for (row, frames) in frames.iter().enumerate() {
        let is_fit = [fit >> row & 1 != 0, fit >> (row + 8) & 1 != 0];
        let [a, b] = *frames;
        let blank = BLANK.as_ptr();
        let (a, b) = (
            select_unpredictable(is_fit[0], a, blank),
            select_unpredictable(is_fit[1], b, blank),
        );
        // SAFETY: both have FRAME6_END bytes, by our contract.
        rows[row] = unsafe { load([a, b].map(|frame| frame.add(FRAME6_AT))) };
        let order = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let hosts = _mm512_shuffle_epi8(rows[row], _mm512_broadcast_i32x4(order));
        // SAFETY: arrays of sixteen.
        unsafe {
            let to = room6.addresses.as_mut_ptr().cast::<__m128i>();
            _mm_storeu_si128(to.add(row), _mm512_extracti32x4_epi32::<1>(hosts));
            _mm_storeu_si128(to.add(row + 8), _mm512_extracti32x4_epi32::<3>(hosts));
        }
    }
    let [src, src_low, _, _, dst, dst_low, _, _] = columns(rows);
    let ordinary = |high, low| {
        let any = _mm512_or_si512(high, low);
        _mm512_test_epi32_mask(any, any) & _mm512_cmpneq_epi32_mask(and(high, all(0xfe)), all(0xfe))
    };
    let payload = _mm512_srli_epi32::<16>(reversed(id));
    let room = _mm512_sub_epi32(lengths, all(FRAME6_END as u32));
    let plain = fit
        & _mm512_cmple_epu32_mask(payload, room)
        & _mm512_test_epi32_mask(id, all(0xfe00_0000))
        & _mm512_test_epi32_mask(id, all(0x00ff_0000))
        & ordinary(src, src_low)
        & ordinary(dst, dst_low);
    let len = _mm512_cvtepi32_epi16(_mm512_add_epi32(payload, all(40)));
    let word = _mm512_sub_epi32(id, all(1 << 24));
    // SAFETY: arrays of sixteen.
    unsafe {
        _mm512_storeu_si512(room6.words.as_mut_ptr().cast(), word);
        _mm256_storeu_si256(room6.lens.as_mut_ptr().cast(), len);
    }
    [plain, plain & _mm512_cmplt_epu32_mask(payload, room)]
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

/// A frame of at least FRAME_END bytes: that of the mbuf, or blank if it is shorter or does not start
/// with `start`.
///
/// # Safety
/// `mbuf` is live.
#[inline]
unsafe fn frame(mbuf: *const c::rte_mbuf, start: u16) -> *const u8 {
    // SAFETY: by our contract.
    let head = unsafe { &*mbuf };
    let start_of = head.buf_addr.cast::<u8>().cast_const();
    let mut data = start_of.wrapping_add(usize::from(head.data_off));
    // The compiler would make vectors of these four for several packets, at several times the cost.
    // SAFETY: reads a field of the mbuf, then two bytes of the frame, which then has FRAME_END bytes at
    // least, or of BLANK.
    unsafe {
        asm!(
            "cmp word ptr [{mbuf} + {at}], {end}",
            "cmovb {data}, {blank}",
            "cmp word ptr [{data}], {start:x}",
            "cmovne {data}, {blank}",
            mbuf = in(reg) mbuf,
            at = const offset_of!(c::rte_mbuf, data_len),
            end = const FRAME_END,
            data = inout(reg) data,
            blank = in(reg) BLANK.as_ptr(),
            start = in(reg) start,
            options(pure, readonly, nostack),
        );
    }
    data
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
