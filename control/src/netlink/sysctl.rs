//! Kernel settings that break forwarding without a word.
//!
//! Lcores forward, but what they cannot forward (unresolved neighbours, expired TTL, packets too
//! big) goes to Linux, which must be willing to forward as well.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// How bad a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Works, with a surprise.
    Note,
    /// Packets are lost.
    Breaks,
}

/// A setting that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name, as `sysctl` knows it.
    pub setting: String,
    /// What it is.
    pub value: String,
    /// What it should be.
    pub wanted: &'static str,
    /// How bad that is.
    pub severity: Severity,
    /// What comes of it.
    pub consequence: &'static str,
    /// What to do.
    pub cure: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            setting,
            value,
            wanted,
            consequence,
            cure,
            ..
        } = self;
        write!(
            f,
            "{setting} is {value}, not {wanted}: {consequence}; {cure}"
        )
    }
}

/// The settings below `/proc/sys/net` of the network namespace in which the thread is that reads
/// them.
#[derive(Debug, Clone)]
pub struct Settings {
    root: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/proc/sys/net"),
        }
    }
}

/// One rule: a setting, what it should be, and why.
struct Rule {
    setting: &'static str,
    fine: &'static [&'static str],
    wanted: &'static str,
    severity: Severity,
    consequence: &'static str,
}

/// What all three settings of that name lead to.
const LINKDOWN: &str = "Linux goes round a link without carrier where lcores still send by it, \
                        since a route counts for them until the kernel withdraws it";

/// Settings of the namespace.
const GLOBAL: &[Rule] = &[
    Rule {
        setting: "ipv4/ip_forward",
        fine: &["1"],
        wanted: "1",
        severity: Severity::Breaks,
        consequence: "Linux drops the IPv4 packets that it should forward for us, such as those \
                      that wait for a neighbour, and answers no expired TTL",
    },
    // It counts for every interface, beside that interface's own; that of IPv6 does not.
    Rule {
        setting: "ipv4/conf/all/ignore_routes_with_linkdown",
        fine: &["0"],
        wanted: "0",
        severity: Severity::Breaks,
        consequence: LINKDOWN,
    },
    Rule {
        setting: "ipv6/conf/all/disable_ipv6",
        fine: &["0"],
        wanted: "0",
        severity: Severity::Breaks,
        consequence: "there is no IPv6 at all",
    },
    Rule {
        setting: "ipv6/conf/all/forwarding",
        fine: &["1", "2"],
        wanted: "1",
        severity: Severity::Breaks,
        consequence: "Linux drops the IPv6 packets that it should forward for us, answers no \
                      expired hop limit, and may take routes from router advertisements",
    },
    Rule {
        setting: "ipv4/nexthop_compat_mode",
        fine: &["0"],
        wanted: "0",
        severity: Severity::Note,
        consequence: "the change of one nexthop object is announced once more for every route \
                      that uses it, which costs the mirror time with full tables",
    },
];

/// Settings of each tap; `*` stands for its name.
const TAP: &[Rule] = &[
    Rule {
        setting: "ipv4/conf/*/forwarding",
        fine: &["1"],
        wanted: "1",
        severity: Severity::Breaks,
        consequence: "Linux forwards no IPv4 packet that arrived by this port",
    },
    Rule {
        setting: "ipv4/conf/*/ignore_routes_with_linkdown",
        fine: &["0"],
        wanted: "0",
        severity: Severity::Breaks,
        consequence: LINKDOWN,
    },
    Rule {
        setting: "ipv6/conf/*/disable_ipv6",
        fine: &["0"],
        wanted: "0",
        severity: Severity::Breaks,
        consequence: "the port has no IPv6 address, so that neighbours cannot be resolved",
    },
    Rule {
        setting: "ipv6/conf/*/forwarding",
        fine: &["1", "2"],
        wanted: "1",
        severity: Severity::Breaks,
        consequence: "Linux forwards no IPv6 packet that arrived by this port",
    },
    Rule {
        setting: "ipv6/conf/*/ignore_routes_with_linkdown",
        fine: &["0"],
        wanted: "0",
        severity: Severity::Breaks,
        consequence: LINKDOWN,
    },
    Rule {
        setting: "ipv6/conf/*/keep_addr_on_down",
        fine: &["1"],
        wanted: "1",
        severity: Severity::Note,
        consequence: "the port loses its global IPv6 addresses when its tap is set down",
    },
];

