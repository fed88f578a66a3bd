//! Packets that Linux sends, sealed by an SA that lcores seal by as well.

use ironlane_dataplane::reason::DropReason;
use ironlane_ipsec::{Direction, SaSpec, UdpEncap};
use ironlane_packet::proto::ip;
use ironlane_tests::WholeDp;

use crate::HOST4;
use crate::ipsec::{OURS, PEER, SPI, THERE, esp, sa, tunnel_out, with_ipsec};

/// ESP of our SA, with this number, as Linux would send it.
fn sealed(dp: &mut WholeDp, spi: u32, number: u32) -> Vec<u8> {
    let frame = dp.frame("p1").dst("02::9").ip4(OURS, PEER);
    frame.protocol(ip::ESP, &esp(spi, number, b"anything"))
}

fn loses(dp: &mut WholeDp, frame: &[u8]) {
    dp.inject(&[("p1", frame)])
        .dropped("p1", DropReason::IpsecOtherSealed)
        .nothing_else();
}

fn passes(dp: &mut WholeDp, frame: &[u8]) {
    dp.inject(&[("p1", frame)]).sent("p1", frame).nothing_else();
}

#[test]
pub fn a_number_that_lcores_have_yet_to_use_does_not_leave_by_another() {
    let mut dp = with_ipsec();
    let last_seq = 1000;
    let spec = SaSpec {
        last_seq,
        ..sa(Direction::Out)
    };
    tunnel_out(&mut dp, spec);
    let frames = [1000, 1001, u32::MAX].map(|number| sealed(&mut dp, SPI, number));
    // The kernel's from before, or ours that only asked it for a neighbour.
    passes(&mut dp, &frames[0]);
    loses(&mut dp, &frames[1]);
    loses(&mut dp, &frames[2]);
    let other = sealed(&mut dp, SPI + 1, 1001);
    passes(&mut dp, &other);
    // Once lcores have used it, it can be theirs.
    let inner = dp.frame("p0").ip4(HOST4, THERE).udp(1, 2);
    let out = dp.send("p0", &inner);
    assert_eq!(out.take_events().0.len(), 1);
    out.nothing_else();
    passes(&mut dp, &frames[1]);
}

#[test]
fn longer_numbers_are_told_by_their_lower_half_and_esp_in_udp_is_looked_into() {
    let mut dp = with_ipsec();
    let encap = UdpEncap {
        src_port: 4500,
        dst_port: 4500,
    };
    let spec = SaSpec {
        last_seq: (1 << 32) + 5,
        esn: true,
        encap: Some(encap),
        ..sa(Direction::Out)
    };
    tunnel_out(&mut dp, spec);
    let in_udp = |dp: &mut WholeDp, number| {
        let sealed = esp(SPI, number, b"anything");
        let mut datagram = [[0x11, 0x94, 0x11, 0x94], [0; 4]].concat();
        datagram[4..6].copy_from_slice(&(sealed.len() as u16 + 8).to_be_bytes());
        datagram.extend(sealed);
        let frame = dp.frame("p1").dst("02::9").ip4(OURS, PEER);
        frame.protocol(ip::UDP, &datagram)
    };
    for number in [5, 0, u32::MAX] {
        let frame = in_udp(&mut dp, number);
        passes(&mut dp, &frame);
    }
    let frame = in_udp(&mut dp, 6);
    loses(&mut dp, &frame);
    // IKE has four zeros there, and is none of it.
    let ike = dp.frame("p1").dst("02::9").ip4(OURS, PEER).udp(4500, 4500);
    passes(&mut dp, &ike);
}
