//! Routes as `route -n` and `route -6 -n` print them, for eyes and scripts that know those.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use tonic::Streaming;

use super::super::failure::Failure;
use super::super::table::Table;
use crate::api::proto::{Route, RoutePath};

/// Prints the routes of one family.
pub(super) async fn show(
    out: impl Write,
    stream: &mut Streaming<Route>,
    family: u32,
) -> Result<(), Failure> {
    let ip6 = family == 6;
    let headings: &[&str] = if ip6 {
        &["Destination", "Next Hop", "Flag", ">Met", "If"]
    } else {
        &[
            "Destination",
            "Gateway",
            "Genmask",
            "Flags",
            ">Metric",
            "Iface",
        ]
    };
    let mut table = Table::new(out, headings);
    while let Some(route) = stream.message().await? {
        // What `route` leaves out: local and broadcast addresses, multicast.
        if !route.active
            || matches!(
                route.kind.as_str(),
                "local" | "broadcast" | "multicast" | "anycast"
            )
        {
            continue;
        }
        let none = [RoutePath::default()];
        let paths = if route.paths.is_empty() {
            none.as_slice()
        } else {
            &route.paths
        };
        for path in paths {
            if ip6 {
                table.row(ip6_row(&route, path))?;
            } else if let Some(row) = ip4_row(&route, path) {
                table.row(row)?;
            }
        }
    }
    Ok(table.finish()?)
}

fn ip4_row(route: &Route, path: &RoutePath) -> Option<[String; 6]> {
    let Ok(IpNet::V4(prefix)) = route.prefix.parse() else {
        return None;
    };
    let gateway = match (rejects(route), path.gateway.as_str()) {
        (true, _) => "-".to_owned(),
        (false, "") => Ipv4Addr::UNSPECIFIED.to_string(),
        (false, gateway) => gateway.to_owned(),
    };
    Some([
        prefix.addr().to_string(),
        gateway,
        prefix.netmask().to_string(),
        flags(route, path, prefix.prefix_len() == 32),
        route.metric.to_string(),
        if path.interface.is_empty() {
            "-".into()
        } else {
            path.interface.clone()
        },
    ])
}

fn ip6_row(route: &Route, path: &RoutePath) -> [String; 5] {
    let gateway = if path.gateway.is_empty() {
        Ipv6Addr::UNSPECIFIED.to_string()
    } else {
        path.gateway.clone()
    };
    let host = route.prefix.ends_with("/128");
    [
        route.prefix.clone(),
        gateway,
        flags(route, path, host),
        route.metric.to_string(),
        path.interface.clone(),
    ]
}

fn rejects(route: &Route) -> bool {
    matches!(
        route.kind.as_str(),
        "blackhole" | "unreachable" | "prohibit"
    )
}

/// `U` up, `G` by a gateway, `H` a host, `!` rejected.
fn flags(route: &Route, path: &RoutePath, host: bool) -> String {
    let mut flags = String::from(if rejects(route) { "!" } else { "U" });
    if !path.gateway.is_empty() {
        flags.push('G');
    }
    if host {
        flags.push('H');
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(prefix: &str, kind: &str) -> Route {
        Route {
            prefix: prefix.into(),
            kind: kind.into(),
            metric: 20,
            ..Route::default()
        }
    }

    fn path(gateway: &str, interface: &str) -> RoutePath {
        RoutePath {
            gateway: gateway.into(),
            interface: interface.into(),
            ..RoutePath::default()
        }
    }

    #[test]
    fn ip4_routes_have_the_columns_of_route_n() {
        let unicast = route("203.0.113.0/24", "unicast");
        assert_eq!(
            ip4_row(&unicast, &path("192.0.2.1", "p0")).unwrap(),
            [
                "203.0.113.0",
                "192.0.2.1",
                "255.255.255.0",
                "UG",
                "20",
                "p0"
            ]
        );
        assert_eq!(
            ip4_row(&route("0.0.0.0/0", "unicast"), &path("", "p1")).unwrap(),
            ["0.0.0.0", "0.0.0.0", "0.0.0.0", "U", "20", "p1"]
        );
        assert_eq!(
            ip4_row(&route("10.9.9.9/32", "unicast"), &path("192.0.2.1", "p0")).unwrap()[3],
            "UGH"
        );
        assert_eq!(
            ip4_row(&route("10.0.0.0/8", "blackhole"), &path("", "")).unwrap(),
            ["10.0.0.0", "-", "255.0.0.0", "!", "20", "-"]
        );
    }

    #[test]
    fn ip6_routes_have_the_columns_of_route_6_n() {
        assert_eq!(
            ip6_row(&route("2001:db8::/32", "unicast"), &path("fe80::1", "p0")),
            ["2001:db8::/32", "fe80::1", "UG", "20", "p0"]
        );
        assert_eq!(
            ip6_row(&route("::1/128", "unicast"), &path("", "p0"))[1..3],
            ["::", "UH"]
        );
    }
}
