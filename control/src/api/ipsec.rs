//! SAs and policies of IPsec, as the API has them: everything but keys.

use std::time::Instant;

use ironlane_ipsec::{Direction, Mode, PolicyDirection, Protocol, Reject};
use tonic::Status as Refusal;

use super::proto;
use crate::ipsec::charon::Shared;
use crate::ipsec::model::{PolicyView, SaView, Verdict};
use crate::ipsec::xfrm::XfrmReports;

/// The model, if there is one.
pub(super) fn known(shared: Option<&Shared>) -> Result<&Shared, Refusal> {
    shared.ok_or_else(|| {
        Refusal::failed_precondition(
            "IPsec is off: set charon_socket or xfrm in the [ipsec] section of the configuration",
        )
    })
}

/// What of the kernel's XFRM is taken and what not, if it is followed.
pub(super) fn xfrm(reports: Option<&XfrmReports>) -> Result<proto::IpsecXfrm, Refusal> {
    let report = reports.ok_or_else(|| {
        Refusal::failed_precondition(
            "the kernel's XFRM is not followed: set xfrm in the [ipsec] section of the configuration",
        )
    })?;
    let report = report.get();
    let refused = report.refused.into_iter();
    Ok(proto::IpsecXfrm {
        sas: report.sas as u64,
        policies: report.policies as u64,
        refused_sas: report.refused_sas as u64,
        refused_policies: report.refused_policies as u64,
        refused: refused
            .map(|refused| proto::IpsecRefused {
                subject: refused.subject,
                why: refused.why,
            })
            .collect(),
        malformed_messages: report.malformed,
        refused_orders: report.orders_refused,
        overruns: report.overruns,
    })
}

/// A direction that was asked for; `None` for all.
pub(super) fn direction(word: &str) -> Result<Option<PolicyDirection>, Refusal> {
    match word {
        "" => Ok(None),
        "in" => Ok(Some(PolicyDirection::In)),
        "out" => Ok(Some(PolicyDirection::Out)),
        "fwd" => Ok(Some(PolicyDirection::Fwd)),
        _ => Err(Refusal::invalid_argument(format!(
            "\"{word}\" is no direction of a policy; there are in, out and fwd"
        ))),
    }
}

/// The SAs of `reqid`, or all for 0.
pub(super) fn sas(shared: &Shared, reqid: u32) -> Vec<proto::IpsecSa> {
    let views = shared.with(|model| model.sas(Instant::now()));
    let wanted = views
        .iter()
        .filter(|view| reqid == 0 || view.spec.reqid == reqid);
    wanted.map(sa).collect()
}

/// The policies of `direction`, or all.
pub(super) fn policies(
    shared: &Shared,
    direction: Option<PolicyDirection>,
) -> Vec<proto::IpsecPolicy> {
    let views = shared.with(|model| model.policies());
    let wanted = views
        .iter()
        .filter(|view| direction.is_none_or(|d| view.key.direction == d));
    wanted.map(policy).collect()
}

fn sa(view: &SaView) -> proto::IpsecSa {
    let spec = &view.spec;
    let (src_port, dst_port) = spec
        .encap
        .map_or((0, 0), |encap| (encap.src_port, encap.dst_port));
    let drops = Reject::ALL
        .iter()
        .map(|&reason| (reason, view.stats.rejected(reason)));
    proto::IpsecSa {
        id: view.id.to_string(),
        direction: match spec.direction {
            Direction::In => "in",
            Direction::Out => "out",
        }
        .into(),
        protocol: protocol_word(spec.protocol).into(),
        spi: format!("{:#010x}", spec.spi),
        source: spec.src.to_string(),
        destination: spec.dst.to_string(),
        mode: mode_word(spec.mode).into(),
        algorithm: spec.algorithm.to_string(),
        key_bits: spec.cipher_key().len() as u32 * 8,
        reqid: spec.reqid,
        if_id: spec.if_id,
        udp_source_port: src_port.into(),
        udp_destination_port: dst_port.into(),
        extended_sequence_numbers: spec.esn,
        replay_window: spec.replay_window,
        installed_by: view.source.to_string(),
        connected: view.connected,
        age_s: view.age_s,
        rekey_in_s: view.soft_in_s,
        delete_in_s: view.hard_in_s,
        packets: view.stats.packets,
        bytes: view.stats.bytes,
        sequence: view.stats.seq,
        idle_s: view.idle_s,
        drops: drops
            .filter(|(_, packets)| *packets > 0)
            .map(|(reason, packets)| proto::IpsecDrop {
                reason: reason.name().into(),
                packets,
            })
            .collect(),
        path_mtu: view.path_mtu.map(u32::from),
        origin: None,
    }
}

