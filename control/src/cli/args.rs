//! All commands: what clap makes help, usage errors and completions from.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::DEFAULT_SOCKET;

/// A router in user space: DPDK moves the packets, Linux stays the control plane.
#[derive(Debug, Parser)]
#[command(
    name = "ironlane",
    version,
    propagate_version = true,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Examples:\n  \
        ironlane config example > router.toml\n  \
        ironlane run --config router.toml\n  \
        ironlane port show\n  \
        ironlane route get 203.0.113.9\n  \
        ironlane drop show --watch\n  \
        ironlane verify"
)]
pub struct Cli {
    /// Socket of the daemon
    #[arg(long, global = true, env = "IRONLANE_SOCKET", value_name = "PATH",
          default_value = DEFAULT_SOCKET, value_hint = clap::ValueHint::FilePath)]
    pub socket: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands: an object each, and those that stand alone.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground
    Run(super::run::Args),
    /// Show version, health and whereabouts of the daemon
    Status(super::status::Args),
    /// Compare the live tables with the kernel's
    Verify(super::verify::Args),
    /// Look for what would keep the daemon from running well on this machine
    Doctor(super::doctor::Args),
    /// Check, show or begin a configuration file
    Config(super::config::Args),
    /// Ports: state, devices, counters
    Port(super::port::Args),
    /// Routes, and which one a packet takes
    Route(super::route::Args),
    /// Nexthop slots: what routes point to
    Nexthop(super::nexthop::Args),
    /// Adjacencies: the bytes that lcores write in front of packets
    Adjacency(super::adjacency::Args),
    /// The kernel's neighbours
    #[command(alias = "neighbor")]
    Neighbour(super::neighbour::Args),
    /// Security associations and policies of IPsec
    Ipsec(super::ipsec::Args),
    /// Packets handed to Linux, by reason
    Punt(super::punt::Args),
    /// Packets lost, by port and reason
    Drop(super::drops::Args),
    /// Forwarding threads
    Lcore(super::lcore::Args),
    /// Stages of the packet path: packets, bursts, cycles
    Stage(super::stage::Args),
    /// Totals of all counters
    Stats(super::stats::Args),
    /// How fast changes of the kernel reach the lcores
    Latency(super::latency::Args),
    /// The daemon's log level
    Log(super::log::Args),
    /// Print completions for a shell
    Completion(super::completion::Args),
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::Cli;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("ironlane").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_manual_is_understood() {
        for line in [
            "run --config r.toml",
            "status --json",
            "verify",
            "verify --repair --json",
            "doctor",
            "doctor --config r.toml",
            "doctor --json",
            "config check r.toml --json",
            "stats clear --json",
            "config check r.toml",
            "config check a.toml b.toml",
            "config show",
            "config show r.toml --json",
            "config example",
            "port show",
            "port show p0 --json",
            "port show --watch",
            "port show --watch=0.5",
            "route show",
            "route show 10.0.0.0/8 --vrf default",
            "route show 2001:db8::/32 --all",
            "route show -4 --kernel-style",
            "route get 203.0.113.9",
            "route get 2001:db8::1 --source 2001:db8:1::1",
            "nexthop show",
            "adjacency show --port p0",
            "neighbour show --interface p0",
            "neighbor show",
            "ipsec sa show",
            "ipsec sa show --reqid 7 --json",
            "ipsec policy show --direction out --watch",
            "ipsec connection show --json",
            "ipsec initiate --child nets",
            "ipsec initiate --child nets --ike site-b --timeout 5 --log",
            "ipsec initiate --ike site-b --json",
            "ipsec terminate --ike site-b --force",
            "ipsec terminate --child nets --ike-id 1",
            "ipsec terminate --child-id 3 --json",
            "ipsec monitor --json",
            "punt show --all",
            "drop show --all --watch",
            "lcore show",
            "stage show",
            "stats show --json",
            "stats clear",
            "latency show --clear",
            "log level",
            "log level info,ironlane_control=debug",
            "completion bash",
            "completion zsh",
            "completion fish",
            "--socket /run/x.sock port show",
            "port show --socket /run/x.sock",
        ] {
            if let Err(e) = parse(line) {
                panic!("{line}: {e}");
            }
        }
    }

    #[test]
    fn wrong_usage_ends_with_2_and_help_with_0() {
        for line in [
            "",
            "port",
            "port shwo",
            "run",
            "route get",
            "route get 203.0.113.300",
            "route show -4 -6",
            "route show 10.0.0.0/33",
            "completion csh",
            "config check",
            "drop show --watch=0",
            "frobnicate",
            "ipsec",
            "ipsec sa",
            "ipsec policy show --direction sideways",
            "ipsec initiate",
            "ipsec initiate --child nets --timeout 0",
            "ipsec terminate --force",
            "ipsec terminate --child nets --child-id 3",
            "ipsec terminate --ike-id 0",
        ] {
            assert_eq!(
                parse(line).map(drop).map_err(|e| e.exit_code()),
                Err(2),
                "{line}"
            );
        }
        for line in ["--help", "port --help", "route show --help", "--version"] {
            assert_eq!(
                parse(line).map(drop).map_err(|e| e.exit_code()),
                Err(0),
                "{line}"
            );
        }
    }

    #[test]
    fn help_begins_with_what_the_program_is() {
        let help = Cli::command().render_help().to_string();
        assert!(
            help.starts_with("A router in user space: DPDK moves the packets"),
            "{help}"
        );
    }

    #[test]
    fn every_command_says_what_it_does_and_gives_an_example() {
        fn walk(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} has no description");
            for arg in command.get_arguments() {
                assert!(
                    arg.get_help().is_some(),
                    "{path}: {} has no help",
                    arg.get_id()
                );
            }
            if !command.has_subcommands() {
                let examples = command.get_after_help().map(ToString::to_string);
                let example = format!("  {}", path.trim_start());
                assert!(
                    examples.as_ref().is_some_and(|e| e.contains(&example)),
                    "{path} has no example in its --help: {examples:?}"
                );
            }
            command.get_subcommands().for_each(|c| walk(c, &path));
        }
        walk(&Cli::command(), "");
    }

    #[test]
    fn the_manual_names_every_command_and_only_those_that_are() {
        fn leaves(command: &clap::Command, path: &str, into: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            if !command.has_subcommands() {
                into.push(path.trim_start().to_owned());
            }
            command
                .get_subcommands()
                .for_each(|c| leaves(c, &path, into));
        }
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
        let page = |name: &str| std::fs::read_to_string(format!("{docs}/{name}")).unwrap();
        let manual = page("cli.md");
        let mut commands = Vec::new();
        leaves(&Cli::command(), "", &mut commands);
        for command in commands {
            assert!(
                manual.contains(&command),
                "docs/cli.md does not show: {command}"
            );
        }
        let pages = [manual, page("configuration.md")];
        let lines = pages.iter().flat_map(|page| page.lines());
        for line in lines.filter_map(|line| line.strip_prefix("$ ironlane ")) {
            // Only what the shell would hand over: no redirection, no remark.
            let words = line.split(['>', '#']).next().unwrap_or_default();
            parse(words).unwrap_or_else(|e| panic!("{line}: {e}"));
        }
    }
}
