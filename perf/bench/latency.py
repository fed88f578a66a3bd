"""Time through the box, the highest rate without loss, and small bursts: all on ring ports with our own
generator, which takes the other core."""
import json
import os

import memif
import report
import rig
import svg

# Frames of the generator carry eight bytes of time stamp: 64 bytes have no room for it in IPv6.
FAMILIES = {"IPv4": ["--scene", "ipv4"], "IPv6": ["--scene", "ipv6", "--size", "86"]}
BURSTS = [4, 16, 32]


def measure(context):
    seconds = context.seconds or (0.3 if context.quick else 2)
    trial = ["--cpu", rig.WORKER, "--generator-cpu", rig.MAIN, "--seconds", seconds]
    sizes = {name: scene["sizes"] for name, scene in rig.scenes().items() if "sizes" in scene}
    if context.quick:
        sizes = {"rfc2544": [60]}
    searches = [(name, size) for name in sizes for size in sizes[name]]
    families = {"IPv4": FAMILIES["IPv4"]} if context.quick else FAMILIES
    progress = rig.Progress(2 * len(families) + len(searches))
    rows, times, bursts, searched = [], {}, {}, []

    def attempt(what, *command):
        progress.now(what)
        try:
            lines = [json.loads(line) for line in rig.perf(*command, *trial).splitlines()]
        except rig.Failed as error:
            rows.append({"part": "latency", "scene": what, "who": "ironlane", "error": str(error)})
            progress.step(f"{what}: {error}")
            return None
        rows.extend({"part": "latency", "what": what, **line} for line in lines)
        return lines

    for family, scene in families.items():
        lines = attempt(f"{family}: times at 10, 50 and 90 % load", "latency", *scene, "--loads", "10,50,90", "--loss-pct", 0.5)
        if lines:
            times[family] = lines[0]
            progress.step(f"{family}: {lines[0]['throughput_mpps']:.2f} Mpps at most; " + ", ".join(
                f"{row['load_pct']:.0f} %: median {percentile(row, 50) / 1000:.2f} us"
                for row in lines[0]["times"] if row["who"] == "ironlane"))
        lines = attempt(f"{family}: bursts", "bursts", *scene, "--sizes", ",".join(map(str, BURSTS)))
        if lines:
            bursts[family] = lines
            progress.step(f"{family}: " + ", ".join(f"bursts of {row['burst']}: {row['cycles']:.0f} cycles" for row in lines))
    for name, size in searches:
        lines = attempt(f"{name}, {size + 4} bytes", "search", "--scene", name, "--size", size)
        if lines:
            searched += lines
            progress.step(f"{name}, {size + 4} bytes: {lines[0]['mpps']:.2f} Mpps without loss")
    return rows, times, bursts, searched


def percentile(row, wanted):
    return next(ns for percent, ns in row["percentiles"] if percent == wanted)


def times_table(times):
    head = ["family", "load", "who", "Mpps", "min", "p50", "p90", "p99", "p99.9", "p99.99", "max", "lost", "wait", "stalls", "set aside", "again"]
    rows = []
    for family, line in times.items():
        for row in line["times"]:
            rows.append([family, f"{row['load_pct']:.0f} %", row["who"], f"{row['mpps']:.2f}"]
                        + [f"{percentile(row, p) / 1000:.2f}" for p in (0, 50, 90, 99, 99.9, 99.99, 100)]
                        + [f"{row['loss_pct']:.3f} %", f"{row['wait_pct']:.1f} %", row["stalls"], row["set_aside"], row["thrown_away"]])
    return report.markdown(head, rows)


def plot(folder, times):
    files = []
    for family, line in times.items():
        series = {}
        for row in line["times"]:
            # Percentiles as their distance from 100, the usual way to see tails.
            series[f"{row['who']}, {row['load_pct']:.0f} %"] = [
                (100 / (100 - percent), max(0.001, ns / 1000)) for percent, ns in row["percentiles"] if percent < 100]
        file = f"latency-{family.lower()}.svg"
        marks = [(1, "0"), (2, "50 %"), (10, "90 %"), (100, "99 %"), (1000, "99.9 %"), (1e4, "99.99 %"), (1e5, "99.999 %")]
        svg.lines(os.path.join(folder, file), f"Time through the box, {family}", "percentile of the packets", "microseconds",
                  series, log_x=True, log_y=True, x_ticks=marks)
        files.append(file)
    return files


def run(context, folder):
    """The part, for __main__."""
    rows, times, bursts, searched = measure(context)
    burst_rows = [[family, row["burst"], f"{row['met']:.1f}", f"{row['mpps']:.2f}", f"{row['cycles']:.0f}", f"{row['line_ticks']:.0f}",
                   f"{row['wait_pct']:.0f} %"]
                  for family, lines in bursts.items() for row in lines]
    search_rows = [[row["scene"], row["frame"] + 4, f"{row['mpps']:.3f}", f"{row['wire_gbps']:.2f}", row["trials"], row["disturbed"]] for row in searched]
    again = sum(row["thrown_away"] for line in times.values() for row in line["times"])
    trials, disturbed = (sum(line[what] for line in [*times.values(), *searched]) for what in ("trials", "disturbed"))
    more = []
    if not context.quick and "testpmd io" in context.have:
        memif_rows, section = memif.run(context)
        rows += memif_rows
        more = [section]
    return {
        "sections": [
            ("Time through the box", "Microseconds, by the time stamp counter in each frame; load in percent of the highest rate with at most "
             "0.5 % loss, so that a moment without the core does not decide it. `no router`: the same generator on a bare ring, its own part. "
             "A stall is a gap of more than 20 us between two polls of the generator: it was kept from its CPU, so the stall and what was on the way "
             "(set aside) are left out. A reading in which either was kept from its CPU for more than 5 % of the time was taken again, "
             f"twice at most, and the quietest counts: {again} readings of all were thrown away; of {trials} trials that sought the highest rates, {disturbed} were "
             "disturbed so.", times_table(times), plot(folder, times)),
            ("Small bursts", "The next burst goes when the lcore has taken the one before. Cycles: of turns that moved packets, rx and tx of "
             "the ring port in them. The rate is that of the hand-over between two cores. `line`: the time stamp counter's ticks that a "
             "cache line takes between the two, which decides all this (perf/README.md).",
             report.markdown(["family", "burst", "met", "Mpps", "cycles a packet", "line", "wait"], burst_rows), []),
            ("Highest rate without loss", "Binary search of RFC 2544 section 26.1; frame lengths with FCS; Gbit/s as on a wire, with preamble and gap. "
             "The generator on one core bounds it, too.", report.markdown(["scene", "frame", "Mpps", "Gbit/s", "trials", "disturbed"], search_rows), []),
            *more,
        ],
        "goals": [], "data": {"rows": rows},
    }
