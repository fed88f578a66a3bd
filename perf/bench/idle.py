"""A router with nothing to do: its share of a core, and its first packet after silence. Measured by the
topology test of the same name, with the daemon as it is shipped."""
import json
import os
import tempfile

import goals
import report
import rig

SCRIPT = os.path.join(rig.ROOT, "tests", "topology", "idle.sh")
FAMILIES = {"IPv4": "v4", "IPv6": "v6"}


def measure(quick):
    """What idle.sh wrote: the shares, and the times by family."""
    with tempfile.TemporaryDirectory(prefix="ironlane-bench-") as folder:
        # A 99th percentile of few is the greatest of them, and one stall of the machine decides it.
        count, silence, idle = (200, 0.02, 3) if quick else (500, 0.1, 10)
        rig.run("env", f"FIGURES={folder}", f"SAMPLES={count}", f"SILENCE_S={silence}", f"IDLE_S={idle}",
                f"IRONLANE={os.path.join(rig.TARGET, 'release', 'ironlane')}", SCRIPT)
        read = lambda name: json.load(open(os.path.join(folder, name)))
        return read("share"), {family: read(name) for family, name in FAMILIES.items()}


def run(context, folder):
    """The part, for __main__."""
    progress = rig.Progress(1)
    progress.now("an idle router")
    try:
        share, first = measure(context.quick)
    except rig.Failed as error:
        progress.step(f"an idle router: {error}")
        row = {"part": "idle", "scene": "an idle router", "who": "ironlane", "error": str(error)}
        return {"sections": [], "goals": goals.idle(None, {}), "data": {"rows": [row]}}
    progress.step(f"an idle router: {share['daemon_percent']:.2f} % of a core; first packet, median: "
                  + ", ".join(f"{family} {row['p50_us']:.0f} us" for family, row in first.items()))
    cells = lambda row: [f"{row[key]:.0f}" for key in ("p50_us", "p90_us", "p99_us", "max_us")]
    times = []
    for family, row in first.items():
        times += [[family, "first packet", *cells(row)], [family, "a bare wake", *cells(row["bare_wake"])]]
    threads = [[name, f"{percent:.3f} %"] for name, percent in share["threads"].items()]
    return {
        "sections": [
            ("An idle router", "Percent of a core, by thread, of the daemon with two net_tap ports.",
             report.markdown(["thread", "share"], threads), []),
            ("First packet after silence", "Microseconds from the send call of one host to the receive stamp of the other. `a bare wake`: what "
             "the machine needs to wake any thread on the lcore's CPU, measured in turn; the rest is the router's, and "
             "both hosts' kernels'.", report.markdown(["family", "what", "p50", "p90", "p99", "max"], times), []),
        ],
        "goals": goals.idle(share, first),
        "data": {"rows": [], "share": share, "first": first},
    }
