"""Measures Ironlane and its peers on this machine; `make bench` calls it. See perf/README.md.

usage: python3 perf/bench [--part forward,latency,...] [--quick] [--rounds N] [--seconds S] [--scene ...] [--grout] [--out DIR]
"""
import argparse
import datetime
import importlib
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import goals as goals_  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
import rig  # noqa: E402

PARTS = ["lookup", "forward", "ipsec", "routes", "latency", "idle", "scale"]


def commit():
    done = subprocess.run(["git", "-C", rig.ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def arguments():
    parser = argparse.ArgumentParser(prog="perf/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--part", default="", help="comma-separated: " + ", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="fewer scenes, points and rounds: below three minutes")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of one reading")
    parser.add_argument("--scene", default="", help="comma-separated scenes of the part forward, instead of all")
    parser.add_argument("--grout", action="store_true", help="get grout if it is missing (Debian sid in a chroot)")
    parser.add_argument("--out", help="folder for the results (perf/results/<date>-<machine>)")
    parser.add_argument("--sample", action="store_true", help="mark the report as taken on a busy machine")
    context = parser.parse_args()
    context.parts = [part for part in context.part.split(",") if part] or PARTS
    for part in context.parts:
        if part not in PARTS:
            parser.error(f"no part is called {part}; there are {', '.join(PARTS)}")
    return context


def main():
    context = arguments()
    if os.geteuid():
        sys.exit("error: hugepages and other CPUs' priorities are root's: sudo make bench")
    if os.cpu_count() < 2:
        sys.exit("error: two CPUs are needed: one forwards, the other measures")
    began = time.monotonic()
    context.command = "make bench" + (" BENCH=" + context.part if context.part else "") + (" QUICK=1" if context.quick else "")
    context.facts, context.dpdk, context.commit = rig.machine(), rig.dpdk_version(), commit()
    context.day = datetime.date.today().isoformat()
    os.sched_setaffinity(0, {int(rig.MAIN)})
    context.have, context.lack = peers.available(context.grout)
    for name, why in context.lack.items():
        print(f"without {name}: {why}", file=sys.stderr)
    os.makedirs(rig.WORK, exist_ok=True)
    folder = context.out or rig.results_folder(context.facts)
    os.makedirs(folder, exist_ok=True)
    sections, goals, data = [], [], {}
    for part in context.parts:
        print(f"\n== {part}", file=sys.stderr)
        module = importlib.import_module(part)
        result = module.run(context, folder)
        sections += result["sections"]
        goals += result["goals"]
        data[part] = result["data"]
        for title, words, table, _ in result["sections"]:
            print(f"\n{title}\n{words}\n\n{table or ''}", flush=True)
    data["tsc_mhz"] = rig.tsc_mhz()
    report.write(folder, context, sections, goals, data)
    print(f"\nGoals\n\n{report.goals_table(goals)}\n")
    print(f"took {time.monotonic() - began:.0f} s; report, JSON and plots are in {os.path.relpath(folder)}")
    failed = [row for rows in data.values() if isinstance(rows, dict) for row in rows.get("rows", []) if "error" in row]
    for row in failed:
        print(f"FAILED: {' '.join(str(row.get(key, '')) for key in ('part', 'scene', 'who'))}: {row['error']}", file=sys.stderr)
    # A peer that could not be measured is no failure of ours.
    sys.exit(any(row.get("who") in ("ironlane", "daemon") for row in failed))


main()
