use super::*;
use crate::ipsec::vici::{ConfiguredChild, Endpoint};

fn ike_sa() -> IkeSa {
    let end = |host: &str, id: &str| Endpoint {
        host: host.into(),
        port: 500,
        id: id.into(),
        virtual_ips: Vec::new(),
    };
    IkeSa {
        name: "site-b".into(),
        id: 1,
        state: "ESTABLISHED".into(),
        local: end("192.0.2.1", "a.example.org"),
        remote: end("2001:db8::2", "b.example.org"),
        children: vec![ChildSa {
            name: "nets".into(),
            id: 3,
            protocol: "ESP".into(),
            mode: "TUNNEL".into(),
            spi_in: 0xc123_4567,
            spi_out: 7,
            ..ChildSa::default()
        }],
        ..IkeSa::default()
    }
}

#[test]
fn an_sa_gets_the_names_of_its_child_sa_and_no_others() {
    let sa = |direction: &str, protocol: &str, spi: &str, destination: &str| proto::IpsecSa {
        direction: direction.into(),
        protocol: protocol.into(),
        spi: spi.into(),
        destination: destination.into(),
        ..proto::IpsecSa::default()
    };
    let mut sas = [
        sa("in", "esp", "0xc1234567", "192.0.2.1"),
        sa("out", "esp", "0x00000007", "2001:db8::2"),
        // The same number with another direction, protocol or destination is another SA.
        sa("in", "esp", "0x00000007", "2001:db8::2"),
        sa("out", "ah", "0x00000007", "2001:db8::2"),
        sa("out", "esp", "0x00000007", "2001:db8::3"),
    ];
    join(&[ike_sa()], &mut sas);
    let found = sas
        .each_ref()
        .map(|sa| sa.origin.as_ref().map(|o| o.child_id));
    assert_eq!(found, [Some(3), Some(3), None, None, None]);
    let origin = sas[0].origin.as_ref().unwrap();
    assert_eq!(
        (origin.connection.as_str(), origin.remote_id.as_str()),
        ("site-b", "b.example.org")
    );
}

#[test]
fn what_is_configured_and_not_up_is_listed_as_well() {
    let child = |name: &str| ConfiguredChild {
        name: name.into(),
        ..ConfiguredChild::default()
    };
    let configured = [
        Configured {
            name: "site-b".into(),
            children: vec![child("nets"), child("voice")],
            ..Configured::default()
        },
        Configured {
            name: "clients".into(),
            remote_addrs: vec!["%any".into()],
            ..Configured::default()
        },
    ];
    let all = joined(&configured, &[ike_sa()]);
    assert_eq!(
        (all[0].connection.as_str(), all[0].state.as_str()),
        ("clients", "")
    );
    let children: Vec<_> = all[1].children.iter().map(|c| (&*c.name, c.id)).collect();
    assert_eq!(children, [("nets", 3), ("voice", 0)]);
    assert_eq!(all[1].children[0].spi_out, "0x00000007");
}

#[test]
fn without_vici_the_answer_says_which_line_is_missing() {
    let refused = known(None).unwrap_err();
    assert!(refused.message().contains("vici = \"/run/charon.vici\""));
}

#[test]
fn an_sa_has_a_name_or_a_number() {
    assert_eq!(which("a".into(), 0).unwrap(), Some(Which::Name("a".into())));
    assert_eq!(which(String::new(), 7).unwrap(), Some(Which::Id(7)));
    assert_eq!(which(String::new(), 0).unwrap(), None);
    assert!(which("a".into(), 7).is_err());
}
