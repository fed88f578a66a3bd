//! A connection to charon's VICI socket, for one request at a time.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::message::{Malformed, Section, printable, put_name};

/// Length of a packet, as the protocol limits it.
const MAX_PACKET: usize = 512 * 1024;

const CMD_REQUEST: u8 = 0;
const CMD_RESPONSE: u8 = 1;
const CMD_UNKNOWN: u8 = 2;
const EVENT_REGISTER: u8 = 3;
const EVENT_CONFIRM: u8 = 5;
const EVENT_UNKNOWN: u8 = 6;
const EVENT: u8 = 7;

/// Why charon did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ViciError {
    /// Nobody answers on the socket.
    #[error("{}", no_charon(.path, .source))]
    NotThere {
        /// The socket.
        path: PathBuf,
        /// How connecting failed.
        source: io::Error,
    },
    /// The connection ended before the answer.
    #[error("charon ended, or closed the connection, before it had answered")]
    Lost(#[source] io::Error),
    /// What came is not VICI.
    #[error("what answers on {}, does not speak VICI: {what}", .path.display())]
    NotVici {
        /// The socket.
        path: PathBuf,
        /// What came instead.
        what: String,
    },
    /// The request cannot be written down.
    #[error("{0}")]
    Request(String),
    /// An older strongSwan.
    #[error("this strongSwan does not know the command {0}")]
    UnknownCommand(String),
    /// It refuses, in its words.
    #[error("charon: {0}")]
    Refused(String),
    /// There is nothing of that name.
    #[error("{0}")]
    NotFound(String),
    /// The peer has not answered, or not in time.
    #[error(
        "{what} was not established within {} s: charon goes on trying; without a \"received packet\" above, the \
         peer does not answer", .limit.as_secs_f32()
    )]
    NotEstablished {
        /// The name that was to be brought up.
        what: String,
        /// How long was waited.
        limit: Duration,
    },
    /// charon itself has not answered in time.
    #[error("charon has not answered within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
}

fn no_charon(path: &Path, error: &io::Error) -> String {
    let at = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "no charon on {at}: start strongSwan, or set [ipsec] vici to its socket \
             (charon.plugins.vici.socket in strongswan.conf)"
        ),
        io::ErrorKind::ConnectionRefused => {
            format!("no charon on {at}: nobody listens there any more; start strongSwan")
        }
        _ => format!("charon's socket {at}: {error}"),
    }
}

/// A connection. Dropping it, in the middle of a request as well, closes it.
#[derive(Debug)]
pub struct Connection {
    path: PathBuf,
    stream: UnixStream,
    /// Events that came before the answer to a registration.
    early: VecDeque<(String, Section)>,
}

/// What charon sends.
enum Packet {
    Response(Section),
    UnknownCommand,
    EventConfirmed,
    UnknownEvent,
    Event(String, Section),
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// [`ViciError::NotThere`].
    pub async fn open(path: &Path) -> Result<Self, ViciError> {
        let stream = UnixStream::connect(path).await;
        let stream = stream.map_err(|source| ViciError::NotThere {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            stream,
            early: VecDeque::new(),
        })
    }

