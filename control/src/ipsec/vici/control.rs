//! What charon is asked to do: bring SAs up, take them down.

use std::path::Path;
use std::time::Duration;

use super::connection::{Connection, ViciError, succeeded, within};
use super::conns::{self, Configured};
use super::message::Section;
use super::sas::{self, IkeSa};

/// How much longer than charon's own limit its answer is waited for.
const GRACE: Duration = Duration::from_secs(2);

/// How long is waited for a list: of what there was to take down, or of the names that an error should have.
const LISTING: Duration = Duration::from_secs(5);

/// What is to be brought up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Initiate {
    /// Name of a child in the configuration; the IKE SA alone without.
    pub child: Option<String>,
    /// Name of a connection: the one with that child, if there are several.
    pub ike: Option<String>,
}

/// What is to be taken down: all SAs to which every field applies that is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terminate {
    /// CHILD SAs, not IKE SAs, of a name or number.
    pub child: Option<Which>,
    /// IKE SAs of a name or number; with a child, only the children of these.
    pub ike: Option<Which>,
    /// Takes them down even if the peer does not agree within the limit.
    pub force: bool,
}

/// An SA, or all of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// As in the configuration.
    Name(String),
    /// As `ipsec connection show` has it.
    Id(u32),
}

impl Which {
    fn name(&self) -> Option<&str> {
        match self {
            Which::Name(name) => Some(name),
            Which::Id(_) => None,
        }
    }

    fn id(&self) -> Option<u32> {
        match self {
            Which::Name(_) => None,
            Which::Id(id) => Some(*id),
        }
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Which::Name(name) => write!(f, "{name}"),
            Which::Id(id) => write!(f, "#{id}"),
        }
    }
}

/// A line that charon logs while it does what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Its part of charon: IKE, NET, CFG ...
    pub group: String,
    /// What it says.
    pub text: String,
}

impl LogLine {
    fn of(message: &Section) -> Self {
        Self {
            group: message.owned("group"),
            text: message.owned("msg"),
        }
    }
}

/// Brings an SA up, and waits until it is; what charon logs meanwhile goes to `log`.
///
/// # Errors
/// If there is no such name, it was not established within `limit`, or charon cannot be asked.
pub async fn initiate(
    path: &Path,
    what: &Initiate,
    limit: Duration,
    mut log: impl FnMut(LogLine),
) -> Result<(), ViciError> {
    let request = Section::default()
        .with_text("child", what.child.as_ref())
        .with_text("ike", what.ike.as_ref())
        .with_text("timeout", Some(limit.as_millis()));
    let asked = async {
        let mut connection = Connection::open(path).await?;
        let each = |message: Section| log(LogLine::of(&message));
        let answer = connection.call("initiate", "control-log", &request, each);
        succeeded(answer.await?)
    };
    match within(limit + GRACE, asked).await {
        Ok(_) => Ok(()),
        Err(ViciError::Refused(said)) if said.ends_with("not found") => {
            let configured = conns::list(path, LISTING).await?;
            Err(ViciError::NotFound(not_configured(what, &configured)))
        }
        Err(ViciError::Refused(said)) if said.contains("not established after") => {
            let name = what.child.as_ref().or(what.ike.as_ref());
            Err(ViciError::NotEstablished {
                what: name.cloned().unwrap_or_default(),
                limit,
            })
        }
        Err(e) => Err(e),
    }
}

/// Takes SAs down, and waits until they are; how many they were. What charon logs goes to `log`.
///
/// # Errors
/// If there is none, one did not end within `limit`, or charon cannot be asked.
pub async fn terminate(
    path: &Path,
    what: &Terminate,
    limit: Duration,
    mut log: impl FnMut(LogLine),
) -> Result<u32, ViciError> {
    let (child, ike) = (what.child.as_ref(), what.ike.as_ref());
    let request = Section::default()
        .with_text("child", child.and_then(Which::name))
        .with_text("child-id", child.and_then(Which::id))
        .with_text("ike", ike.and_then(Which::name))
        .with_text("ike-id", ike.and_then(Which::id))
        .with_text("force", what.force.then_some("yes"))
        .with_text("timeout", Some(limit.as_millis()));
    let before = match what.force {
        true => named_by(what, &sas::list(path, LISTING).await?),
        false => Vec::new(),
    };
    let asked = async {
        let mut connection = Connection::open(path).await?;
        let each = |message: Section| log(LogLine::of(&message));
        let answer = connection.call("terminate", "control-log", &request, each);
        answer.await
    };
    let answer = within(limit + GRACE, asked).await?;
    if answer.number("matches") == Some(0) {
        return Err(ViciError::NotFound(no_such_sa(what)));
    }
    let terminated = answer.number("terminated").unwrap_or_default();
    match succeeded(answer) {
        Ok(_) => Ok(terminated),
        // charon calls it a failure if the peer did not agree, though the SAs are gone.
        Err(e) if what.force => {
            let left = named_by(what, &sas::list(path, LISTING).await?);
            match before.iter().any(|id| left.contains(id)) {
                true => Err(e),
                false => Ok(before.len() as u32),
            }
        }
        Err(e) => Err(e),
    }
}

