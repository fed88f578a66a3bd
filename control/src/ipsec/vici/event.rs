//! What charon tells by itself.

use super::message::Section;
use super::sas::{ChildSa, IkeSa};

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// An IKE SA was established.
    IkeUp,
    /// An IKE SA has ended.
    IkeDown,
    /// An IKE SA was rekeyed.
    IkeRekey,
    /// An end of an IKE SA has another address or port (MOBIKE, NAT).
    IkeMoved,
    /// A CHILD SA was established.
    ChildUp,
    /// A CHILD SA has ended.
    ChildDown,
    /// A CHILD SA was rekeyed.
    ChildRekey,
    /// charon has something to complain of (strongSwan 6).
    Alert,
    /// charon answers on its socket.
    CharonUp,
    /// It does not any more.
    CharonDown,
}

impl EventKind {
    /// Its name in the API and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::IkeUp => "ike-up",
            Self::IkeDown => "ike-down",
            Self::IkeRekey => "ike-rekey",
            Self::IkeMoved => "ike-moved",
            Self::ChildUp => "child-up",
            Self::ChildDown => "child-down",
            Self::ChildRekey => "child-rekey",
            Self::Alert => "alert",
            Self::CharonUp => "charon-up",
            Self::CharonDown => "charon-down",
        }
    }
}

/// Events that are registered for, where charon has them.
pub(super) const NAMES: [&str; 6] = [
    "ike-updown",
    "ike-rekey",
    "ike-update",
    "child-updown",
    "child-rekey",
    "alert",
];

/// An event. What it is not about is empty or 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What has happened.
    pub kind: EventKind,
    /// The connection.
    pub connection: String,
    /// Number of the IKE SA; of the new one after a rekey.
    pub ike_id: u32,
    /// Address of the peer.
    pub remote: String,
    /// Its identity.
    pub remote_id: String,
    /// Name of the CHILD SA.
    pub child: String,
    /// Its number; of the new one after a rekey.
    pub child_id: u32,
    /// Its SPIs, in and out.
    pub spis: (u32, u32),
    /// What else there is to say.
    pub text: String,
}

impl Event {
    /// One about charon as a whole.
    pub(super) fn of_charon(kind: EventKind, text: String) -> Self {
        Self {
            text,
            ..Self::of_ike(kind, &IkeSa::default())
        }
    }

    fn of_ike(kind: EventKind, ike: &IkeSa) -> Self {
        Self {
            kind,
            connection: ike.name.clone(),
            ike_id: ike.id,
            remote: ike.remote.host.clone(),
            remote_id: ike.remote.id.clone(),
            child: String::new(),
            child_id: 0,
            spis: (0, 0),
            text: String::new(),
        }
    }

    fn of_child(kind: EventKind, ike: &IkeSa, child: &ChildSa) -> Self {
        Self {
            child: child.name.clone(),
            child_id: child.id,
            spis: (child.spi_in, child.spi_out),
            ..Self::of_ike(kind, ike)
        }
    }

    /// What the message of an event `name` tells; nothing for one that is not known.
    pub(super) fn all(name: &str, message: &Section) -> Vec<Self> {
        let up = |yes, no| if message.is("up") { yes } else { no };
        match name {
            "ike-updown" => {
                let kind = up(EventKind::IkeUp, EventKind::IkeDown);
                let sas = IkeSa::all(message);
                sas.map(|sa| Self::of_ike(kind, &sa)).collect()
            }
            "ike-rekey" => {
                let pairs = message.sections();
                let new = pairs.filter_map(|(name, pair)| Some((name, pair.section("new")?)));
                new.map(|(name, sa)| Self::of_ike(EventKind::IkeRekey, &IkeSa::of(name, sa)))
                    .collect()
            }
            "ike-update" => {
                let moved = |sa: IkeSa| Self {
                    // The IKE SA still has the old ones.
                    remote: message.owned("remote-host"),
                    text: format!("from {} to {}", ends_of(&sa), ends(message)),
                    ..Self::of_ike(EventKind::IkeMoved, &sa)
                };
                IkeSa::all(message).map(moved).collect()
            }
            "child-updown" => {
                let kind = up(EventKind::ChildUp, EventKind::ChildDown);
                let sas = IkeSa::all(message);
                sas.flat_map(|sa| {
                    let children = sa.children.iter();
                    children
                        .map(|child| Self::of_child(kind, &sa, child))
                        .collect::<Vec<_>>()
                })
                .collect()
            }
            "child-rekey" => message.sections().flat_map(rekeyed).collect(),
            "alert" => {
                let words = message.texts().map(|(key, text)| format!("{key}={text}"));
                let mut event = Self::of_charon(EventKind::Alert, String::new());
                event.text = words.collect::<Vec<_>>().join(" ");
                vec![event]
            }
            _ => Vec::new(),
        }
    }
}

/// The new CHILD SAs of an IKE SA whose children are pairs of an old one and a new one.
fn rekeyed((name, ike): (&str, &Section)) -> Vec<Event> {
    let sa = IkeSa::of(name, ike);
    let pairs = ike.section("child-sas").into_iter();
    let new = pairs
        .flat_map(Section::sections)
        .filter_map(|(_, pair)| pair.section("new"));
    new.map(|new| Event::of_child(EventKind::ChildRekey, &sa, &ChildSa::of(new)))
        .collect()
}

fn ends_of(sa: &IkeSa) -> String {
    let (local, remote) = (&sa.local, &sa.remote);
    format!(
        "{}[{}] - {}[{}]",
        local.host, local.port, remote.host, remote.port
    )
}

fn ends(message: &Section) -> String {
    let text = |name| message.text(name).unwrap_or("?");
    format!(
        "{}[{}] - {}[{}]",
        text("local-host"),
        text("local-port"),
        text("remote-host"),
        text("remote-port")
    )
}
