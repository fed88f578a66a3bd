#!/usr/bin/env python3
"""Rates of Ironlane and of testpmd io on one core, in interleaved rounds; medians and ratios.

usage: one-core.py [--rounds N] [--seconds S] [--json]

Rig: a pcap port plays 4,096 frames of 64 bytes for ever, one lcore forwards them, a null port
frees them. Before any rate counts, the same frames are played once into a file and each one that
comes out is compared: MACs of its nexthop, TTL, checksum, payload; a route that is missing or wrong
must be noticed. Nanoseconds are those that the forwarding thread ran, so that what others take of
its core does not count; ratios and ticks (of the time stamp counter) are made of them. Needs root, hugepages (512 MiB), two CPUs.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "target"))
PERF = os.path.join(TARGET, "release", "ironlane-perf")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def must_fail(*command):
    """A check that a made mistake does not fail is none."""
    if subprocess.run(command, capture_output=True).returncode == 0:
        sys.exit(f"error: not noticed: {' '.join(command)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    run("cargo", "build", "--release", "--quiet", "--manifest-path",
        os.path.join(HERE, "Cargo.toml"))
    worker = os.environ.get("WORKER", "1")
    rates = {}
    tsc_ghz = 1.0
    with tempfile.TemporaryDirectory() as work:
        pcaps = {"IPv4": os.path.join(work, "4.pcap"), "IPv6": os.path.join(work, "6.pcap")}
        for family, pcap in pcaps.items():
            run(PERF, "traffic", "--out", pcap, *(["--v6"] if family == "IPv6" else []))
            for nexthops in "1", "512":
                verify = [PERF, "verify", "--pcap", pcap, "--cpu", worker, "--nexthops", nexthops]
                print(f"{family}, {nexthops} nexthops: {run(*verify).strip()}", file=sys.stderr)
                for fault in "missing-route", "wrong-nexthop":
                    must_fail(*verify, "--fault", fault)
            must_fail(PERF, "forward", "--pcap", pcap, "--cpu", worker, "--seconds", "0.2",
                      "--nexthops", "512", "--fault", "missing-route")
        for number in range(args.rounds):
            for family, pcap in pcaps.items():
                contenders = [
                    ("testpmd io", [sys.executable, os.path.join(HERE, "testpmd.py"), pcap,
                                    str(args.seconds)]),
                    ("ironlane", [PERF, "forward", "--pcap", pcap, "--cpu", worker,
                                  "--seconds", str(args.seconds)]),
                    ("ironlane, 512 nexthops", [PERF, "forward", "--pcap", pcap, "--cpu", worker,
                                                "--seconds", str(args.seconds),
                                                "--nexthops", "512"]),
                ]
                for name, command in contenders[:: 1 if number % 2 == 0 else -1]:
                    found = json.loads(run("nice", "-n", "-10", *command))
                    tsc_ghz = found.get("tsc_mhz", tsc_ghz * 1e3) / 1e3
                    rates.setdefault((family, name), []).append(found)
                    print(f"round {number + 1}: {family} {name}: {found['mpps']:.1f} Mpps, "
                          f"{found['ns_per_packet']:.2f} ns", file=sys.stderr)
    rows = []
    for (family, name), found in rates.items():
        ns = [one["ns_per_packet"] for one in found]
        rig = [one["ns_per_packet"] for one in rates[(family, "testpmd io")]]
        rows.append({
            "family": family, "name": name,
            "mpps": statistics.median(one["mpps"] for one in found),
            "ns": statistics.median(ns), "ns_min": min(ns), "ns_max": max(ns),
            # Round by round, and so in like conditions.
            "ratio": statistics.median(a / b for a, b in zip(rig, ns)),
            "ticks_above_rig": statistics.median(b - a for a, b in zip(rig, ns)) * tsc_ghz,
        })
    if args.json:
        print(json.dumps(rows))
        return
    print("| family | who | ns a packet, median (min-max) | rate to testpmd io | "
          "ticks above it | Mpps by the wall clock |\n| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        print("| {family} | {name} | {ns:.2f} ({ns_min:.2f}-{ns_max:.2f}) | {ratio:.2f} | "
              "{ticks_above_rig:.1f} | {mpps:.1f} |".format(**row))


main()
