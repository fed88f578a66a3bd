//! Nexthops without a link-layer address: to the kernel, policed per adjacency, until the
//! neighbour is known.

use ironlane_dataplane::reason::{DropReason, PuntReason};
use ironlane_dataplane::stage::GleanLimit;
use ironlane_tests::{Settings, WholeDp};

use crate::{HOST4, HOST6, all_punted, router_on};

fn unresolved(settings: Settings) -> WholeDp {
    let mut dp = router_on(WholeDp::with(settings));
    dp.route("10.1.0.0/16 via 198.51.100.20")
        .route("10.2.0.0/16 via 198.51.100.21")
        .route("2001:db8:a::/48 via 2001:db8:0:2::20");
    dp
}

#[test]
pub fn packets_to_an_unresolved_nexthop_go_to_linux() {
    let mut dp = unresolved(Settings::default());
    let cases = vec![
        (
            "behind a gateway",
            dp.frame("p0").ip4(HOST4, "10.1.2.3").udp(1, 2),
            PuntReason::Glean,
        ),
        (
            "on the link",
            dp.frame("p0").ip4(HOST4, "198.51.100.77").udp(1, 2),
            PuntReason::Glean,
        ),
        (
            "on its own link",
            dp.frame("p0").ip4(HOST4, "192.0.2.78").udp(1, 2),
            PuntReason::Glean,
        ),
        (
            "IPv6",
            dp.frame("p0").ip6(HOST6, "2001:db8:a::1").udp(1, 2),
            PuntReason::Glean,
        ),
        (
            "IPv6",
            dp.frame("p0").ip6(HOST6, "2001:db8:0:2::77").udp(1, 2),
            PuntReason::Glean,
        ),
        (
            "padding options",
            dp.frame("p0")
                .ip4(HOST4, "10.1.2.3")
                .options(&[1])
                .udp(1, 2),
            PuntReason::Glean,
        ),
        (
            "padded",
            dp.frame("p0").ip4(HOST4, "10.1.2.3").padding(9).udp(1, 2),
            PuntReason::Glean,
        ),
    ];
    all_punted(&mut dp, cases);
}

#[test]
pub fn the_neighbour_completes_the_adjacency_for_all_its_routes_at_once() {
    let mut dp = unresolved(Settings::default());
    dp.route("10.3.0.0/16 via 198.51.100.20");
    let one = dp.frame("p0").ip4(HOST4, "10.1.2.3").udp(1, 2);
    let other = dp.frame("p0").ip4(HOST4, "10.3.2.3").udp(1, 2);
    let host = dp.frame("p0").ip4(HOST4, "198.51.100.20").udp(1, 2);
    dp.send("p0", &one)
        .punted("p0", PuntReason::Glean, &one)
        .nothing_else();
    dp.neighbour("198.51.100.20 dev p1 lladdr 02::20");
    let out = dp.send_all(&[
        ("p0", (&one).into()),
        ("p0", (&other).into()),
        ("p0", (&host).into()),
    ]);
    out.forwarded("p1", "02::20", &one)
        .forwarded("p1", "02::20", &other)
        .forwarded("p1", "02::20", &host)
        .nothing_else();
    // Another MAC, then none again.
    dp.neighbour("198.51.100.20 dev p1 lladdr 02::21");
    dp.send("p0", &other)
        .forwarded("p1", "02::21", &other)
        .nothing_else();
    dp.neighbour("198.51.100.20 dev p1 failed");
    dp.send("p0", &other)
        .punted("p0", PuntReason::Glean, &other)
        .nothing_else();
}

#[test]
pub fn one_unresolved_adjacency_does_not_take_the_kernel_from_another() {
    let settings = Settings {
        // One packet in 1000 s: nothing comes back while the test runs.
        adjust: |config| {
            config.pipeline.glean = GleanLimit {
                rate_pps: 1,
                burst: 3,
            }
        },
        ..Settings::default()
    };
    let mut dp = unresolved(settings);
    let flood: Vec<_> = (0..50)
        .map(|i| dp.frame("p0").ip4(HOST4, "10.1.2.3").udp(i, 2))
        .collect();
    let other = dp.frame("p0").ip4(HOST4, "10.2.2.3").udp(1, 2);
    let mut burst: Vec<_> = flood.iter().map(|frame| ("p0", frame.into())).collect();
    burst.push(("p0", (&other).into()));
    let out = dp.send_all(&burst);
    for frame in &flood[..3] {
        out.punted("p0", PuntReason::Glean, frame);
    }
    out.punted("p0", PuntReason::Glean, &other)
        .dropped_n("p0", DropReason::GleanPoliced, 47)
        .nothing_else();
}
