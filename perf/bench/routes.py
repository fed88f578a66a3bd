"""Routes at speed: the FIB's writer alone; throughput of an lcore over the full table in pairs of a quiet and a
changing round; frames through the lcore while routes change, each compared with the history of its
destination; updates into empty tables; a million routes of the kernel, followed and listed; and one change under them, by the
shipped daemon, seen from outside."""
import json
import os
import re
import statistics
import subprocess
import tempfile

import goals
import report
import rig

# Longest that one row may take, in seconds.
LIMIT_S = 300
# Student's t for a 95 % interval, by the number of pairs.
T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
BURST = "the burst of 2015"
# Update streams of the data beside the source, each with the table before it.
STREAMS = {"a day of 2026": ("v4-20260511.txt.xz", "updates-v4-20260511.txt.xz"),
           BURST: ("v4-20151023.txt.xz", "updates-v4-20151023.txt.xz")}
CHANGES = {"mac": "a neighbour's MAC", "nexthop": "a nexthop object", "link": "a link"}


def streams():
    """Name, table and updates of each stream; without the data a made-up one."""
    data = os.path.join(rig.SHARED, "data", "rib")
    there = {name: [os.path.join(data, file) for file in files] for name, files in STREAMS.items()}
    there = {name: files for name, files in there.items() if all(map(os.path.exists, files))}
    return [(name, table, ["--updates", updates]) for name, (table, updates) in there.items()] or [("made up", rig.table(4), [])]


def perf(who, *arguments):
    """Rows of ironlane-perf routes, or one that says what failed."""
    try:
        out = rig.perf("routes", *arguments, timeout=LIMIT_S)
        return [{"part": "routes", "stream": who, **json.loads(line)} for line in out.splitlines()]
    except rig.Failed as error:
        return [{"part": "routes", "stream": who, "error": str(error)}]


def outside(routes):
    """Lines of tests/topology/convergence.sh."""
    script = os.path.join(rig.ROOT, "tests", "topology", "convergence.sh")
    daemon = os.path.join(os.path.dirname(rig.PERF), "ironlane")
    # As many changes of a link as of the others: the 99th of a hundred is no more than the last of twenty.
    env = {**os.environ, "IRONLANE_ROUTES": str(routes), "IRONLANE": daemon, "LINK_SHARE": "1", "LIMIT_P50_US": "1000000",
           "LIMIT_LINK_US": "1000000"}
    try:
        run = subprocess.run([script], capture_output=True, text=True, timeout=LIMIT_S, env=env, preexec_fn=rig.prefer)
    except subprocess.TimeoutExpired:
        return [{"part": "routes", "error": f"convergence.sh took longer than {LIMIT_S} s"}]
    if run.returncode:
        return [{"part": "routes", "error": f"convergence.sh: {(run.stdout + run.stderr)[-400:]}"}]
    return [{"part": "routes", **json.loads(line)} for line in re.findall(r"\((\{.*\})\)", run.stdout)]


def mirrored(routes):
    """Lines of the test mirror_speed: the kernel's routes followed as they come, and taken from a list."""
    build = ["cargo", "test", "--release", "--locked", "-p", "ironlane-control", "-p", "ironlane-perf", "--features",
             "ironlane-perf/baselines", "--test", "mirror_speed"]
    try:
        rig.run(*build, "--no-run", timeout=1200)
        out = rig.run("env", f"IRONLANE_ROUTES={routes}", *build, "--", "--nocapture", timeout=LIMIT_S)
    except rig.Failed as error:
        return [{"part": "routes", "error": f"mirror_speed: {error}"}]
    return [{"part": "routes", "mirror": line.pop("name"), **line} for line in map(json.loads, re.findall(r"\{.*\}$", out, re.MULTILINE))]


def measure(context):
    pairs, seconds = context.rounds or (3 if context.quick else 9), context.seconds or (0.5 if context.quick else 3)
    todo = streams()[:1] if context.quick else streams()
    progress = rig.Progress(3 * len(todo) + (2 if context.quick else 3))
    rows = []

    def step(doing, more):
        progress.now(doing)
        new = more()
        rows.extend(new)
        progress.step(new[-1].get("error") or doing)

    for name, table, updates in todo:
        base = ["--table", table, *updates, "--cpu", rig.WORKER, "--seconds", seconds]
        with tempfile.TemporaryDirectory() as folder:
            pcap = os.path.join(folder, "frames.pcap")
            rig.perf("frames", "--scene", "full4", "--table4", table, "--out", pcap)
            step(f"{name}: the writer alone", lambda: perf(name, *base))
            step(f"{name}: pairs under traffic", lambda: perf(name, *base, "--pcap", pcap, "--rounds", pairs))
            step(f"{name}: every frame compared", lambda: perf(name, *base, "--watch"))
    for name, _, updates in streams():
        if name == BURST:
            step(f"{name}, into empty tables", lambda: perf(name, "--empty", *updates))
    if not context.quick:
        step("a million routes, by the mirror", lambda: mirrored(1_000_000))
    step("one change under many routes", lambda: outside(20_000 if context.quick else 1_000_000))
    return rows


def interval(ratios):
    mean = statistics.mean(ratios)
    width = T.get(len(ratios), 2.26) * statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else float("nan")
    return mean, width


