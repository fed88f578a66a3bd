"""Plots and a table of what `ironlane-perf lookup` has printed: the best variant of each library beside ours.

    ironlane-perf lookup --quick > rows.json
    python3 perf/bench/compare.py rows.json perf/results/lookup
"""
import json
import os
import sys

import report
import svg


def library(name):
    return name.split(" ")[0]


def read(path):
    """Figures by table, then by library: (median, variant); seconds of loading by table and library; our bytes."""
    rates, loads, sizes, where = {}, {}, {}, ""
    with open(path) as lines:
        rows = [json.loads(line) for line in lines if line.startswith("{")]
    for row in rows:
        if "family" in row:
            where = f"IPv{row['family']} {row['table']}, {row['destinations']}"
            loads.setdefault(where, {})["ironlane"] = row["loaded_s"]
            sizes[where] = row["bytes"] / 2**20
        elif "median" in row:
            best = rates.setdefault(where, {})
            best[library(row["name"])] = max(best.get(library(row["name"]), (0, "")), (row["median"], row["name"]))
        elif "loaded_s" in row:
            loads[where][row["name"]] = row["loaded_s"]
    return rates, loads, sizes


def main(path, folder):
    rates, loads, sizes = read(path)
    os.makedirs(folder, exist_ok=True)
    table = []
    for family in ("IPv4", "IPv6"):
        groups = [where for where in rates if where.startswith(family)]
        series = {}
        for where in groups:
            ours = rates[where]["ironlane"][0]
            for who, (rate, variant) in rates[where].items():
                series.setdefault(who, {})[where] = rate
                table.append([where, variant, f"{rate:.0f}", "" if who == "ironlane" else f"{ours / rate:.2f}"])
        svg.bars(os.path.join(folder, f"{family.lower()}.svg"), f"{family} lookups on one core, bursts of 64",
                 "millions a second", groups, series)
    full = [where for where in loads if where.endswith("full, uniform")]
    names = {name for where in full for name in loads[where]}
    series = {name: {where: loads[where].get(name) for where in full} for name in sorted(names)}
    svg.bars(os.path.join(folder, "loading.svg"), "Loading the full table", "seconds", full, series)
    svg.bars(os.path.join(folder, "memory.svg"), "What our lookups may touch", "MiB", list(sizes), {"ironlane": sizes})
    print(report.markdown(["table, destinations", "best variant", "M/s", "ours to it"], table))


if __name__ == "__main__":
    main(*sys.argv[1:])
