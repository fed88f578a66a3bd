//! Nothing that arrives makes the decoder panic or take what is not exactly right.

use proptest::prelude::*;

use super::super::decode;
use super::super::request::kind;
use super::bodies::samples;

#[test]
fn every_sample_is_good_and_wrong_when_a_byte_is_missing_or_too_many() {
    for (of, body) in samples() {
        decode(of, &mut body.clone()).unwrap_or_else(|e| panic!("{e}"));
        for len in 0..body.len() {
            let cut = decode(of, &mut body[..len].to_vec()).expect_err("a cut body was read");
            assert!(
                cut.at <= len && cut.to_string().contains(", byte "),
                "{cut}"
            );
        }
        let mut longer = body.clone();
        longer.push(0);
        let error = decode(of, &mut longer).unwrap_err().to_string();
        assert!(error.ends_with("1 bytes more than it has"), "{error}");
    }
}

#[test]
fn errors_say_where_and_what() {
    let error = |of: u8, at: usize, byte: u8| {
        let mut body = samples()
            .into_iter()
            .find(|(other, _)| *other == of)
            .unwrap()
            .1;
        body[at] = byte;
        decode(of, &mut body).unwrap_err().to_string()
    };
    assert_eq!(
        error(kind::DEL_SA, 0, 108),
        "del_sa, byte 0: 108 is no protocol (50 ESP, 51 AH)"
    );
    assert_eq!(
        error(kind::QUERY_SA, 5, 5),
        "query_sa, byte 5: 5 is no address family of source (4 or 6)"
    );
    assert_eq!(
        error(kind::ADD_POLICY, 0, 3),
        "add_policy, byte 0: 3 is no direction (0 in, 1 out, 2 forward)"
    );
    assert_eq!(
        error(kind::PORT, 0, 3),
        "port, byte 0: 3 is no use of a port"
    );
    // First and last address exchanged.
    assert_eq!(
        error(kind::QUERY_POLICY, 2, 11),
        "query_policy, byte 1: source selector: a range of addresses ends before it begins"
    );
    assert_eq!(
        decode(99, &mut []).unwrap_err().to_string(),
        "message of type 99, byte 0: there is no such request"
    );
}

#[test]
fn a_count_of_selectors_takes_no_memory_by_itself() {
    let (of, body) = samples().remove(2);
    // The selectors are last: their count is where the tail of two lists and a text begins.
    let tail = 2 + (1 + 8 + 5) + (1 + 32 + 5);
    let at = body.len() - 2 - 2 * tail;
    let mut body = body[..at + 2].to_vec();
    body[at..].copy_from_slice(&[0xff, 0xff]);
    let error = decode(of, &mut body).unwrap_err().to_string();
    assert!(error.contains("source selectors"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_bytes_are_read_or_refused(of in 0u8..20, mut body in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(of, &mut body);
    }

    #[test]
    fn changed_bytes_are_read_or_refused(
        which in 0usize..13,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (of, mut body) = samples().remove(which);
        for (at, byte) in changes {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
        }
        body.truncate(cut.index(body.len() + 1).max(body.len() / 2));
        if let Err(e) = decode(of, &mut body) {
            prop_assert!(e.at <= body.len() && !e.what.is_empty());
        }
    }
}
