//! What charon says, in the words of the model. What the router cannot do is refused here, by name.

use std::time::Duration;

use ironlane_fib::VrfId;
use ironlane_ipsec::{
    Algorithm, Auth, Cipher, Df, Direction, Dscp, Limits, Mode, Protocol, SaSpec, Selector,
    UdpEncap,
};

use super::request::{AddSa, PolicyName, SaName, UpdateSa, UseOfPolicy, flag};
use crate::ipsec::model::{
    Lifetime, NewSa, PolicyKey, PolicyUse, Refusal, SaChange, SaKey, Verdict, selectors,
};

/// `tfc_padding = mtu` of swanctl.conf.
const TFC_MTU: u32 = u32::MAX;
/// Most selectors that an SA is given to check inner packets by; with more, policies decide alone.
const MAX_SA_SELECTORS: usize = 64;

fn unsupported<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::NotSupported(what.into()))
}

pub(super) fn sa_key(name: &SaName) -> SaKey {
    SaKey {
        protocol: name.protocol,
        spi: name.spi,
        dst: name.dst,
    }
}

fn seconds(limit: u64) -> Option<Duration> {
    (limit != 0).then(|| Duration::from_secs(limit))
}

pub(super) fn new_sa(sa: AddSa) -> Result<NewSa, Refusal> {
    let inbound = sa.has(flag::INBOUND);
    if !sa.interface.is_empty() {
        return unsupported(
            "SAs bound to an interface (interface in swanctl.conf); use if_id_in and if_id_out",
        );
    }
    let spec = SaSpec {
        direction: if inbound {
            Direction::In
        } else {
            Direction::Out
        },
        protocol: sa.name.protocol,
        spi: sa.name.spi,
        src: sa.name.src,
        dst: sa.name.dst,
        vrf: VrfId::DEFAULT,
        mode: sa.mode,
        algorithm: algorithm(sa.name.protocol, sa.enc_alg, sa.int_alg)?,
        esn: sa.has(flag::ESN),
        replay_window: sa.replay_window,
        last_seq: 0,
        encap: sa.has(flag::ENCAP).then_some(encap(sa.ports)),
        reqid: sa.reqid,
        if_id: sa.name.if_id,
        mark: match (inbound, sa.set_mark.mask) {
            (_, 0) => sa.name.mark,
            (true, _) => sa.set_mark,
            (false, _) => return unsupported("set_mark_out: packets get no mark when they leave"),
        },
        selectors: sa_selectors(&sa, inbound)?,
        dscp: dscp(sa.dscp)?,
        df: if sa.has(flag::COPY_DF) {
            Df::Copy
        } else {
            Df::Clear
        },
        ecn: sa.has(flag::COPY_ECN),
        tfc_pad: match sa.tfc {
            TFC_MTU => return unsupported("tfc_padding = mtu; give a number of bytes"),
            tfc => u16::try_from(tfc)
                .or_else(|_| unsupported(format!("TFC padding to {tfc} bytes")))?,
        },
        limits: Limits {
            soft_bytes: sa.lifetimes.soft_bytes,
            hard_bytes: sa.lifetimes.hard_bytes,
            soft_packets: sa.lifetimes.soft_packets,
            hard_packets: sa.lifetimes.hard_packets,
        },
        enc_key: sa.enc_key,
        auth_key: sa.int_key,
    };
    let lifetime = Lifetime {
        soft: seconds(sa.lifetimes.soft_s),
        hard: seconds(sa.lifetimes.hard_s),
    };
    Ok(NewSa {
        spec,
        lifetime,
        age: Duration::from_millis(sa.age_ms),
    })
}

fn encap((src_port, dst_port): (u16, u16)) -> UdpEncap {
    UdpEncap { src_port, dst_port }
}