impl Settings {
    /// Those below another folder, laid out alike.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A setting's value; `None` if this kernel has no such setting, or no IPv6.
    fn value(&self, setting: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(Path::new(setting))).ok()?;
        Some(text.trim().to_owned())
    }

    /// All settings that are not as they should be, for these taps.
    pub fn findings<'a>(&self, taps: impl IntoIterator<Item = &'a str>) -> Vec<Finding> {
        let mut findings: Vec<_> = GLOBAL
            .iter()
            .filter_map(|rule| self.check(rule, rule.setting))
            .collect();
        for tap in taps {
            let of_tap = |rule: &Rule| self.check(rule, &rule.setting.replace('*', tap));
            findings.extend(TAP.iter().filter_map(of_tap));
            findings.extend(self.reverse_path_filter(tap));
        }
        findings
    }

    fn check(&self, rule: &Rule, setting: &str) -> Option<Finding> {
        let value = self.value(setting)?;
        if rule.fine.contains(&value.as_str()) {
            return None;
        }
        let name = dotted(setting);
        Some(Finding {
            cure: format!("run: sysctl -w {name}={}", rule.wanted),
            setting: name,
            value,
            wanted: rule.wanted,
            severity: rule.severity,
            consequence: rule.consequence,
        })
    }

    /// The larger of the setting of the interface and that of all counts.
    fn reverse_path_filter(&self, tap: &str) -> Option<Finding> {
        let (own, all) = (
            format!("ipv4/conf/{tap}/rp_filter"),
            "ipv4/conf/all/rp_filter".to_owned(),
        );
        let (own_value, all_value) = (self.value(&own)?, self.value(&all)?);
        let strict = own_value.as_str().max(all_value.as_str()) == "1";
        let culprits: Vec<_> = [(own, own_value), (all, all_value)]
            .into_iter()
            .filter_map(|(setting, value)| (value == "1").then(|| dotted(&setting)))
            .collect();
        strict.then(|| Finding {
            cure: format!("run: sysctl -w {}=0", culprits.join("=0 ")),
            setting: culprits.join(", "),
            value: "1 (strict)".to_owned(),
            wanted: "0",
            severity: Severity::Breaks,
            consequence: "Linux drops the packets of this port whose way back leads by another, \
                          though lcores forward such packets, and with IPsec those that are \
                          sealed and wait for their next hop",
        })
    }
}

/// As `sysctl` writes it: dots between the parts, and slashes for the dots within a name.
fn dotted(setting: &str) -> String {
    let swap = |c| match c {
        '/' => '.',
        '.' => '/',
        other => other,
    };
    format!("net.{}", setting.chars().map(swap).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(values: &[(&str, &str)]) -> (tempfile::TempDir, Settings) {
        let folder = tempfile::tempdir().unwrap();
        for (setting, value) in values {
            let path = folder.path().join(setting);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{value}\n")).unwrap();
        }
        let settings = Settings::at(folder.path());
        (folder, settings)
    }

    #[test]
    fn each_bad_setting_is_named_with_its_cure() {
        let (_folder, settings) = settings(&[
            ("ipv4/ip_forward", "0"),
            ("ipv4/conf/all/rp_filter", "1"),
            ("ipv4/conf/p0.7/rp_filter", "0"),
            ("ipv4/conf/p0.7/forwarding", "1"),
            ("ipv6/conf/p0.7/disable_ipv6", "1"),
        ]);
        let findings = settings.findings(["p0.7"]);
        let names: Vec<_> = findings.iter().map(|f| f.setting.as_str()).collect();
        let expected = [
            "net.ipv4.ip_forward",
            "net.ipv6.conf.p0/7.disable_ipv6",
            "net.ipv4.conf.all.rp_filter",
        ];
        assert_eq!(names, expected);
        assert_eq!(
            findings[1].cure,
            "run: sysctl -w net.ipv6.conf.p0/7.disable_ipv6=0"
        );
        assert!(
            findings[0]
                .to_string()
                .starts_with("net.ipv4.ip_forward is 0, not 1: Linux drops")
        );
        assert!(findings.iter().all(|f| f.severity == Severity::Breaks));
    }

    #[test]
    fn routes_that_linux_alone_ignores_without_carrier_are_named() {
        let (_folder, settings) = settings(&[
            ("ipv4/conf/all/ignore_routes_with_linkdown", "1"),
            ("ipv4/conf/p0/ignore_routes_with_linkdown", "1"),
            ("ipv4/conf/p1/ignore_routes_with_linkdown", "0"),
            ("ipv6/conf/p0/ignore_routes_with_linkdown", "1"),
            ("ipv6/conf/p1/ignore_routes_with_linkdown", "0"),
        ]);
        let findings = settings.findings(["p0", "p1"]);
        let cures: Vec<_> = findings.iter().map(|f| f.cure.as_str()).collect();
        let expected = [
            "run: sysctl -w net.ipv4.conf.all.ignore_routes_with_linkdown=0",
            "run: sysctl -w net.ipv4.conf.p0.ignore_routes_with_linkdown=0",
            "run: sysctl -w net.ipv6.conf.p0.ignore_routes_with_linkdown=0",
        ];
        assert_eq!(cures, expected);
    }

    #[test]
    fn loose_reverse_path_filters_and_good_settings_are_fine() {
        let (_folder, settings) = settings(&[
            ("ipv4/ip_forward", "1"),
            ("ipv4/conf/all/rp_filter", "2"),
            ("ipv4/conf/p0/rp_filter", "1"),
            ("ipv4/conf/p0/forwarding", "1"),
            ("ipv6/conf/all/forwarding", "1"),
            ("ipv6/conf/all/disable_ipv6", "0"),
        ]);
        assert_eq!(settings.findings(["p0"]), []);
    }
}
