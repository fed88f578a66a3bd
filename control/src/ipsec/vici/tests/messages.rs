use proptest::prelude::*;

use crate::ipsec::vici::event::{Event, EventKind};
use crate::ipsec::vici::sas::IkeSa;
use crate::ipsec::vici::{Section, Value};

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn section(of: &[(&str, &str)]) -> Section {
    let with = |section: Section, (name, value): &(&str, &str)| section.with(name, text(value));
    of.iter().fold(Section::default(), with)
}

fn encoded(message: &Section) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes).unwrap();
    bytes
}

/// The example of the protocol's description, byte by byte.
#[test]
fn a_message_is_as_the_protocol_has_it() {
    let sub = Value::Section(section(&[("key2", "value2")]));
    let list = Value::List(vec!["item1".into(), "item2".into()]);
    let message = Section::default().with("key1", text("value1")).with(
        "section1",
        Value::Section(
            Section::default()
                .with("sub-section", sub)
                .with("list1", list),
        ),
    );
    let bytes: Vec<u8> = [
        &b"\x03\x04key1\x00\x06value1"[..],
        b"\x01\x08section1",
        b"\x01\x0bsub-section\x03\x04key2\x00\x06value2\x02",
        b"\x04\x05list1\x05\x00\x05item1\x05\x00\x05item2\x06",
        b"\x02",
    ]
    .concat();
    assert_eq!(encoded(&message), bytes);
    assert_eq!(Section::decode(&bytes).unwrap(), message);
}

