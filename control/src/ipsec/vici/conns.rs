//! What charon has been configured with.

use std::path::Path;
use std::time::Duration;

use super::connection::{Connection, ViciError, succeeded, within};
use super::message::Section;

/// A connection of `swanctl.conf`, whether there is an IKE SA of it or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configured {
    /// Its name.
    pub name: String,
    /// Addresses of this end; `%any` for all.
    pub local_addrs: Vec<String>,
    /// Addresses of the peer.
    pub remote_addrs: Vec<String>,
    /// The identity that the peer must have; empty for any.
    pub remote_id: String,
    /// Its children.
    pub children: Vec<ConfiguredChild>,
}

/// A child of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfiguredChild {
    /// Its name.
    pub name: String,
    /// `TUNNEL`, `TRANSPORT` ...
    pub mode: String,
    /// What it is for, at this end.
    pub local_ts: Vec<String>,
    /// What it is for, at the other end.
    pub remote_ts: Vec<String>,
}

/// All connections, by name.
///
/// # Errors
/// If charon does not answer within `limit`.
pub async fn list(path: &Path, limit: Duration) -> Result<Vec<Configured>, ViciError> {
    let asked = async {
        let mut all = Vec::new();
        let mut connection = Connection::open(path).await?;
        let each = |message: Section| {
            all.extend(message.sections().map(|(name, of)| configured(name, of)));
        };
        let request = Section::default();
        let answer = connection.call("list-conns", "list-conn", &request, each);
        succeeded(answer.await?)?;
        all.sort_by(|a: &Configured, b| a.name.cmp(&b.name));
        Ok(all)
    };
    within(limit, asked).await
}

fn configured(name: &str, of: &Section) -> Configured {
    // Rounds of authentication are remote, remote-1 and so on.
    let remote = of.sections().find(|(key, _)| key.starts_with("remote"));
    let id = remote.and_then(|(_, auth)| auth.text("id"));
    let children = of.section("children").into_iter();
    let children = children.flat_map(Section::sections);
    let child = |(name, child): (&str, &Section)| ConfiguredChild {
        name: name.to_owned(),
        mode: child.owned("mode"),
        local_ts: child.list("local-ts").to_vec(),
        remote_ts: child.list("remote-ts").to_vec(),
    };
    Configured {
        name: name.to_owned(),
        local_addrs: of.list("local_addrs").to_vec(),
        remote_addrs: of.list("remote_addrs").to_vec(),
        remote_id: id.filter(|id| *id != "%any").unwrap_or_default().to_owned(),
        children: children.map(child).collect(),
    }
}
