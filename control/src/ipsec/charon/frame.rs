//! Frames of the stream.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::request::Kind;

/// Most that the length field may say.
pub const MAX_LENGTH: usize = 65_536;

/// What the length field counts of the header: type, status, id.
pub(super) const COUNTED_HEADER: usize = 6;

/// A frame as it arrived.
#[derive(Debug)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// What its answer is called by.
    pub id: u32,
    /// What comes after the header. May hold keys: [`decode`](super::decode) wipes those.
    pub body: Vec<u8>,
}

/// The stream holds no frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length is none.
    #[error("a frame of {0} bytes; it has 6 to {MAX_LENGTH}")]
    Length(u32),
    /// A request has a status.
    #[error("a request ({kind}) with status {status}; requests have 0")]
    Status {
        /// Which request.
        kind: Kind,
        /// Its status.
        status: u8,
    },
    /// The connection has ended within a frame, or failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

impl Frame {
    /// Reads one frame; `None` at the end of the stream.
    ///
    /// # Errors
    /// [`FrameError`]; what follows in the stream cannot be understood then.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>, FrameError> {
        let mut header = [0; 4 + COUNTED_HEADER];
        if stream.read(&mut header[..1]).await? == 0 {
            return Ok(None);
        }
        stream.read_exact(&mut header[1..]).await?;
        let [l0, l1, l2, l3, kind, status, i0, i1, i2, i3] = header;
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        if !(COUNTED_HEADER..=MAX_LENGTH).contains(&(length as usize)) {
            return Err(FrameError::Length(length));
        }
        if status != 0 {
            return Err(FrameError::Status {
                kind: Kind(kind),
                status,
            });
        }
        // Exactly as long as it must be: no copy of keys is left behind by growing.
        let mut body = vec![0; length as usize - COUNTED_HEADER];
        stream.read_exact(&mut body).await?;
        Ok(Some(Self {
            kind,
            id: u32::from_be_bytes([i0, i1, i2, i3]),
            body,
        }))
    }
}
