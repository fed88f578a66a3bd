//! What a source has told stays, is told again, or goes with it.

use super::*;

#[test]
fn what_a_source_does_not_tell_again_goes_and_soft_ends_are_told_again() {
    let (mut b, out) = (bench(), policy(PolicyDirection::Out));
    let kept = b.add_sa(sa(Direction::Out, 1000));
    b.add_sa(sa(Direction::Out, 2000));
    b.model
        .add_policy(CHARON, out, protect(Some(1000)))
        .unwrap();
    b.model
        .add_policy(CHARON, out, protect(Some(2000)))
        .unwrap();
    let key = sa(Direction::Out, 1000).key();
    assert_eq!(b.after(30).len(), 2);
    b.model.disconnected(CHARON);
    assert_eq!(b.model.sas(b.now).len(), 2);

    b.model.begin(CHARON);
    let again = NewSa {
        age: Duration::from_secs(30),
        ..sa(Direction::Out, 1000)
    };
    b.model.add_sa(CHARON, again, b.now).unwrap();
    b.model
        .add_policy(CHARON, out, protect(Some(1000)))
        .unwrap();
    b.model.synced(CHARON, b.now + Duration::from_secs(31));
    assert_eq!(b.id(key), kept);
    assert_eq!(
        (b.model.sas(b.now).len(), b.model.policies()[0].uses),
        (1, 1)
    );
    assert_eq!(b.bound(), Some(kept));
    assert_eq!(b.after(31), [soft(key)]);
}

#[test]
fn policies_are_known_once_a_charon_that_has_some_told_them_all() {
    let (mut b, out) = (bench(), policy(PolicyDirection::Out));
    b.ipsec.await_policies();
    assert!(b.ipsec.has_policies());
    // A charon that has just started.
    b.model.synced(CHARON, b.now);
    assert!(!b.ipsec.knows_policies());
    b.add_sa(sa(Direction::Out, 1000));
    b.model
        .add_policy(CHARON, out, protect(Some(1000)))
        .unwrap();
    assert!(!b.ipsec.knows_policies(), "it may tell more");
    b.model.synced(CHARON, b.now);
    assert!(b.ipsec.knows_policies() && b.ipsec.has_policies());
}

#[test]
fn what_a_dead_charon_left_stays_until_it_is_taken_over_or_ends() {
    let (mut b, out) = (bench(), policy(PolicyDirection::Out));
    b.add_sa(sa(Direction::Out, 1000));
    b.add_sa(NewSa {
        lifetime: Lifetime::default(),
        ..sa(Direction::In, 3000)
    });
    b.model
        .add_policy(CHARON, out, protect(Some(1000)))
        .unwrap();
    b.model.disconnected(CHARON);

    let next = Source::Charon(2);
    b.model.begin(next);
    b.model.synced(next, b.now);
    assert_eq!(
        b.model.sas(b.now).len(),
        1,
        "one without an end would stay for ever"
    );
    assert!(b.bound().is_some());
    b.model
        .add_sa(next, sa(Direction::Out, 2000), b.now)
        .unwrap();
    b.model.add_policy(next, out, protect(Some(2000))).unwrap();
    assert_eq!(b.model.policies()[0].uses, 1);
    assert_eq!(b.bound(), Some(b.id(sa(Direction::Out, 2000).key())));
    b.model.flush_policies(next);
    b.model.flush_sas(next);
    assert!(b.model.sas(b.now).is_empty() && b.model.policies().is_empty());
}

#[test]
fn policies_of_a_dead_charon_go_with_their_sa() {
    let (mut b, out) = (bench(), policy(PolicyDirection::Out));
    b.add_sa(sa(Direction::Out, 1000));
    b.model
        .add_policy(CHARON, out, protect(Some(1000)))
        .unwrap();
    b.model.disconnected(CHARON);
    b.after(40);
    assert!(b.model.policies().is_empty());
}
