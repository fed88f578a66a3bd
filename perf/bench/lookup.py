"""Lookups a second against rte_lpm, rte_fib and others, by `ironlane-perf lookup`: it checks every answer,
takes turns between the contestants, and prints JSON lines."""
import json
import os
import subprocess

import goals
import report
import rig
import svg


def measure(context, progress):
    if subprocess.run([rig.PERF, "lookup", "--help"], capture_output=True).returncode:
        return [], "This build has no `ironlane-perf lookup`."
    if not os.path.isdir(os.path.join(rig.SHARED, "data", "rib")):
        return [], "Left out: it takes the real tables of `$IRONLANE_SHARED/data/rib`, which are not here."
    progress.now("lookups in real tables")
    words = ["--shared", rig.SHARED] + (["--quick"] if context.quick else [])
    try:
        out = rig.perf("lookup", *words, timeout=3600)
    except rig.Failed as error:
        return [{"part": "lookup", "who": "ironlane", "error": str(error)}], f"Failed: {error}"
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")], ""


def run(context, folder):
    """The part, for __main__."""
    progress = rig.Progress(1)
    rows, words = measure(context, progress)
    progress.step(words or f"lookups: {len(rows)} lines")
    table, series, groups, reached, where = [], {}, [], [], ""
    for row in rows:
        if "family" in row:
            where = f"IPv{row['family']} {row['table']}, {row['destinations']}"
            groups.append(where)
        elif "median" in row:
            table.append([where, row["name"], *(f"{row[key]:.1f}" for key in ("median", "min", "max"))])
            series.setdefault(row["name"], {})[where] = row["median"]
        elif "left_out" in row:
            table.append([where, row["name"], row["left_out"], "", ""])
        elif "against" in row and row.get("goal"):
            reached.append(goals.Goal("lookup", f"{where}: lookups against {row['against']}", row["ratio_of_medians"], row["goal"]))
    plots = []
    if series:
        svg.bars(os.path.join(folder, "lookup.svg"), "Lookups on one core, in batches", "millions a second", groups, series)
        plots = ["lookup.svg"]
    shown = report.markdown(["table, destinations", "who", "M/s median", "min", "max"], table) if table else None
    return {"sections": [("Lookup", words, shown, plots)], "goals": reached, "data": {"rows": rows}}
