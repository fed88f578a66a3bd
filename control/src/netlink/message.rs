//! A datagram cut into messages.

use netlink_packet_core::NetlinkBuffer;

use super::Malformed;

/// `struct nlmsghdr`.
const HEADER_LEN: usize = 16;

/// One netlink message; its body borrows from the receive buffer.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`: that of the request which it answers or, for an event, which caused it; 0 if none.
    pub seq: u32,
    /// `nlmsg_pid`: who sent that request, 0 for the kernel by itself.
    pub pid: u32,
    /// What follows the netlink header.
    pub body: &'a [u8],
}

/// The messages of a datagram. It ends with the first that is malformed, since nothing tells
/// where the next one would begin.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Those of one datagram.
    pub fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            return None;
        }
        let Ok(buffer) = NetlinkBuffer::new_checked(rest) else {
            return Some(Err(Malformed::Message));
        };
        let len = buffer.length() as usize;
        let Some(body) = rest.get(HEADER_LEN..len) else {
            return Some(Err(Malformed::Message));
        };
        self.rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(Message {
            kind: buffer.message_type(),
            flags: buffer.flags(),
            seq: buffer.sequence_number(),
            pid: buffer.port_number(),
            body,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(2u16.to_ne_bytes());
        bytes.extend(7u32.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn several_messages_come_one_by_one() {
        let bytes = [message(24, &[1, 2, 3]), message(3, &[0; 4])].concat();
        let all: Vec<_> = Messages::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].kind, all[0].flags, all[0].seq, all[0].body),
            (24, 2, 7, &[1, 2, 3][..])
        );
        assert_eq!((all[1].kind, all[1].body.len()), (3, 4));
    }

    #[test]
    fn a_cut_message_is_malformed_and_the_last() {
        let bytes = message(24, &[1, 2, 3, 4]);
        for len in 1..bytes.len() {
            let mut all = Messages::new(&bytes[..len]);
            assert_eq!(
                all.next().map(|m| m.map(|_| ())),
                Some(Err(Malformed::Message)),
                "{len}"
            );
            assert!(all.next().is_none());
        }
    }

    #[test]
    fn a_length_below_the_header_is_malformed() {
        let mut bytes = message(24, &[]);
        bytes[0] = 15;
        assert!(Messages::new(&bytes).next().is_some_and(|m| m.is_err()));
    }
}
