//! Plain forwarding of both families.

use ironlane_tests::WholeDp;

/// Two ports, a far network of each family behind a neighbour of p1 that is resolved.
pub fn router() -> WholeDp {
    let mut dp = WholeDp::new()
        .port("p0", "192.0.2.1/24 2001:db8:0:1::1/64")
        .port("p1", "198.51.100.1/24 2001:db8:0:2::1/64");
    dp.route("203.0.113.0/24 via 198.51.100.9")
        .route("2001:db8:f::/48 via 2001:db8:0:2::9")
        .neighbour("198.51.100.9 dev p1 lladdr 02::9")
        .neighbour("2001:db8:0:2::9 dev p1 lladdr 02::9");
    dp
}

/// A host on p0 and one far away, IPv4.
pub const HERE4: (&str, &str) = ("192.0.2.10", "203.0.113.9");
/// The same for IPv6.
pub const HERE6: (&str, &str) = ("2001:db8:0:1::10", "2001:db8:f::9");

#[test]
fn udp_is_forwarded_to_the_neighbour_of_its_route() {
    let mut dp = router();
    let frame = dp.frame("p0").ip4(HERE4.0, HERE4.1).udp(4000, 5000);
    let out = dp.send("p0", &frame);
    out.forwarded("p1", "02::9", &frame).nothing_else();
    let frame = dp.frame("p0").ip6(HERE6.0, HERE6.1).udp(4000, 5000);
    let out = dp.send("p0", &frame);
    out.forwarded("p1", "02::9", &frame).nothing_else();
}