def run(context, folder):
    """The part, for __main__."""
    rows = measure(context)
    names = list(dict.fromkeys(row["stream"] for row in rows if "stream" in row and row.get("what") != "burst"))
    of = {(row.get("stream"), row["what"]): row for row in rows if "what" in row}
    alone = [[name, what, f"{row['changes']:,}", f"{row['seconds']:.2f}", f"{row['per_second']:,.0f}", row["waiting_most"]]
             for (name, what), row in of.items() if "per_second" in row]
    sections = [("The writer alone", "A reader looks up random destinations all the time, but for `fill`: all routes at once, in empty tables. `burst`: updates into empty tables, each by itself.",
                 report.markdown(["stream", "what", "changes", "seconds", "changes a second", "waited for readers, at most"], alone), [])]
    under, wanted = [], []
    for name in names:
        ratios = [row["ratio"] for row in rows if row.get("stream") == name and "ratio" in row]
        watch, mean = of.get((name, "watch")), None
        line = [name, "-", "-"]
        if ratios:
            mean, width = interval(ratios)
            rate = statistics.mean(row["changes_per_second"] for row in rows if row.get("stream") == name and "ratio" in row)
            line = [name, f"{rate:,.0f}", f"{mean:.3f} ({mean - width:.3f} to {mean + width:.3f}, {len(ratios)} pairs)"]
        keys = ("sent", "crossed", "wrong", "lost")
        under.append(line + ([f"{watch[key]:,}" for key in keys] + [f"{watch['blocked_ms']:.3f}"] if watch else ["-"] * 5))
        wanted += [goals.Goal("routes", f"{name}: rate under 100,000 updates a second, share of the quiet rate", mean, 0.97),
                   goals.Goal("routes", f"{name}: frames by a nexthop that was never right", watch and watch["wrong"], 0, at_most=True),
                   goals.Goal("routes", f"{name}: frames lost while routes change", watch and watch["lost"], 0, at_most=True)]
    sections.append(("Under traffic", "Share of the quiet rate with its 95 % interval; then frames through the lcore while routes change.", report.markdown(
        ["stream", "updates a second", "share of the quiet rate", "frames", "nexthop changed under way", "wrong", "lost", "blocked, ms"], under), []))
    changes = [row for row in rows if row.get("what") in CHANGES]
    keys = ("samples", "p50_us", "p99_us", "max_us", "old_p99_us", "call_p50_us", "heard_p50_us")
    sections.append(("One change under many routes", "From before the system call to the first frame by the new way, by the shipped daemon on tap ports, "
                     "while frames flow. Beside it the last frame by the old way, the system call alone, and when another listener had heard of the change. "
                     "Two CPUs have to do for both hosts, the listener, the kernel and the router here, which decides the tails.", report.markdown(
        ["change", "routes", "times", "p50, us", "p99, us", "most, us", "last by the old way, p99, us", "system call, p50, us", "heard, p50, us"],
        [[CHANGES[row["what"]], f"{row['routes']:,}", *(row[key] for key in keys)] for row in changes]), []))
    mirror = {row["mirror"]: row for row in rows if "mirror" in row}
    if mirror.keys() >= {"live", "list"}:
        live, listed = mirror["live"], mirror["list"]
        sections.append(("The kernel's routes", "By `ip -batch`, and by lists beside a loop that reads one and throws it away.", report.markdown(
            ["what", "figure"],
            [["routes", f"{live['routes']:,}"], ["`ip -batch`, s", f"{live['batch_s']:.1f}"], ["the mirror meanwhile, share of a CPU", f"{live['mirror_cpu_share']:.2f}"],
             ["visible behind the last, ms", f"{live['visible_after_ms']:.1f}"], ["events lost", live["overruns"]], ["the bare loop, s", f"{listed['bare_s']:.2f}"],
             ["a list into a RIB, to the bare loop", f"{listed['rib_to_bare']:.2f}"], ["into a new mirror's tables", f"{listed['mirror_to_bare']:.2f}"],
             ["into one that has all", f"{listed['again_to_bare']:.2f}"]]), []))
    failed = [row["error"] for row in rows if "error" in row]
    if failed:
        sections.append(("Failed", "; ".join(failed), "", []))
    first = names[0] if names else None

    def speed(what):
        return of[first, what]["per_second"] / 1e3 if (first, what) in of else None

    wanted = [goals.Goal("routes", "full table into an empty FIB, thousand routes a second", speed("load"), 1000),
              goals.Goal("routes", "churn, thousand changes a second", speed("churn"), 500), *wanted]
    wanted += [goals.Goal("routes", f"{words} changes under many routes: to the first frame, p50", next(
        (row["p50_us"] for row in changes if row["what"] == what), None), 1000, at_most=True, unit=" us") for what, words in CHANGES.items()]
    burst = of.get((BURST, "burst"))
    wanted += [goals.Goal("routes", f"{BURST} into empty tables, thousand changes a second", burst and burst["per_second"] / 1e3, 500),
               goals.Goal("routes", "a million routes by `ip -batch`: events lost", mirror["live"]["overruns"] if mirror else None, 0, at_most=True),
               goals.Goal("routes", "a list of a million routes into a new mirror's tables, to a bare loop",
                          mirror["list"]["mirror_to_bare"] if mirror else None, 1.3, at_most=True)]
    return {"sections": sections, "goals": wanted, "data": {"rows": rows}}
