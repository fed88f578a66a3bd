//! What the kernel is asked and told.

use ironlane_ipsec::{Mark, PolicyDirection};

use super::policy::{KernelPolicy, Template};
use super::sa::{Numbers, Used};
use super::wire::{NO_LIMIT, address, attribute, family, len};
use crate::ipsec::model::{SaKey, TrafficSelector};

/// The lifetime of what has none: no limits, nothing used.
const FOREVER: [u64; 12] = [
    NO_LIMIT, NO_LIMIT, NO_LIMIT, NO_LIMIT, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// How an SA is named to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SaName {
    pub key: SaKey,
    pub mark: Mark,
}

/// Adds an attribute.
fn put(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend((4 + value.len() as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn put_mark(body: &mut Vec<u8>, mark: Mark) {
    if mark != Mark::default() {
        let words = [mark.value.to_ne_bytes(), mark.mask.to_ne_bytes()];
        put(body, attribute::MARK, &words.concat());
    }
}

/// An `xfrm_usersa_id`.
fn put_id(body: &mut Vec<u8>, key: &SaKey) {
    body.extend(address(key.dst));
    body.extend(key.spi.to_be_bytes());
    body.extend(family(key.dst).to_ne_bytes());
    body.extend([key.protocol.number(), 0]);
}

/// Body of the request for one SA.
pub(super) fn get_sa(name: &SaName) -> Vec<u8> {
    let mut body = Vec::new();
    put_id(&mut body, &name.key);
    put_mark(&mut body, name.mark);
    body
}

/// Body of the request that sets sequence numbers, usage, or both (`XFRM_MSG_NEWAE`).
pub(super) fn set_state(name: &SaName, numbers: Option<&Numbers>, used: Option<&Used>) -> Vec<u8> {
    let mut body = Vec::new();
    put_id(&mut body, &name.key);
    // Source, flags and reqid, at which it does not look.
    body.resize(48, 0);
    put_mark(&mut body, name.mark);
    if let Some(used) = used {
        let Used {
            bytes,
            packets,
            added_s,
            first_use_s,
        } = *used;
        let words = [bytes, packets, added_s, first_use_s].map(u64::to_ne_bytes);
        put(&mut body, attribute::LIFETIME, &words.concat());
    }
    match numbers {
        Some(numbers) if numbers.bitmap_words.is_some() => put_long(&mut body, numbers),
        Some(numbers) => {
            // All that is below the last was seen.
            let words = [numbers.out as u32, numbers.seen as u32, u32::MAX];
            let words = words.map(u32::to_ne_bytes);
            put(&mut body, attribute::REPLAY, &words.concat());
        }
        None => {}
    }
    body
}

/// An `xfrm_replay_state_esn`.
fn put_long(body: &mut Vec<u8>, numbers: &Numbers) {
    let Numbers { out, seen, .. } = *numbers;
    let bitmap_words = numbers.bitmap_words.unwrap_or_default().min(MAX_WORDS);
    let mut words = vec![
        bitmap_words,
        out as u32,
        seen as u32,
        (out >> 32) as u32,
        (seen >> 32) as u32,
        numbers.window,
    ];
    words.resize(words.len() + bitmap_words as usize, u32::MAX);
    let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    put(body, attribute::REPLAY_ESN, &bytes);
}

/// Words of the longest bitmap (`XFRMA_REPLAY_ESN_MAX`).
const MAX_WORDS: u32 = 4096 / 32;

/// Body of the message that raises the end of an SA (`XFRM_MSG_EXPIRE`).
pub(super) fn expire(name: &SaName, is_hard: bool) -> Vec<u8> {
    let key = &name.key;
    let mut body = vec![0; len::EXPIRE.next_multiple_of(8)];
    body[56..72].copy_from_slice(&address(key.dst));
    body[72..76].copy_from_slice(&key.spi.to_be_bytes());
    body[76] = key.protocol.number();
    body[212..214].copy_from_slice(&family(key.dst).to_ne_bytes());
    body[len::SA] = u8::from(is_hard);
    put_mark(&mut body, name.mark);
    body
}

/// Body of the message that asks IKE for an SA (`XFRM_MSG_ACQUIRE`), for a packet from `src` to `dst`.
pub(super) fn acquire(
    policy: &KernelPolicy,
    template: &Template,
    (src, dst): (&TrafficSelector, &TrafficSelector),
) -> Vec<u8> {
    let mut body = Vec::new();
    let (packet_src, packet_dst) = (src.addresses().0, dst.addresses().0);
    let or_of_packet = |addr: std::net::IpAddr, packet| match addr.is_unspecified() {
        true => packet,
        false => addr,
    };
    let outer = (
        or_of_packet(template.src, packet_src),
        or_of_packet(template.dst, packet_dst),
    );
    put_template_id(&mut body, template, outer.1);
    body.extend(address(outer.0));
    // The packet.
    put_sides(&mut body, src, dst);
    body.extend(policy.name.selector());
    put_words(&mut body, &FOREVER);
    body.extend(policy.priority.to_ne_bytes());
    body.extend(policy.index.to_ne_bytes());
    body.extend([PolicyDirection::Out as u8, 0, 0, 0, 0, 0, 0, 0]);
    // Any algorithms, and no number of ours.
    body.extend(
        [u32::MAX, u32::MAX, u32::MAX, 0]
            .map(u32::to_ne_bytes)
            .concat(),
    );
    let mut tmpl = Vec::new();
    put_template_id(&mut tmpl, template, outer.1);
    tmpl.extend(family(outer.1).to_ne_bytes());
    tmpl.extend([0; 2]);
    tmpl.extend(address(outer.0));
    tmpl.extend(template.reqid.to_ne_bytes());
    tmpl.extend([template.mode, 0, 0, 0]);
    tmpl.extend([u32::MAX; 3].map(u32::to_ne_bytes).concat());
    put(&mut body, attribute::TEMPLATES, &tmpl);
    put_mark(&mut body, policy.mark);
    if policy.if_id != 0 {
        put(&mut body, attribute::IF_ID, &policy.if_id.to_ne_bytes());
    }
    body
}

fn put_words(body: &mut Vec<u8>, words: &[u64]) {
    words
        .iter()
        .for_each(|word| body.extend(word.to_ne_bytes()));
}

/// An `xfrm_id`.
fn put_template_id(body: &mut Vec<u8>, template: &Template, dst: std::net::IpAddr) {
    body.extend(address(dst));
    body.extend(template.spi.to_be_bytes());
    body.extend([template.protocol, 0, 0, 0]);
}

/// An `xfrm_selector` of a packet.
fn put_sides(body: &mut Vec<u8>, src: &TrafficSelector, dst: &TrafficSelector) {
    let ((src_addr, _), (dst_addr, _)) = (src.addresses(), dst.addresses());
    body.extend(address(dst_addr));
    body.extend(address(src_addr));
    for side in [dst, src] {
        let (first, last) = side.ports();
        let mask = if first == last { u16::MAX } else { 0 };
        body.extend((first & mask).to_be_bytes());
        body.extend(mask.to_be_bytes());
    }
    let bits = if src_addr.is_ipv4() { 32 } else { 128 };
    body.extend(family(src_addr).to_ne_bytes());
    body.extend([bits, bits, src.protocol(), 0, 0, 0]);
    body.extend([0; 8]);
}

/// Body of a policy that lets all IPv6 packets of this host pass the kernel's own IPsec, in clear; for
/// [`OWN_INDEX`].
pub(super) fn pass_ip6() -> Vec<u8> {
    let mut body = any_ip6().to_vec();
    put_words(&mut body, &FOREVER);
    body.extend(0u32.to_ne_bytes());
    body.extend(OWN_INDEX.to_ne_bytes());
    body.extend([PolicyDirection::Out as u8, 0, 0, 0, 0, 0, 0, 0]);
    body
}

/// Body of the request to delete it.
pub(super) fn end_pass_ip6() -> Vec<u8> {
    let mut body = any_ip6().to_vec();
    body.extend(OWN_INDEX.to_ne_bytes());
    body.extend([PolicyDirection::Out as u8, 0, 0, 0]);
    body
}

/// The kernel's number of the router's own policy. The lowest three bits are the direction.
pub(super) const OWN_INDEX: u32 = 0x1a9e_0000 | PolicyDirection::Out as u32;

/// The selector of all IPv6 packets.
fn any_ip6() -> [u8; len::SELECTOR] {
    let mut selector = [0; len::SELECTOR];
    selector[40..42].copy_from_slice(&10u16.to_ne_bytes());
    selector
}

/// Body of the request for all SAs, all policies, or the default.
pub(super) const ALL: [u8; 4] = [0; 4];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_lengths_of_their_structures() {
        let key = SaKey {
            protocol: ironlane_ipsec::Protocol::Esp,
            spi: 0x1001,
            dst: "192.0.2.1".parse().unwrap(),
        };
        let name = SaName {
            key,
            mark: Mark::default(),
        };
        assert_eq!(get_sa(&name).len(), len::SA_ID);
        assert_eq!(expire(&name, true).len(), 232);
        assert_eq!(pass_ip6().len(), len::POLICY);
        assert_eq!(end_pass_ip6().len(), len::POLICY_ID);
        let used = Used::default();
        assert_eq!(set_state(&name, None, Some(&used)).len(), 48 + 36);
        let long = Numbers {
            out: u64::MAX,
            bitmap_words: Some(4),
            window: 128,
            ..Numbers::default()
        };
        assert_eq!(set_state(&name, Some(&long), None).len(), 48 + 4 + 40);
        let marked = SaName {
            mark: Mark {
                value: 7,
                mask: 255,
            },
            ..name
        };
        assert_eq!(get_sa(&marked).len(), len::SA_ID + 12);
    }
}
