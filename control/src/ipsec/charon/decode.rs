//! Makes requests of frames. Nothing that arrives makes it panic, and every error says where.

use ironlane_ipsec::{Mode, PolicyDirection, Protocol};

use super::reader::{Malformed, Read, Reader};
use super::request::{
    AddSa, Lifetimes, PolicyName, Request, SaName, UpdateSa, UseOfPolicy, flag, kind,
};
use crate::ipsec::model::{Class, PortUse, Verdict};

/// What the body of a frame of this type asks. Keys in it are wiped.
///
/// # Errors
/// [`Malformed`] for a type that there is not, and for a body that is not exactly as it should be.
pub fn decode(of: u8, body: &mut [u8]) -> Result<Request, Malformed> {
    let mut r = Reader::new(of, body);
    let request = match of {
        kind::HELLO => Request::Hello {
            version: r.u16("version")?,
            instance: r.u64("instance")?,
            who: r.text("name")?,
        },
        kind::GET_SPI => {
            let protocol = protocol(&mut r)?;
            r.address("source")?;
            Request::GetSpi {
                protocol,
                dst: r.address("destination")?,
                least: r.u32("least SPI")?,
                greatest: r.u32("greatest SPI")?,
            }
        }
        kind::ADD_SA => Request::AddSa(Box::new(add_sa(&mut r)?)),
        kind::UPDATE_SA => Request::UpdateSa(update_sa(&mut r)?),
        kind::QUERY_SA => Request::QuerySa(sa_name(&mut r)?),
        kind::DEL_SA => Request::DelSa(sa_name(&mut r)?),
        kind::FLUSH_SAS => Request::FlushSas,
        kind::ADD_POLICY => Request::AddPolicy(policy_name(&mut r)?, policy_use(&mut r)?),
        kind::QUERY_POLICY => Request::QueryPolicy(policy_name(&mut r)?),
        kind::DEL_POLICY => Request::DelPolicy(policy_name(&mut r)?, policy_use(&mut r)?),
        kind::FLUSH_POLICIES => Request::FlushPolicies,
        kind::PORT => {
            let of = r.choice("use of a port", |byte| match byte {
                1 => Some(PortUse::Bypass),
                2 => Some(PortUse::Decapsulate),
                _ => None,
            })?;
            r.choice("address family", |family| {
                matches!(family, 4 | 6).then_some(())
            })?;
            Request::Port(of, r.u16("port")?)
        }
        kind::SYNCED => Request::Synced,
        _ => return r.fault(0, "there is no such request"),
    };
    r.end()?;
    Ok(request)
}

fn protocol(r: &mut Reader<'_>) -> Read<Protocol> {
    r.choice("protocol (50 ESP, 51 AH)", Protocol::from_number)
}

fn mode(byte: u8) -> Option<Mode> {
    match byte {
        1 => Some(Mode::Transport),
        2 => Some(Mode::Tunnel),
        3 => Some(Mode::Beet),
        _ => None,
    }
}

fn sa_name(r: &mut Reader<'_>) -> Read<SaName> {
    Ok(SaName {
        protocol: protocol(r)?,
        spi: r.u32("SPI")?,
        src: r.address("source")?,
        dst: r.address("destination")?,
        mark: r.mark("mark")?,
        if_id: r.u32("if_id")?,
    })
}

fn add_sa(r: &mut Reader<'_>) -> Read<AddSa> {
    Ok(AddSa {
        name: sa_name(r)?,
        reqid: r.u32("reqid")?,
        mode: r.choice("mode", mode)?,
        flags: match r.u16("flags")? {
            flags if flags & !flag::ALL == 0 => flags,
            flags => return r.fault(2, format!("flags {flags:#x} has unknown ones")),
        },
        dscp: r.choice("way to copy DSCP (0 to 3)", |byte| {
            (byte <= 3).then_some(byte)
        })?,
        enc_alg: r.u16("encryption algorithm")?,
        enc_key: r.secret("encryption key")?,
        int_alg: r.u16("integrity algorithm")?,
        int_key: r.secret("integrity key")?,
        replay_window: r.u32("replay window")?,
        tfc: r.u32("TFC padding")?,
        ports: (r.u16("source port")?, r.u16("destination port")?),
        set_mark: r.mark("mark to set")?,
        lifetimes: Lifetimes {
            hard_s: r.u64("hard lifetime")?,
            soft_s: r.u64("soft lifetime")?,
            hard_bytes: r.u64("hard limit of bytes")?,
            soft_bytes: r.u64("soft limit of bytes")?,
            hard_packets: r.u64("hard limit of packets")?,
            soft_packets: r.u64("soft limit of packets")?,
        },
        age_ms: r.u64("age")?,
        src_ts: r.selectors("source selectors")?,
        dst_ts: r.selectors("destination selectors")?,
        interface: r.text("interface")?,
    })
}

fn update_sa(r: &mut Reader<'_>) -> Read<UpdateSa> {
    let name = sa_name(r)?;
    let (src, dst) = (r.address("new source")?, r.address("new destination")?);
    let encap = r.flag("encapsulation (0 or 1)")?;
    let ports = (r.u16("source port")?, r.u16("destination port")?);
    Ok(UpdateSa {
        name,
        src,
        dst,
        ports: encap.then_some(ports),
        reqid: r.u32("reqid")?,
    })
}

fn policy_name(r: &mut Reader<'_>) -> Read<PolicyName> {
    Ok(PolicyName {
        direction: r.choice("direction (0 in, 1 out, 2 forward)", |byte| match byte {
            0 => Some(PolicyDirection::In),
            1 => Some(PolicyDirection::Out),
            2 => Some(PolicyDirection::Fwd),
            _ => None,
        })?,
        src: r.selector("source selector")?,
        dst: r.selector("destination selector")?,
        mark: r.mark("mark")?,
        if_id: r.u32("if_id")?,
        interface: r.text("interface")?,
    })
}

fn policy_use(r: &mut Reader<'_>) -> Read<UseOfPolicy> {
    let verdict = r.choice("kind of policy (1 to 3)", |byte| match byte {
        1 => Some(Verdict::Protect),
        2 => Some(Verdict::Bypass),
        3 => Some(Verdict::Discard),
        _ => None,
    })?;
    Ok(UseOfPolicy {
        verdict,
        class: r.choice("class (0 to 3)", |byte| {
            [Class::Pass, Class::Default, Class::Routed, Class::Fallback]
                .get(usize::from(byte))
                .copied()
        })?,
        priority: r.u32("priority")?,
        reqid: r.u32("reqid")?,
        mode: r.choice("mode", |byte| match byte {
            0 | 4 | 5 => Some(None),
            other => mode(other).map(Some),
        })?,
        protocol: r.choice("protocol (0, 50 ESP, 51 AH)", |byte| match byte {
            0 => Some(None),
            other => Protocol::from_number(other).map(Some),
        })?,
        spi: r.u32("SPI")?,
        src: r.address("source")?,
        dst: r.address("destination")?,
    })
}