/// What inner packets of an SA may be. In transport mode behind a NAT, selectors have addresses that
/// packets have not (RFC 3948 3.1.2); what leaves was chosen by its policy.
fn sa_selectors(sa: &AddSa, inbound: bool) -> Result<Vec<Selector>, Refusal> {
    let beet = sa.mode == Mode::Beet;
    if !beet && (!inbound || (sa.mode == Mode::Transport && sa.has(flag::ENCAP))) {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for src in &sa.src_ts {
        for dst in sa
            .dst_ts
            .iter()
            .filter(|dst| dst.addresses().0.is_ipv4() == src.addresses().0.is_ipv4())
        {
            all.extend(selectors(src, dst)?);
            if all.len() > MAX_SA_SELECTORS {
                return Ok(Vec::new());
            }
        }
    }
    Ok(all)
}

/// The algorithm of IKEv2 transform ids (RFC 7296 3.3.2 and the registry of IANA).
fn algorithm(protocol: Protocol, enc: u16, int: u16) -> Result<Algorithm, Refusal> {
    let cipher = match enc {
        11 | 1024 => Cipher::Null,
        12 => Cipher::AesCbc,
        13 => Cipher::AesCtr,
        18 => Cipher::AesGcm { icv: 8 },
        19 => Cipher::AesGcm { icv: 12 },
        20 => Cipher::AesGcm { icv: 16 },
        21 => Cipher::AesGmac,
        28 => Cipher::ChaCha20Poly1305,
        _ => {
            return unsupported(format!(
                "encryption algorithm {enc} (of the IKEv2 registry); there are AES-CBC, -CTR, -GCM, -GMAC, \
                 ChaCha20-Poly1305 and NULL"
            ));
        }
    };
    let auth = match int {
        1024 | 0 => Auth::None,
        2 => Auth::HmacSha1_96,
        9..=11 if protocol == Protocol::Ah => Auth::AesGmac,
        12 => Auth::HmacSha256_128,
        13 => Auth::HmacSha384_192,
        14 => Auth::HmacSha512_256,
        _ => {
            return unsupported(format!(
                "integrity algorithm {int} (of the IKEv2 registry); there are HMAC with SHA-1, SHA-256, \
                 SHA-384 and SHA-512, and GMAC for AH"
            ));
        }
    };
    Ok(Algorithm { cipher, auth })
}

fn dscp(way: u8) -> Result<Dscp, Refusal> {
    match way {
        0 => Ok(Dscp::Copy),
        3 => Ok(Dscp::Set(0)),
        _ => unsupported("copy_dscp = in or yes: the inner DSCP is never changed; use out or no"),
    }
}

pub(super) fn change(of: &UpdateSa) -> SaChange {
    SaChange {
        src: of.src,
        dst: of.dst,
        encap: of.ports.map(encap),
        reqid: (of.reqid != 0).then_some(of.reqid),
    }
}

pub(super) fn policy_key(name: &PolicyName) -> Result<PolicyKey, Refusal> {
    if !name.interface.is_empty() {
        return unsupported("policies bound to an interface; use if_id_in and if_id_out");
    }
    let PolicyName {
        direction,
        src,
        dst,
        mark,
        if_id,
        ..
    } = *name;
    Ok(PolicyKey {
        direction,
        src,
        dst,
        mark,
        if_id,
    })
}

pub(super) fn policy_use(of: &UseOfPolicy) -> Result<PolicyUse, Refusal> {
    let UseOfPolicy {
        verdict,
        class,
        priority,
        reqid,
        ..
    } = *of;
    if verdict == Verdict::Protect && of.mode.is_none() {
        return unsupported("a policy that protects without a mode");
    }
    Ok(PolicyUse {
        verdict,
        class,
        priority,
        reqid,
        mode: of.mode.unwrap_or(Mode::Tunnel),
        // A trap does not know yet which one it will be.
        protocol: of.protocol.unwrap_or(Protocol::Esp),
        spi: (of.spi != 0).then_some(of.spi),
        // IKE's reqids are of one peer each.
        outer: None,
        optional: false,
    })
}