fn policy(view: &PolicyView) -> proto::IpsecPolicy {
    let (key, of) = (&view.key, &view.of);
    let protects = of.verdict == Verdict::Protect;
    let where_protected = |word: &'static str| if protects { word } else { "" };
    proto::IpsecPolicy {
        direction: match key.direction {
            PolicyDirection::In => "in",
            PolicyDirection::Out => "out",
            PolicyDirection::Fwd => "fwd",
        }
        .into(),
        source: key.src.to_string(),
        destination: key.dst.to_string(),
        action: match of.verdict {
            Verdict::Protect => "protect",
            Verdict::Bypass => "bypass",
            Verdict::Discard => "discard",
        }
        .into(),
        priority: view.priority,
        reqid: of.reqid,
        mode: where_protected(mode_word(of.mode)).into(),
        protocol: where_protected(protocol_word(of.protocol)).into(),
        sa: view.sa.map(|id| id.to_string()).unwrap_or_default(),
        if_id: key.if_id,
        mark: key.mark.value,
        mark_mask: key.mark.mask,
        installed_by: view.source.to_string(),
        uses: view.uses as u32,
        idle_s: view.idle_s,
    }
}

fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Transport => "transport",
        Mode::Tunnel => "tunnel",
        Mode::Beet => "beet",
    }
}

fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Esp => "esp",
        Protocol::Ah => "ah",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ironlane_ipsec::{Algorithm, Auth, Cipher, SaSpec, Secret, Writer};
    use ironlane_rcu::Domain;

    use super::*;
    use crate::ipsec::model::{
        Class, Lifetime, Model, NewSa, PolicyKey, PolicyUse, Source, Tables, TrafficSelector,
    };

    /// One outbound SA with its policy.
    fn shared() -> Shared {
        let tables = Arc::new(ironlane_ipsec::Ipsec::new(&Domain::new()));
        let tables = Tables::new(Writer::without_device(tables), || 1000);
        let mut model = Model::new(Box::new(tables));
        let charon = Source::Charon(1);
        model.begin(charon);
        let gcm = Algorithm {
            cipher: Cipher::AesGcm { icv: 16 },
            auth: Auth::None,
        };
        let (src, dst) = (
            "192.0.2.1".parse().unwrap(),
            "198.51.100.1".parse().unwrap(),
        );
        let spec = SaSpec {
            enc_key: Secret::new(&[0xa5; 20]).unwrap(),
            reqid: 7,
            ..SaSpec::new(Direction::Out, 0xc123_4567, src, dst, gcm)
        };
        let new = NewSa {
            spec,
            lifetime: Lifetime::default(),
            age: Default::default(),
        };
        model.add_sa(charon, new, Instant::now()).unwrap();
        let net = |net: &str| TrafficSelector::net(net.parse().unwrap());
        let key = PolicyKey {
            direction: PolicyDirection::Out,
            src: net("10.1.0.0/16"),
            dst: net("10.2.0.0/16"),
            mark: Default::default(),
            if_id: 0,
        };
        let of = PolicyUse {
            verdict: Verdict::Protect,
            class: Class::Default,
            priority: 0,
            reqid: 7,
            mode: Mode::Tunnel,
            protocol: Protocol::Esp,
            spi: Some(0xc123_4567),
            outer: None,
            optional: false,
        };
        model.add_policy(charon, key, of).unwrap();
        Shared::new(model, 1)
    }

    #[test]
    fn an_sa_is_told_without_its_key() {
        let sas = sas(&shared(), 0);
        let text = serde_json::to_string(&sas).unwrap();
        assert_eq!((sas[0].spi.as_str(), sas[0].key_bits), ("0xc1234567", 128));
        assert_eq!(
            (sas[0].algorithm.as_str(), sas[0].rekey_in_s),
            ("aes-gcm-16", None)
        );
        assert!(!text.contains("a5a5") && !text.contains("165"), "{text}");
        assert!(super::sas(&shared(), 8).is_empty());
    }

    #[test]
    fn a_policy_names_the_sa_that_it_sends_by() {
        let shared = shared();
        let policies = policies(&shared, Some(PolicyDirection::Out));
        assert_eq!(policies[0].sa, sas(&shared, 7)[0].id);
        assert_eq!(policies[0].destination, "10.2.0.0/16");
        assert!(super::policies(&shared, Some(PolicyDirection::In)).is_empty());
        assert!(
            direction("sideways")
                .unwrap_err()
                .message()
                .contains("in, out and fwd")
        );
        assert!(known(None).unwrap_err().message().contains("[ipsec]"));
    }
}
