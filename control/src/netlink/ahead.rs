//! A list that is read ahead of whoever takes it in.
//!
//! The kernel writes each piece of a list while one is read: the thread that reads works for the
//! kernel nearly all the time. So a thread of its own does that, and both works overlap.

use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread;

use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR};

use super::NetlinkError;
use super::message::Messages;
use super::socket::{Buffer, NetlinkSocket, Read};

/// Pieces, of 32 KiB at most, that wait to be taken in before the thread waits, too.
const AHEAD: usize = 16;

/// What was read, and the buffer that has it.
type Piece = Result<(Read, Buffer), NetlinkError>;

/// A list that is being read. The thread ends with the list, or when this is dropped: then at
/// the next piece.
pub(super) struct ReadAhead {
    pieces: Receiver<Piece>,
    /// Buffers to be used again.
    empty: Sender<Buffer>,
}

impl ReadAhead {
    /// Reads the answer to the request of this number.
    pub fn start(socket: NetlinkSocket, seq: u32) -> Result<Self, NetlinkError> {
        let (sender, pieces) = sync_channel(AHEAD);
        let (empty, emptied) = channel();
        let read = move || read(&socket, seq, &sender, &emptied);
        // The name of a thread has 15 letters at most.
        let named = thread::Builder::new().name("netlink-list".to_owned());
        named.spawn(read).map_err(NetlinkError::Thread)?;
        Ok(Self { pieces, empty })
    }

    /// The next piece; blocks until it is there. Behind the last there is none.
    pub fn next(&self) -> Piece {
        self.pieces.recv().unwrap_or_else(|_| {
            Err(NetlinkError::Socket {
                step: "reading behind the end of a list",
                source: io::ErrorKind::UnexpectedEof.into(),
            })
        })
    }

    /// Gives a buffer back.
    pub fn give_back(&self, buffer: Buffer) {
        // The thread may have read all.
        let _ = self.empty.send(buffer);
    }
}

/// Reads until the end of the list, an error, or nobody wants more.
fn read(socket: &NetlinkSocket, seq: u32, pieces: &SyncSender<Piece>, empty: &Receiver<Buffer>) {
    loop {
        let mut buffer = match empty.try_recv() {
            Ok(buffer) => buffer,
            Err(TryRecvError::Empty) => Buffer::new(),
            Err(TryRecvError::Disconnected) => return,
        };
        let read = socket.receive_into(&mut buffer);
        let last = match &read {
            Ok(Read::Datagram(len)) => is_last(buffer.first(*len), seq),
            Ok(Read::Overrun) => false,
            Ok(Read::Empty) | Err(_) => true,
        };
        if pieces.send(read.map(|read| (read, buffer))).is_err() || last {
            return;
        }
    }
}

/// Whether the list ends with this datagram.
fn is_last(datagram: &[u8], seq: u32) -> bool {
    let mut messages = Messages::new(datagram).flatten();
    messages.any(|m| m.seq == seq && (m.kind == NLMSG_DONE || m.kind == NLMSG_ERROR))
}