#[test]
fn what_ends_early_or_is_out_of_place_is_refused() {
    for bytes in [
        &b"\x03"[..],                  // no name
        b"\x03\x04key",                // a name that is cut
        b"\x03\x01k\x00\x05abc",       // a text that is cut
        b"\x01\x01s",                  // a section without end
        b"\x04\x01l\x05\x00\x01a",     // a list without end
        b"\x04\x01l\x03\x01k\x00\x00", // a text in a list
        b"\x02",                       // an end without beginning
        b"\x05\x00\x01a",              // an item outside of a list
        b"\x07\x01k",                  // no such element
        &b"\x01\x01s".repeat(100_000), // deeper than any stack
    ] {
        assert!(Section::decode(bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn what_a_peer_says_cannot_steer_a_terminal() {
    let message = Section::decode(b"\x03\x02id\x00\x08\x1b[2J\xffab\n").unwrap();
    assert_eq!(message.text("id"), Some("?[2J\u{fffd}ab?"));
}

#[test]
fn what_is_too_long_is_not_cut() {
    let long = "x".repeat(70_000);
    let refused = section(&[("child", &long)]).encode(&mut Vec::new());
    assert!(refused.unwrap_err().contains("70000 bytes is too long"));
    let name = "x".repeat(300);
    assert!(section(&[(&name, "")]).encode(&mut Vec::new()).is_err());
}

/// An IKE SA as charon writes it.
fn ike_sa() -> Section {
    let child = section(&[
        ("name", "nets"),
        ("uniqueid", "3"),
        ("reqid", "1"),
        ("state", "INSTALLED"),
        ("mode", "TUNNEL"),
        ("protocol", "ESP"),
        ("spi-in", "c1234567"),
        ("spi-out", "0c7654321"),
        ("rekey-time", "3200"),
    ])
    .with("local-ts", Value::List(vec!["10.1.0.0/16".into()]));
    let children = Section::default().with("nets-3", Value::Section(child));
    section(&[
        ("uniqueid", "1"),
        ("version", "2"),
        ("state", "ESTABLISHED"),
        ("local-host", "192.0.2.1"),
        ("local-port", "500"),
        ("remote-host", "198.51.100.1"),
        ("remote-port", "4500"),
        ("remote-id", "b.example.org"),
        ("remote-eap-id", "carol"),
        ("initiator", "yes"),
        ("encr-alg", "AES_GCM_16"),
        ("encr-keysize", "128"),
        ("dh-group", "ECP_256"),
        ("established", "12"),
        ("rekey-time", "-4"),
    ])
    .with("child-sas", Value::Section(children))
}

#[test]
fn an_ike_sa_is_understood() {
    let message = Section::default().with("site-b", Value::Section(ike_sa()));
    let sa = IkeSa::all(&message).next().unwrap();
    assert_eq!((sa.name.as_str(), sa.id, sa.initiator), ("site-b", 1, true));
    assert_eq!(sa.remote.port, 4500);
    assert_eq!(sa.remote.id, "carol", "who it is that was authenticated");
    assert_eq!(sa.algorithms, "AES_GCM_16-128/ECP_256");
    assert_eq!(
        (sa.age_s, sa.rekey_in_s, sa.reauth_in_s),
        (Some(12), Some(-4), None)
    );
    let child = &sa.children[0];
    assert_eq!((child.id, child.spi_in), (3, 0xc123_4567));
    assert_eq!(child.local_ts, ["10.1.0.0/16"]);
}

#[test]
fn events_are_understood() {
    let ike = || Value::Section(ike_sa());
    let only = |name: &str, message: &Section| {
        let events = Event::all(name, message);
        assert_eq!(events.len(), 1, "{name}: {events:?}");
        events.into_iter().next().unwrap()
    };
    let up = only("ike-updown", &section(&[("up", "yes")]).with("s", ike()));
    assert_eq!((up.kind, up.ike_id), (EventKind::IkeUp, 1));
    let down = only("ike-updown", &Section::default().with("s", ike()));
    assert_eq!(down.kind, EventKind::IkeDown);
    let child = only("child-updown", &section(&[("up", "yes")]).with("s", ike()));
    assert_eq!((child.kind, child.child_id), (EventKind::ChildUp, 3));
    assert_eq!(child.spis.0, 0xc123_4567);

    let new = section(&[("uniqueid", "2")]);
    let pair = Section::default()
        .with("old", ike())
        .with("new", Value::Section(new));
    let message = Section::default().with("s", Value::Section(pair));
    let rekeyed = only("ike-rekey", &message);
    assert_eq!((rekeyed.kind, rekeyed.ike_id), (EventKind::IkeRekey, 2));

    let new = section(&[("uniqueid", "4"), ("name", "nets"), ("spi-in", "8")]);
    let pair = Section::default()
        .with("old", Value::Section(section(&[("uniqueid", "3")])))
        .with("new", Value::Section(new));
    let children = Section::default().with("nets-3", Value::Section(pair));
    let ike = section(&[("uniqueid", "1")]).with("child-sas", Value::Section(children));
    let rekeyed = only(
        "child-rekey",
        &Section::default().with("s", Value::Section(ike)),
    );
    assert_eq!(
        (rekeyed.kind, rekeyed.child_id, rekeyed.spis.0),
        (EventKind::ChildRekey, 4, 8)
    );

    let to = section(&[
        ("local-host", "192.0.2.1"),
        ("local-port", "500"),
        ("remote-host", "203.0.113.9"),
        ("remote-port", "1027"),
    ]);
    let moved = only("ike-update", &to.with("s", Value::Section(ike_sa())));
    assert_eq!(
        (moved.kind, moved.remote.as_str()),
        (EventKind::IkeMoved, "203.0.113.9")
    );
    assert!(
        moved
            .text
            .ends_with("to 192.0.2.1[500] - 203.0.113.9[1027]")
    );
    let alert = only("alert", &section(&[("type", "peer-auth-failed")]));
    assert_eq!(alert.text, "type=peer-auth-failed");
    assert!(Event::all("log", &Section::default()).is_empty());
}

fn values() -> impl Strategy<Value = Section> {
    let word = "[ -~äß]{0,20}";
    let leaf = prop_oneof![
        word.prop_map(Value::Text),
        prop::collection::vec(word, 0..4).prop_map(Value::List),
    ];
    let tree = leaf.prop_recursive(4, 40, 5, move |inner| {
        let members = prop::collection::vec((word, inner), 0..5);
        members.prop_map(|members| Value::Section(Section::from(members)))
    });
    prop::collection::vec((word, tree), 0..5).prop_map(Section::from)
}

proptest! {
    #[test]
    fn a_message_comes_back_as_it_was(message in values()) {
        prop_assert_eq!(Section::decode(&encoded(&message)).unwrap(), message);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(0u8..8, 0..200)) {
        // Few values, so that most bytes are elements and short lengths.
        let _ = Section::decode(&bytes).map(|message| {
            for name in ["ike-updown", "ike-rekey", "ike-update", "child-updown", "child-rekey", "alert"] {
                Event::all(name, &message);
            }
        });
    }
}
