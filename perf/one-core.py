#!/usr/bin/env python3
"""Rates of Ironlane and of testpmd io on one core, in interleaved rounds; medians and ratios.

usage: one-core.py [--rounds N] [--seconds S] [--json]

Rig: a pcap port plays 4,096 frames of 64 bytes for ever, one lcore forwards them, a null port
frees them. Before any rate counts, the same frames are played once into a file and each one that
comes out is compared: MACs, TTL, checksum, payload. Needs root, hugepages (512 MiB), two CPUs.
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
    with tempfile.TemporaryDirectory() as work:
        pcaps = {"IPv4": os.path.join(work, "4.pcap"), "IPv6": os.path.join(work, "6.pcap")}
        for family, pcap in pcaps.items():
            run(PERF, "traffic", "--out", pcap, *(["--v6"] if family == "IPv6" else []))
            print(f"{family}: {run(PERF, 'verify', '--pcap', pcap, '--cpu', worker).strip()}",
                  file=sys.stderr)
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
                    mpps = json.loads(run(*command))["mpps"]
                    rates.setdefault((family, name), []).append(mpps)
                    print(f"round {number + 1}: {family} {name}: {mpps:.1f} Mpps", file=sys.stderr)
    rows = []
    for (family, name), mpps in rates.items():
        ratios = [a / b for a, b in zip(mpps, rates[(family, "testpmd io")])]
        rows.append({"family": family, "name": name, "mpps": statistics.median(mpps),
                     "min": min(mpps), "max": max(mpps), "ratio": statistics.median(ratios)})
    if args.json:
        print(json.dumps(rows))
        return
    print("| family | who | Mpps median (min-max) | ratio to testpmd io |\n| --- | --- | --- | --- |")
    for row in rows:
        print("| {family} | {name} | {mpps:.1f} ({min:.1f}-{max:.1f}) | {ratio:.2f} |".format(**row))


main()
