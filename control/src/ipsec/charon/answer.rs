//! Writes answers and events.

use std::net::IpAddr;

use crate::ipsec::model::{Notice, Refusal, SaKey, TrafficSelector};

use super::frame::COUNTED_HEADER;

/// Set in the type of an answer.
const ANSWER: u8 = 0x80;
/// Longest text of a refusal.
const MAX_TEXT: usize = 1024;

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// Not now.
    Refused = 1,
    /// Never.
    NotSupported = 2,
    /// No such SA or policy.
    NotFound = 3,
    /// Not understood.
    Malformed = 4,
}

/// A frame that answers a request of type `kind`.
pub fn answer(kind: u8, id: u32, status: Status, body: &[u8]) -> Vec<u8> {
    frame(kind | ANSWER, status, id, body)
}

/// A frame that says why not.
pub fn refusal(kind: u8, id: u32, why: &Refusal) -> Vec<u8> {
    let status = match why {
        Refusal::Refused(_) => Status::Refused,
        Refusal::NotSupported(_) => Status::NotSupported,
        Refusal::NotFound(_) => Status::NotFound,
    };
    answer(kind, id, status, &text(&why.to_string()))
}

/// A text as bodies have it.
pub(super) fn text(text: &str) -> Vec<u8> {
    let end = (0..=text.len().min(MAX_TEXT))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    let bytes = &text.as_bytes()[..end.unwrap_or(0)];
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

/// A frame that tells an event.
pub fn event(notice: &Notice) -> Vec<u8> {
    let mut body = Vec::new();
    let kind = match notice {
        Notice::Expire { key, hard } => {
            put_key(&mut body, key);
            body.push(u8::from(*hard));
            64
        }
        Notice::Acquire {
            reqid, src, dst, ..
        } => {
            body.extend(reqid.to_be_bytes());
            put_selector(&mut body, src);
            put_selector(&mut body, dst);
            65
        }
        Notice::Mapping { key, addr, port } => {
            put_key(&mut body, key);
            body.extend(port.to_be_bytes());
            put_address(&mut body, *addr);
            66
        }
    };
    frame(kind, Status::Ok, 0, &body)
}

fn frame(kind: u8, status: Status, id: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = ((body.len() + COUNTED_HEADER) as u32)
        .to_be_bytes()
        .to_vec();
    frame.extend([kind, status as u8]);
    frame.extend(id.to_be_bytes());
    frame.extend(body);
    frame
}

fn put_key(body: &mut Vec<u8>, key: &SaKey) {
    body.push(key.protocol.number());
    body.extend(key.spi.to_be_bytes());
    put_address(body, key.dst);
}

fn put_octets(body: &mut Vec<u8>, addr: IpAddr) {
    match addr {
        IpAddr::V4(addr) => body.extend(addr.octets()),
        IpAddr::V6(addr) => body.extend(addr.octets()),
    }
}

fn family(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 4 } else { 6 }
}

pub(super) fn put_address(body: &mut Vec<u8>, addr: IpAddr) {
    body.push(family(addr));
    put_octets(body, addr);
}

pub(super) fn put_selector(body: &mut Vec<u8>, selector: &TrafficSelector) {
    let (first, last) = selector.addresses();
    let (first_port, last_port) = selector.ports();
    body.push(family(first));
    put_octets(body, first);
    put_octets(body, last);
    body.push(selector.protocol());
    body.extend(first_port.to_be_bytes());
    body.extend(last_port.to_be_bytes());
}
