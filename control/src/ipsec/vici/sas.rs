//! IKE SAs and their CHILD SAs, as charon has them.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::connection::{Connection, ViciError, succeeded, within};
use super::message::Section;

/// One end of an IKE SA.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// Address; `%any` as long as charon does not know it.
    pub host: String,
    /// UDP port.
    pub port: u16,
    /// Identity, as it was authenticated: with EAP or XAuth that of the user.
    pub id: String,
    /// Addresses from a pool that this end has.
    pub virtual_ips: Vec<String>,
}

/// An IKE SA.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IkeSa {
    /// Name of the connection in the configuration.
    pub name: String,
    /// Number that no other one has in this run of charon.
    pub id: u32,
    /// `ESTABLISHED`, `CONNECTING` ...
    pub state: String,
    /// 1 or 2.
    pub version: u8,
    /// This end.
    pub local: Endpoint,
    /// The peer.
    pub remote: Endpoint,
    /// Whether this end began it.
    pub initiator: bool,
    /// What it is protected by: cipher, PRF, Diffie-Hellman group.
    pub algorithms: String,
    /// Seconds since it was established.
    pub age_s: Option<u64>,
    /// Seconds until it is rekeyed.
    pub rekey_in_s: Option<i64>,
    /// Seconds until it is authenticated anew.
    pub reauth_in_s: Option<i64>,
    /// Its CHILD SAs.
    pub children: Vec<ChildSa>,
}

/// A CHILD SA: a pair of SAs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChildSa {
    /// Its name in the configuration.
    pub name: String,
    /// Number that no other one has in this run of charon.
    pub id: u32,
    /// Request id, which policies and SAs have in common.
    pub reqid: u32,
    /// `INSTALLED`, `REKEYED` ...
    pub state: String,
    /// `TUNNEL`, `TRANSPORT` or `BEET`.
    pub mode: String,
    /// `ESP` or `AH`.
    pub protocol: String,
    /// SPI of the SA that receives.
    pub spi_in: u32,
    /// SPI of the SA that sends.
    pub spi_out: u32,
    /// What it is for, at this end.
    pub local_ts: Vec<String>,
    /// What it is for, at the other end.
    pub remote_ts: Vec<String>,
    /// Seconds since it was installed.
    pub age_s: Option<u64>,
    /// Seconds until it is rekeyed.
    pub rekey_in_s: Option<i64>,
}

/// All IKE SAs. charon asks the router for the counts of each CHILD SA meanwhile.
///
/// # Errors
/// If charon does not answer within `limit`.
pub async fn list(path: &Path, limit: Duration) -> Result<Vec<IkeSa>, ViciError> {
    let asked = async {
        let mut sas = Vec::new();
        let mut connection = Connection::open(path).await?;
        let each = |message: Section| sas.extend(IkeSa::all(&message));
        let request = Section::default();
        let answer = connection.call("list-sas", "list-sa", &request, each);
        succeeded(answer.await?)?;
        sas.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(sas)
    };
    within(limit, asked).await
}

impl IkeSa {
    /// Those of a message: each is a section with the name of its connection.
    pub(super) fn all(message: &Section) -> impl Iterator<Item = Self> {
        message.sections().map(|(name, sa)| Self::of(name, sa))
    }

    pub(super) fn of(name: &str, sa: &Section) -> Self {
        let children = sa.section("child-sas");
        let children = children.into_iter().flat_map(Section::sections);
        Self {
            name: name.to_owned(),
            id: sa.number("uniqueid").unwrap_or_default(),
            state: sa.owned("state"),
            version: sa.number("version").unwrap_or_default(),
            local: Endpoint::of(sa, "local"),
            remote: Endpoint::of(sa, "remote"),
            initiator: sa.is("initiator"),
            algorithms: algorithms(sa),
            age_s: sa.number("established"),
            rekey_in_s: sa.number("rekey-time"),
            reauth_in_s: sa.number("reauth-time"),
            children: children.map(|(_, child)| ChildSa::of(child)).collect(),
        }
    }
}

impl Endpoint {
    fn of(sa: &Section, end: &str) -> Self {
        let key = |what: &str| format!("{end}-{what}");
        let id = ["eap-id", "xauth-id", "id"]
            .iter()
            .find_map(|kind| sa.text(&key(kind)));
        Self {
            host: sa.owned(&key("host")),
            port: sa.number(&key("port")).unwrap_or_default(),
            id: id.unwrap_or_default().to_owned(),
            virtual_ips: sa.list(&key("vips")).to_vec(),
        }
    }

    /// Its address, if it is known.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

fn algorithms(sa: &Section) -> String {
    let of = |name: &str, size: &str| {
        let name = sa.text(name)?;
        Some(match sa.text(size) {
            Some(size) => format!("{name}-{size}"),
            None => name.to_owned(),
        })
    };
    let all = [
        of("encr-alg", "encr-keysize"),
        of("integ-alg", "integ-keysize"),
        of("prf-alg", ""),
        of("dh-group", ""),
    ];
    let all: Vec<_> = all.into_iter().flatten().collect();
    all.join("/")
}

impl ChildSa {
    pub(super) fn of(child: &Section) -> Self {
        let spi = |name: &str| {
            let text = child.text(name).unwrap_or_default();
            u32::from_str_radix(text, 16).unwrap_or_default()
        };
        Self {
            name: child.owned("name"),
            id: child.number("uniqueid").unwrap_or_default(),
            reqid: child.number("reqid").unwrap_or_default(),
            state: child.owned("state"),
            mode: child.owned("mode"),
            protocol: child.owned("protocol"),
            spi_in: spi("spi-in"),
            spi_out: spi("spi-out"),
            local_ts: child.list("local-ts").to_vec(),
            remote_ts: child.list("remote-ts").to_vec(),
            age_s: child.number("install-time"),
            rekey_in_s: child.number("rekey-time"),
        }
    }
}