    /// Registers for an event; `false` if this charon does not have it.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn register(&mut self, event: &str) -> Result<bool, ViciError> {
        self.send(EVENT_REGISTER, event, &Section::default())
            .await?;
        loop {
            match self.receive().await? {
                Packet::EventConfirmed => return Ok(true),
                Packet::UnknownEvent => return Ok(false),
                Packet::Event(name, message) => self.early.push_back((name, message)),
                Packet::Response(_) | Packet::UnknownCommand => {
                    return Err(self.not_vici("an answer that nobody asked for"));
                }
            }
        }
    }

    /// Waits for the next event that was registered for.
    ///
    /// # Errors
    /// If the connection ends.
    pub async fn next_event(&mut self) -> Result<(String, Section), ViciError> {
        if let Some(event) = self.early.pop_front() {
            return Ok(event);
        }
        match self.receive().await? {
            Packet::Event(name, message) => Ok((name, message)),
            _ => Err(self.not_vici("an answer that nobody asked for")),
        }
    }

    /// Carries out `command`, whose answer comes as events `event`, each handed to `each`, and a last message.
    ///
    /// # Errors
    /// If the connection fails, or the command is unknown. Whether it succeeded stands in the answer:
    /// see [`succeeded`].
    pub async fn call(
        &mut self,
        command: &str,
        event: &str,
        request: &Section,
        mut each: impl FnMut(Section),
    ) -> Result<Section, ViciError> {
        if !self.register(event).await? {
            return Err(ViciError::UnknownCommand(command.into()));
        }
        self.send(CMD_REQUEST, command, request).await?;
        loop {
            match self.receive().await? {
                Packet::Event(name, message) if name == event => each(message),
                Packet::Event(..) => {}
                Packet::Response(answer) => return Ok(answer),
                Packet::UnknownCommand => return Err(ViciError::UnknownCommand(command.into())),
                Packet::EventConfirmed | Packet::UnknownEvent => {
                    return Err(self.not_vici("an answer that nobody asked for"));
                }
            }
        }
    }

    async fn send(&mut self, kind: u8, name: &str, message: &Section) -> Result<(), ViciError> {
        let mut packet = vec![0; 4];
        packet.push(kind);
        put_name(&mut packet, name).map_err(ViciError::Request)?;
        message.encode(&mut packet).map_err(ViciError::Request)?;
        let len = packet.len() - 4;
        if len > MAX_PACKET {
            return Err(ViciError::Request(format!(
                "a request of {len} bytes is too long: {MAX_PACKET} at most"
            )));
        }
        packet[..4].copy_from_slice(&(len as u32).to_be_bytes());
        let written = self.stream.write_all(&packet).await;
        written.map_err(ViciError::Lost)
    }

    async fn receive(&mut self) -> Result<Packet, ViciError> {
        let len = self.stream.read_u32().await.map_err(ViciError::Lost)? as usize;
        if len == 0 || len > MAX_PACKET {
            return Err(self.not_vici(format!("a packet of {len} bytes")));
        }
        let mut bytes = vec![0; len];
        let read = self.stream.read_exact(&mut bytes).await;
        read.map_err(ViciError::Lost)?;
        let body = &bytes[1..];
        let decode = |bytes| Section::decode(bytes).map_err(|e: Malformed| self.not_vici(e));
        Ok(match bytes[0] {
            CMD_RESPONSE => Packet::Response(decode(body)?),
            CMD_UNKNOWN => Packet::UnknownCommand,
            EVENT_CONFIRM => Packet::EventConfirmed,
            EVENT_UNKNOWN => Packet::UnknownEvent,
            EVENT => {
                let name_len = usize::from(*body.first().unwrap_or(&0));
                let Some((name, message)) =
                    body.get(1..).and_then(|b| b.split_at_checked(name_len))
                else {
                    return Err(self.not_vici("an event without a name"));
                };
                Packet::Event(printable(name), decode(message)?)
            }
            kind => return Err(self.not_vici(format!("a packet of type {kind}"))),
        })
    }

    fn not_vici(&self, what: impl ToString) -> ViciError {
        ViciError::NotVici {
            path: self.path.clone(),
            what: what.to_string(),
        }
    }
}

/// The answer to a command, if that says that it succeeded.
pub(super) fn succeeded(answer: Section) -> Result<Section, ViciError> {
    match answer.text("success") {
        Some("no") => Err(ViciError::Refused(answer.owned("errmsg"))),
        _ => Ok(answer),
    }
}

/// What `wanted` gives, if it does so within `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    wanted: impl Future<Output = Result<T, ViciError>>,
) -> Result<T, ViciError> {
    let waited = tokio::time::timeout(limit, wanted).await;
    waited.unwrap_or(Err(ViciError::TimedOut(limit)))
}
