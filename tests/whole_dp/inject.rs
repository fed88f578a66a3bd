//! What the kernel wrote to a tap leaves by the port of that tap, as it is.

use ironlane_dataplane::reason::DropReason;

use crate::{FAR4, US4, router};

#[test]
pub fn injected_frames_leave_unchanged_by_their_port_in_order() {
    let mut dp = router();
    let frames: Vec<_> = (0..100)
        .map(|i| dp.frame("p0").dst("02::77").ip4(US4, FAR4).ttl(1).udp(i, 2))
        .collect();
    let mut input: Vec<(&str, &[u8])> = frames.iter().map(|frame| ("p0", &frame[..])).collect();
    let odd = [0xff; 15];
    input.push(("p1", &odd));
    let long = vec![7; 1514];
    input.push(("p1", &long));
    let out = dp.inject(&input);
    for frame in &frames {
        out.sent("p0", frame);
    }
    out.sent("p1", &odd).sent("p1", &long).nothing_else();
}

#[test]
pub fn frames_for_a_port_that_is_down_are_lost_by_name() {
    let mut dp = router();
    let id = dp.port_id("p1");
    dp.dataplane().port_set_admin(id, false).unwrap();
    let frame = [1; 60];
    dp.inject(&[("p1", &frame)])
        .dropped("p1", DropReason::TxPortDown)
        .nothing_else();
    dp.dataplane().port_set_admin(id, true).unwrap();
    dp.inject(&[("p1", &frame)])
        .sent("p1", &frame)
        .nothing_else();
}
