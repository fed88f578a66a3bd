"""Routes at speed: the FIB's writer alone, then beside an lcore that forwards over the full table, in pairs of
a quiet and a changing round."""
import json
import os
import statistics

import goals
import report
import rig

# Student's t for a 95 % interval, by the number of pairs.
T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}


def measure(context):
    pairs, seconds = context.rounds or (3 if context.quick else 9), context.seconds or (0.5 if context.quick else 3)
    progress = rig.Progress(1)
    progress.now("loading, churn, churn under traffic")
    scene = rig.scenes()["full4"]
    updates = os.path.join(rig.SHARED, "data", "rib", "updates-v4-20260511.txt.xz")
    more = ["--updates", updates] if os.path.exists(updates) else []
    try:
        out = rig.perf("routes", "--table", rig.table(4), *more, "--pcap", rig.pcaps(scene)[0], "--rounds", pairs, "--seconds", seconds,
                       "--cpu", rig.WORKER, timeout=1200)
        rows = [{"part": "routes", "who": "ironlane", **json.loads(line)} for line in out.splitlines()]
    except rig.Failed as error:
        rows = [{"part": "routes", "who": "ironlane", "error": str(error)}]
    progress.step(rows[0].get("error") or ", ".join(
        f"{row['what']}: {row['per_second'] / 1e3:,.0f} k/s" for row in rows if "per_second" in row))
    return rows


def run(context, folder):
    """The part, for __main__."""
    rows = measure(context)
    alone = {row["what"]: row for row in rows if "per_second" in row}
    ratios = [row["ratio"] for row in rows if "ratio" in row]
    table = report.markdown(["what", "changes", "seconds", "changes a second", "waited for readers, at most"],
                            [[what, f"{row['changes']:,}", f"{row['seconds']:.2f}", f"{row['per_second']:,.0f}", row["waiting_most"]]
                             for what, row in alone.items()])
    words, mean = "Failed.", None
    if ratios:
        mean = statistics.mean(ratios)
        width = T.get(len(ratios), 2.26) * statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else float("nan")
        rate = statistics.mean(row["changes_per_second"] for row in rows if "ratio" in row)
        words = (f"Forwarding over the full IPv4 table with {rate:,.0f} changes a second: {mean:.3f} of the quiet rate "
                 f"(95 % interval {mean - width:.3f} to {mean + width:.3f}, {len(ratios)} pairs). Below: the writer alone, a reader looking "
                 "all the time.")

    def of(what):
        return alone[what]["per_second"] / 1e3 if what in alone else None

    return {
        "sections": [("Routes at speed", words, table, [])],
        "goals": [goals.Goal("routes", "full table into an empty FIB, thousand routes a second", of("load"), 1000),
                  goals.Goal("routes", "churn, thousand changes a second", of("churn"), 500),
                  goals.Goal("routes", "rate under 100,000 changes a second, share of the quiet rate", mean, 0.97)],
        "data": {"rows": rows},
    }
