"""The table on the terminal, report.md, results.json and the plots."""
import json
import os

import peers
import svg


def markdown(head, rows):
    """A table, its columns padded so that it reads well as text, too."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[n]) for row in [head] + rows) for n in range(len(head))]
    text = [head, ["-" * width for width in widths]] + rows
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in text)


def forward_table(lines):
    head = ["scene", "who", "DPDK", "rounds", "Mpps", "net", "spread", "cycles", "above rig", "to testpmd io",
            "to l3fwd lpm", "to l3fwd fib", "to grout", "to ironlane", "steal", "wait"]
    rows = []
    for line in lines:
        if "error" in line:
            rows.append([line["scene"], line["who"], "", "FAILED: " + line["error"][:80]] + [""] * (len(head) - 3))
            continue
        to = [f"{line['to'][peer]:.2f}" if peer in line["to"] else "" for peer in (*peers.NAMES, "ironlane")]
        above = "" if line["above"] is None else f"{line['above']:.0f}"
        rows.append([line["scene"], line["who"], line["dpdk"], line["rounds"], f"{line['mpps']:.1f}", f"{line['net_mpps']:.1f}",
                     f"{line['spread_pct']:.0f} %", f"{line['cycles']:.0f}", above, *to,
                     f"{line['steal_pct']:.0f} %", f"{line['wait_pct']:.0f} %"])
    return markdown(head, rows)


def stage_table(lines):
    mine = [line for line in lines if line["who"] == "ironlane" and "error" not in line]
    names = list(dict.fromkeys(name for line in mine for name, _ in line["stages"]))
    rows = []
    for line in mine:
        ticks = dict(line["stages"])
        rows.append([line["scene"]] + [f"{ticks[name]:.1f}" if name in ticks else "" for name in names])
    return markdown(["scene"] + names, rows)


def forward_plots(folder, lines):
    good = [line for line in lines if "error" not in line]
    scenes = list(dict.fromkeys(line["scene"] for line in good))
    for file, title, label, value in (
            ("forward.svg", "Rate on one core (net: for the time the core was there)", "Mpps", lambda l: l["net_mpps"]),
            ("cycles.svg", "Cycles a packet above the bare rig", "TSC cycles", lambda l: l["above"] and max(0, l["above"]))):
        series = {}
        for line in good:
            if value(line) is not None:
                series.setdefault(line["who"], {})[line["scene"]] = value(line)
        if series:
            svg.bars(os.path.join(folder, file), title, label, scenes, series)
    return ["forward.svg", "cycles.svg"]


def goals_table(goals):
    """`goals`: rows of them."""
    return markdown(["goal", "wanted", "measured", ""], goals)


NOTES = """\
- Rates on a shared machine move by a factor of two. Compare only within this report; ratios are taken inside
  one round and the median over the rounds is shown.
- `net` is the rate over the time the core was there: Mpps / (1 - steal - wait). `spread` is the interquartile range
  in percent of the median. Cycles are TSC cycles at the net rate; `above rig`: less those of testpmd io.
- No NIC takes part: receiving is a copy out of memory, sending a free. testpmd io is the cost of that.
- l3fwd checks neither checksum nor TTL, knows no neighbours, and leaves the IPv6 hop limit as it is.
- grout is that of Debian sid, with the DPDK of sid. The others use this system's DPDK; with `DPDK=sid` they use that of grout.
"""


def write(folder, context, shown, goals, data):
    """`shown`: by part, its sections (title, words, table or None, plots) and rows of goals, which an addition
    to the report shows again. `goals`: of the parts that were measured now."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "results.json"), "w") as file:
        json.dump({"command": context.command, "machine": context.facts, "dpdk": context.dpdk,
                   "commit": context.commit, "lack": context.lack, "goals": goals, "shown": shown,
                   **data}, file, indent=1)
        file.write("\n")
    facts = context.facts
    text = [f"# Benchmark of {context.day}", "",
            f"`{context.command}`, commit {context.commit}, DPDK {context.dpdk}.", "",
            f"{facts['cpu']} (family {facts['family']}, model {facts['model']}; {', '.join(facts['vectors']) or 'no AVX2'}), "
            f"{facts['cpus']} CPUs, {facts['memory_gib']} GiB, {'a virtual machine' if facts['virtual'] else 'bare metal'}, "
            f"Linux {facts['kernel']}; load average at the start {facts['load']:.1f}, "
            f"TSC {data.get('tsc_mhz', 0):.0f} MHz.", ""]
    if context.sample:
        text += ["**A sample, taken while other work ran on the machine: it shows the form, not the speed.**", ""]
    for name, why in context.lack.items():
        text.append(f"Without {name}: {why}.")
    text += ["", "## Goals", "", goals_table([row for part in shown.values() for row in part["goals"]]), ""]
    for title, words, table, plots in (section for part in shown.values() for section in part["sections"]):
        text += [f"## {title}", ""] + ([words, ""] if words else []) + ([table, ""] if table else [])
        text += [f"![{plot}]({plot})\n" for plot in plots]
    text += ["## How to read it", "", NOTES]
    with open(os.path.join(folder, "report.md"), "w") as file:
        file.write("\n".join(text))
