"""Measures Ironlane and its peers on this machine; `make bench` calls it. See perf/README.md.

usage: python3 perf/bench [--part forward,latency,...] [--quick] [--rounds N] [--seconds S] [--scene ...] [--peer ...]
                          [--grout] [--out DIR] [--add]
"""
import argparse
import datetime
import importlib
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import commit  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
import rig  # noqa: E402

PARTS = ["lookup", "forward", "ipsec", "sas", "routes", "latency", "idle", "scale"]


def arguments():
    parser = argparse.ArgumentParser(prog="perf/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--part", default="", help="comma-separated: " + ", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="fewer scenes, points and rounds: below three minutes")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of one reading")
    parser.add_argument("--scene", default="", help="comma-separated scenes of the part forward, instead of all")
    parser.add_argument("--peer", default="", help="comma-separated peers, instead of all that there are; daemon: in every scene")
    parser.add_argument("--grout", action="store_true", help="get grout if it is missing (Debian sid in a chroot)")
    parser.add_argument("--out", help="folder for the results (perf/results/<date>-<machine>)")
    parser.add_argument("--add", action="store_true", help="keep the parts that are in the folder of results already; the rounds of the "
                        "part forward follow those that it has. For a measurement in several pieces")
    parser.add_argument("--sample", action="store_true", help="mark the report as taken on a busy machine")
    context = parser.parse_args()
    context.parts = [part for part in context.part.split(",") if part] or PARTS
    for part in context.parts:
        if part not in PARTS:
            parser.error(f"no part is called {part}; there are {', '.join(PARTS)}")
    return context


def earlier(context, folder):
    """results.json of the folder, if there is one: of the same code and DPDK."""
    path = os.path.join(folder, "results.json")
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        found = json.load(file)
    for what in ("commit", "dpdk"):
        if found.get(what) != getattr(context, what):
            sys.exit(f"error: {path} is of {what} {found.get(what)}, this is {getattr(context, what)}: "
                     "measure anew without --add, or give another folder with --out")
    return found


def main():
    context = arguments()
    if os.geteuid():
        sys.exit("error: hugepages and other CPUs' priorities are root's: sudo make bench")
    if os.cpu_count() < 2:
        sys.exit("error: two CPUs are needed: one forwards, the other measures")
    began = time.monotonic()
    context.command = "make bench" + (" BENCH=" + context.part if context.part else "") + (" QUICK=1" if context.quick else "") + (
        f" DPDK={rig.SUITE}" if rig.SUITE else "")
    context.facts, context.dpdk, context.commit = rig.machine(), rig.dpdk_version(), commit.name()
    context.day = datetime.date.today().isoformat()
    os.sched_setaffinity(0, {int(rig.MAIN)})
    context.have, context.lack = peers.available(context.grout)
    if context.peer:
        context.have = [name for name in context.have if name in context.peer.split(",")]
    for name, why in context.lack.items():
        print(f"without {name}: {why}", file=sys.stderr)
    os.makedirs(rig.WORK, exist_ok=True)
    folder = context.out or rig.results_folder(context.facts)
    os.makedirs(folder, exist_ok=True)
    context.earlier = earlier(context, folder) if context.add else {}
    shown = context.earlier.get("shown", {})
    data = {part: context.earlier[part] for part in shown}
    goals = [goal for goal in context.earlier.get("goals", []) if goal["part"] not in context.parts]
    # What cannot be loaded is to be seen at once, not in half an hour.
    modules = {part: importlib.import_module(part) for part in context.parts}
    for part, module in modules.items():
        print(f"\n== {part}", file=sys.stderr)
        result = module.run(context, folder)
        shown[part] = {"sections": result["sections"], "goals": [goal.row() for goal in result["goals"]]}
        goals += [goal.plain() for goal in result["goals"]]
        data[part] = result["data"]
        # What an hour has brought is not lost with the part that comes next. The counter's frequency is learnt by measuring.
        data["tsc_mhz"] = rig.tsc_mhz()
        report.write(folder, context, {part: shown[part] for part in PARTS if part in shown}, goals, data)
        for title, words, table, _ in result["sections"]:
            print(f"\n{title}\n{words}\n\n{table or ''}", flush=True)
    print(f"\nGoals\n\n{report.goals_table([row for part in context.parts for row in shown[part]['goals']])}\n")
    print(f"took {time.monotonic() - began:.0f} s; report, JSON and plots are in {os.path.relpath(folder)}")
    failed = [row for rows in data.values() if isinstance(rows, dict) for row in rows.get("rows", []) if "error" in row]
    for row in failed:
        print(f"FAILED: {' '.join(str(row.get(key, '')) for key in ('part', 'scene', 'who'))}: {row['error']}", file=sys.stderr)
    # A peer that could not be measured is no failure of ours.
    sys.exit(any(row.get("who") in ("ironlane", "daemon") for row in failed))


main()