/// Numbers of the SAs to which `what` applies: of CHILD SAs, or of IKE SAs.
fn named_by(what: &Terminate, all: &[IkeSa]) -> Vec<u32> {
    let is = |wanted: &Option<Which>, name: &str, id: u32| match wanted {
        None => true,
        Some(Which::Name(wanted)) => wanted == name,
        Some(Which::Id(wanted)) => *wanted == id,
    };
    let ike_sas = all.iter().filter(|ike| is(&what.ike, &ike.name, ike.id));
    match what.child {
        None => ike_sas.map(|ike| ike.id).collect(),
        Some(_) => ike_sas
            .flat_map(|ike| &ike.children)
            .filter(|child| is(&what.child, &child.name, child.id))
            .map(|child| child.id)
            .collect(),
    }
}

/// Which name the configuration does not have, and which ones it has.
fn not_configured(what: &Initiate, configured: &[Configured]) -> String {
    let connections: Vec<_> = configured.iter().map(|c| c.name.as_str()).collect();
    if let Some(ike) = &what.ike
        && !connections.contains(&ike.as_str())
    {
        return format!(
            "charon has no connection {ike}; there is {}",
            listed(&connections)
        );
    }
    let of_ike = configured
        .iter()
        .filter(|c| what.ike.as_ref().is_none_or(|ike| c.name == *ike));
    let children: Vec<_> = of_ike
        .flat_map(|c| &c.children)
        .map(|c| c.name.as_str())
        .collect();
    let place = match &what.ike {
        Some(ike) => format!("connection {ike}"),
        None => "charon".into(),
    };
    let child = what.child.as_deref().unwrap_or_default();
    format!(
        "{place} has no child {child}; there is {}",
        listed(&children)
    )
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => "none: load the configuration with swanctl --load-all".into(),
        names => names.join(", "),
    }
}

fn no_such_sa(what: &Terminate) -> String {
    let of_ike = |ike: &Which| format!(" of IKE SA {ike}");
    let sa = match (&what.child, &what.ike) {
        (Some(child), ike) => format!(
            "CHILD SA {child}{}",
            ike.as_ref().map(of_ike).unwrap_or_default()
        ),
        (None, Some(ike)) => format!("IKE SA {ike}"),
        (None, None) => "SA without a name".into(),
    };
    format!("there is no {sa}: ironlane ipsec connection show lists those that are up")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipsec::vici::conns::ConfiguredChild;

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        let child = |name: &str| ConfiguredChild {
            name: name.into(),
            ..ConfiguredChild::default()
        };
        let configured = |name: &str, children: &[&str]| Configured {
            name: name.into(),
            children: children.iter().map(|name| child(name)).collect(),
            ..Configured::default()
        };
        let all = [
            configured("site-b", &["nets", "voice"]),
            configured("clients", &["clients"]),
        ];
        let said = |child: Option<&str>, ike: Option<&str>, all: &[Configured]| {
            let what = Initiate {
                child: child.map(str::to_owned),
                ike: ike.map(str::to_owned),
            };
            not_configured(&what, all)
        };
        assert_eq!(
            said(Some("netz"), None, &all),
            "charon has no child netz; there is nets, voice, clients"
        );
        assert_eq!(
            said(Some("netz"), Some("site-b"), &all),
            "connection site-b has no child netz; there is nets, voice"
        );
        assert_eq!(
            said(Some("nets"), Some("site-c"), &all),
            "charon has no connection site-c; there is site-b, clients"
        );
        assert!(said(Some("nets"), None, &[]).ends_with("swanctl --load-all"));
    }

    #[test]
    fn what_is_not_up_is_named() {
        let what = |child: Option<Which>, ike| Terminate {
            child,
            ike,
            force: false,
        };
        let name = |name: &str| Some(Which::Name(name.into()));
        let said = [
            no_such_sa(&what(name("nets"), None)),
            no_such_sa(&what(Some(Which::Id(7)), name("site-b"))),
            no_such_sa(&what(None, name("site-b"))),
        ];
        assert!(said[0].starts_with("there is no CHILD SA nets:"));
        assert!(said[1].starts_with("there is no CHILD SA #7 of IKE SA site-b:"));
        assert!(said[2].starts_with("there is no IKE SA site-b:"));
    }
}
