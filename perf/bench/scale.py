"""How cost grows: with routes, VRFs, adjacencies, ports, lcores. Cycles a packet, and those of the bare rig
with as many frames and ports, since these cost by themselves."""
import json
import os
import statistics

import goals
import peers
import report
import rig
import svg


def axes(quick):
    """Axis -> (label, points)."""
    cpus = os.cpu_count()
    if quick:
        return {"routes": ("routes", [1, 10_000, 1_000_000]), "adjacencies": ("adjacencies", [1, 1024, 65_536]),
                "ports": ("ports that receive", [1, 8]), "lcores": ("lcores", [1, 2])}
    return {
        "routes": ("routes", [1, 1_000, 10_000, 100_000, 1_000_000, 2_000_000, 4_000_000]),
        "vrfs": ("VRFs of 128 routes", [1, 10, 100, 1_000]),
        "adjacencies": ("adjacencies", [1, 16, 256, 1024, 4096, 16_384, 65_536]),
        "ports": ("ports that receive, one sends (32 are DPDK's own limit)", [1, 2, 4, 8, 16, 31]),
        "lcores": ("lcores", list(range(1, cpus + 1)) if cpus <= 8 else [1, 2, 4, 8, cpus]),
    }


def command(axis, point):
    """Arguments of `ironlane-perf play` without its time; and the frames that are played, in all."""
    frames = 65_536 if axis in ("routes", "adjacencies") else 4096
    name, scene, more, ports, cpus = f"scale-{axis}-{point}", "ipv4", [], 1, [rig.WORKER]
    if axis == "routes":
        path = os.path.join(rig.WORK, f"table4-{point}.txt")
        if not os.path.exists(path):
            rig.perf("table", "--out", path, "--routes", point)
        scene, more = "full4", ["--table4", path]
    elif axis == "vrfs":
        more = ["--nexthops", 128]
    elif axis == "adjacencies":
        more = ["--nexthops", point]
    elif axis == "ports":
        ports = point
    else:
        ports, cpus = point, [str((int(rig.WORKER) + n) % os.cpu_count()) for n in range(point)]
    pcaps = []
    for port in range(ports):
        pcaps += ["--pcap", os.path.join(rig.WORK, f"{name}-{port}.pcap")]
        rig.perf("frames", "--scene", scene, *more, "--frames", frames, "--port", port, "--out", pcaps[-1])
    if axis == "vrfs":
        more += ["--other-vrfs", point - 1]
    return ["play", "--scene", scene, *more, *pcaps, "--cpu", ",".join(cpus)], pcaps[1], frames


def remove(arguments):
    for word in arguments:
        if str(word).endswith(".pcap") and os.path.exists(word):
            os.remove(word)


def measure(context):
    rounds, seconds = context.rounds or (1 if context.quick else 3), context.seconds or (0.4 if context.quick else 2)
    plan = [(axis, point) for axis, (_, points) in axes(context.quick).items() for point in points]
    progress, rows = rig.Progress(rounds * len(plan)), []
    for number in range(rounds):
        for axis, point in rig.order(plan, number):
            progress.now(f"round {number + 1} of {rounds}: {axis} {point}")
            row = {"part": "scale", "scene": f"{axis} {point}", "who": "ironlane", "axis": axis, "point": point, "round": number}
            arguments = []
            try:
                arguments, pcap, frames = command(axis, point)
                row.update(rig.complete(json.loads(rig.perf(*arguments, "--seconds", seconds))))
                if axis in ("routes", "adjacencies") and "testpmd io" in context.have:
                    rig_row = rig.complete(peers.measure("testpmd io", [pcap], frames, None, seconds))
                    row["above"] = row["cycles"] - rig_row["cycles"]
                words = f"{row['net_mpps']:6.1f} Mpps net, {row['cycles']:4.0f} cycles"
            except rig.Failed as error:
                row["error"] = words = str(error)
            finally:
                remove(arguments)
            rows.append(row)
            progress.step(f"round {number + 1} of {rounds}: {axis} {point}: {words}")
    return rows


def run(context, folder):
    """The part, for __main__."""
    rows = measure(context)
    sections, reached = [], []
    for axis, (label, points) in axes(context.quick).items():
        table, line, above, rates = [], [], [], {}
        for point in points:
            good = [row for row in rows if (row["axis"], row["point"]) == (axis, point) and "error" not in row]
            if not good:
                table.append([point, "failed", "", "", ""])
                continue
            cycles, rates[point] = (statistics.median(row[key] for row in good) for key in ("cycles", "net_mpps"))
            cycles *= point if axis == "lcores" else 1  # of each lcore
            line.append((point, cycles if axis != "lcores" else rates[point]))
            over = [row["above"] for row in good if "above" in row]
            above += [(point, max(0, statistics.median(over)))] if over else []
            table.append([f"{point:,}", f"{rates[point]:.1f}", f"{cycles:.0f}", f"{above[-1][1]:.0f}" if over else "",
                          f"{statistics.median(row['wait_pct'] for row in good):.0f} %"])
        file = f"scale-{axis}.svg"
        if line:
            series = {"cycles a packet" if axis != "lcores" else "Mpps, all lcores": line}
            if above:
                series["above the bare rig"] = above
            svg.lines(os.path.join(folder, file), f"Cost by {label}", label, "Mpps" if axis == "lcores" else "TSC cycles a packet",
                      series, log_x=axis != "lcores")
        sections.append((f"Cost by {label}", "", report.markdown([label, "Mpps net", "cycles", "above rig", "wait"], table), [file] if line else []))
        if axis == "lcores":
            both = [row["wait_pct"] + row["steal_pct"] for row in rows if (row["axis"], row["point"]) == (axis, 2) and "error" not in row]
            reached += goals.lcores(rates, statistics.median(both) if both else 100)
    return {"sections": sections, "goals": reached, "data": {"rows": rows}}
