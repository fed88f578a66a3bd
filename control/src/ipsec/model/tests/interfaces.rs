//! IPsec interfaces: what names one that there is not is refused, and SAs keep to theirs.

use super::*;

fn with_interfaces() -> Bench {
    let mut b = bench();
    let name = |if_id, mark| InterfaceName { if_id, mark };
    b.model
        .set_interfaces(vec![name(42, 0), name(43, 0), name(0, 9)]);
    b
}

fn sa_of(direction: Direction, spi: u32, if_id: u32, mark: Mark) -> NewSa {
    let mut new = sa(direction, spi);
    (new.spec.if_id, new.spec.mark) = (if_id, mark);
    new
}

#[test]
fn what_names_no_interface_is_refused_by_name() {
    let mut b = with_interfaces();
    let (none, all) = (Mark::default(), u32::MAX);
    let mark = |value, mask| Mark { value, mask };
    let cases = [
        (42, none, ""),
        (0, mark(9, all), ""),
        (0, mark(1, 3), ""),
        (
            44,
            none,
            "if_id 44: no [[ipsec_interface]] of the router has it",
        ),
        (
            0,
            mark(8, all),
            "mark 0x8/0xffffffff: no [[ipsec_interface]] of the router has it",
        ),
        (
            42,
            mark(9, all),
            "if_id 42 with mark 0x9; take one of the two",
        ),
    ];
    for (spi, (if_id, mark, refusal)) in (1000..).zip(cases) {
        let new = sa_of(Direction::In, spi, if_id, mark);
        let key = PolicyKey {
            if_id,
            mark,
            ..policy(PolicyDirection::In)
        };
        let added = [
            b.model.add_sa(CHARON, new, b.now),
            b.model.add_policy(CHARON, key, protect(None)),
        ];
        for result in added {
            match (refusal, result) {
                ("", result) => assert_eq!(result, Ok(())),
                (_, Err(Refusal::NotSupported(told))) => {
                    assert!(told.starts_with(refusal), "{told}")
                }
                (_, other) => panic!("{other:?} is not {refusal}"),
            }
        }
    }
    let mut transport = sa_of(Direction::Out, 2000, 42, none);
    transport.spec.mode = Mode::Transport;
    let refused = b.model.add_sa(CHARON, transport, b.now);
    assert!(matches!(refused, Err(Refusal::NotSupported(_))));
}

#[test]
fn a_policy_sends_by_sas_of_its_own_interface_though_another_has_its_reqid() {
    let mut b = with_interfaces();
    let key = PolicyKey {
        if_id: 42,
        ..policy(PolicyDirection::Out)
    };
    b.model.add_policy(CHARON, key, protect(None)).unwrap();
    b.add_sa(sa_of(Direction::Out, 1000, 43, Mark::default()));
    b.add_sa(sa(Direction::Out, 1001));
    assert_eq!(b.bound(), None);
    let own = b.add_sa(sa_of(Direction::Out, 1002, 42, Mark::default()));
    b.add_sa(sa_of(Direction::Out, 1003, 43, Mark::default()));
    assert_eq!(b.bound(), Some(own));
}
