"""Rates on one core: Ironlane and its peers, scene by scene, in interleaved rounds."""
import ipaddress
import json
import os
import statistics

import daemon
import goals
import grout
import peers
import report
import rig

# Who takes part in which scene beside Ironlane's data plane on its own; `daemon` is all of Ironlane as it is
# shipped. l3fwd has no nexthops and forwards bad frames, too. `!`: in the first round alone, it starts slowly.
SCENES = {
    "ipv4": ["testpmd io", "l3fwd lpm", "l3fwd fib", "grout"],
    "ipv6": ["testpmd io", "l3fwd lpm", "l3fwd fib", "grout"],
    "ipv4-512": ["testpmd io", "l3fwd lpm"],
    "ipv6-512": ["testpmd io", "l3fwd lpm"],
    "full4": ["testpmd io", "!l3fwd lpm", "l3fwd fib", "grout"],
    "full6": ["testpmd io", "!l3fwd lpm", "l3fwd fib", "grout"],
    "bad1": ["daemon", "testpmd io", "l3fwd lpm"],
    "bad1-6": ["daemon", "testpmd io", "l3fwd lpm"],
    "full4-bad1": ["!daemon", "testpmd io", "l3fwd fib"],
    "full6-bad1": ["!daemon", "testpmd io", "l3fwd fib"],
    "ports4": ["testpmd io", "l3fwd lpm"],
    "mixed": ["testpmd io", "l3fwd lpm", "grout"],
    "imix": ["testpmd io", "l3fwd lpm", "grout"],
    "punt25": ["testpmd io"],
    "drop": ["testpmd io"],
    "vlan": ["testpmd io"],
    "adjacencies": ["testpmd io", "l3fwd fib"],
}
QUICK = ["ipv4", "ipv6", "ipv4-512", "ipv6-512", "full4", "full6", "bad1", "punt25", "adjacencies"]


def routes_file(scene):
    """Routes as the peers take them."""
    path = os.path.join(rig.WORK, f"{scene['name']}.routes")
    with open(path, "w") as file:
        for routes in scene["routes"]:
            if "table" in routes:
                with open(rig.table(int(routes["table"][-1]))) as table:
                    file.write(table.read())
                continue
            net = ipaddress.ip_network(routes["prefix"])
            bits = (routes["nexthops"] - 1).bit_length()
            for index, subnet in enumerate(net.subnets(bits)):
                file.write(f"{subnet} {index}\n")
    return path


def contenders(scene, have, number):
    names = ["ironlane"]
    for name in SCENES[scene]:
        slow, name = name.startswith("!"), name.lstrip("!")
        if name in have and not (slow and number > 0):
            names.append(name)
    return names


def measure(context, earlier):
    """Rows of all rounds, which follow those of earlier rows. A row that failed has `error`."""
    all_scenes = rig.scenes()
    names = [name for name in context.scene.split(",") if name] or (QUICK if context.quick else list(SCENES))
    unknown = [name for name in names if name not in SCENES]
    if unknown:
        raise SystemExit(f"error: no scene is called {', '.join(unknown)}; there are {', '.join(SCENES)}")
    have = ["daemon"] * ("daemon" in (context.peer or "daemon").split(",")) + [name for name in context.have if not (context.quick and name == "grout")]
    if context.quick:  # l3fwd's LPM takes minutes over a full table
        for family in "46":
            SCENES[f"full{family}"] = ["testpmd io", "l3fwd fib"]
    if "daemon" in context.peer.split(","):
        for name in names:
            SCENES[name] = ["daemon", *(who for who in SCENES[name] if who.lstrip("!") != "daemon")]
    rounds, seconds = context.rounds or (2 if context.quick else 5), context.seconds or (0.5 if context.quick else 3)
    begun = {name: 1 + max((row["round"] for row in earlier if row["scene"] == name), default=-1) for name in names}
    steps = len(names) + sum(len(contenders(name, have, begun[name] + n)) for name in names for n in range(rounds))
    progress, rows, made = rig.Progress(steps), [], {}
    for name in names:
        # What an earlier piece has compared, of this commit, is right.
        made[name], failed = prepare(all_scenes[name], [] if begun[name] else contenders(name, have, 0), progress)
        rows += failed
    wrong = {(row["scene"], row["who"]) for row in earlier + rows if row.get("wrong")}
    for turn in range(rounds):
        for name in rig.order(names, turn):
            number = begun[name] + turn
            for who in rig.order(contenders(name, have, number), number):
                if (name, who) in wrong:
                    progress.step(f"round {number + 1} of {begun[name] + rounds}: {name:<12} {who:<10} left out: its frames are wrong")
                    continue
                progress.now(f"round {number + 1} of {begun[name] + rounds}: {name}: {who}")
                row = {"part": "forward", "scene": name, "who": who, "round": number}
                try:
                    row.update(one(who, all_scenes[name], *made[name], seconds))
                    rig.complete(row)
                    row["dpdk"] = row.get("dpdk", context.dpdk).removeprefix("DPDK ")
                    words = f"{row['mpps']:6.1f} Mpps, net {row['net_mpps']:6.1f}"
                except rig.Failed as error:
                    row["error"] = words = str(error)
                rows.append(row)
                progress.step(f"round {number + 1} of {begun[name] + rounds}: {name:<12} {who:<10} {words}")
    return rows


def prepare(scene, who_takes_part, progress):
    """Makes the scene's files and has every frame compared: (what `one` takes of it, rows of those that failed)."""
    name, failed, words = scene["name"], [], []
    pcaps, routes = rig.pcaps(scene), routes_file(scene)
    checks = {"ironlane": lambda: rig.perf("play", "--scene", name, *pcap_arguments(pcaps), "--cpu", rig.WORKER, "--verify",
                                           *rig.table_arguments(scene))}
    if "daemon" in who_takes_part:
        checks["daemon"] = lambda: daemon.verify(scene, pcaps[0], routes)
    if "grout" in who_takes_part:
        checks["grout"] = lambda: grout.verify(scene, pcaps[0], routes)
    for who, check in checks.items():
        progress.now(f"{name}: comparing every frame of {who}")
        try:
            words.append(f"{who}: {check().strip().split(': ', 1)[1]}")
        except rig.Failed as error:
            failed.append({"part": "forward", "scene": name, "who": who, "round": 0, "wrong": True, "error": str(error)})
            words.append(f"{who}: {error}")
    progress.step(f"{name}: {'; '.join(words)}")
    return (pcaps, routes, words[0]), failed


def pcap_arguments(pcaps):
    return [word for path in pcaps for word in ("--pcap", path)]


def one(who, scene, pcaps, routes, verdict, seconds):
    if who == "daemon":
        return daemon.measure(scene, pcaps[0], routes, daemon.fates(verdict), seconds)
    if who == "grout":
        return grout.measure(pcaps, scene["frames"] * len(pcaps), routes, seconds)
    if who != "ironlane":
        return peers.measure(who, pcaps, scene["frames"] * len(pcaps), routes, seconds)
    out = rig.perf("play", "--scene", scene["name"], *pcap_arguments(pcaps), "--cpu", rig.WORKER, "--seconds", seconds,
                   *rig.table_arguments(scene))
    row = json.loads(out)
    rig.learn_tsc(row["tsc_mhz"])
    return row


def summary(rows):
    """One line for each scene and contender: medians over the rounds; ratios are taken inside a round."""
    lines, keys = [], []
    good = {}
    for row in rows:
        key = row["scene"], row["who"]
        if key not in keys:
            keys.append(key)
        if "error" not in row:
            good.setdefault(key, {})[row["round"]] = row
    for scene, who in keys:
        mine = good.get((scene, who))
        if not mine:
            error = next(row["error"] for row in rows if (row["scene"], row["who"]) == (scene, who))
            lines.append({"scene": scene, "who": who, "error": error})
            continue
        net = [row["net_mpps"] for row in mine.values()]
        line = {
            "scene": scene, "who": who, "dpdk": mine[max(mine)]["dpdk"], "rounds": len(net),
            "mpps": statistics.median(row["mpps"] for row in mine.values()),
            "net_mpps": statistics.median(net), "spread_pct": rig.spread(net),
            "cycles": statistics.median(row["cycles"] for row in mine.values()),
            "steal_pct": statistics.median(row["steal_pct"] for row in mine.values()),
            "wait_pct": statistics.median(row["wait_pct"] for row in mine.values()),
            "to": {}, "above": None,
        }
        for peer in ("ironlane", *peers.NAMES):
            theirs = good.get((scene, peer), {})
            both = [n for n in mine if n in theirs]
            if both and peer != who:
                line["to"][peer] = statistics.median(mine[n]["net_mpps"] / theirs[n]["net_mpps"] for n in both)
                if peer == "testpmd io":
                    line["above"] = statistics.median(mine[n]["cycles"] - theirs[n]["cycles"] for n in both)
        if who == "ironlane":
            last = mine[max(mine)]
            line["stages"] = last["stages"]
        lines.append(line)
    return lines


def run(context, folder):
    """The part, for __main__."""
    earlier = context.earlier.get("forward", {}).get("rows", [])
    rows = earlier + measure(context, earlier)
    lines, beside = summary(rows), grout.beside(rows)
    return {
        "sections": [
            ("Forwarding on one core", "64-byte frames unless the scene says otherwise (`ironlane-perf scenes`). Each scene's "
             "frames are first played once and compared one by one; a wrong or missing route fails it.",
             report.forward_table(lines), report.forward_plots(folder, lines)),
            *([grout.section(beside)] if beside else []),
            ("Ticks by stage", "TSC ticks a packet in each stage, as the lcore counts them in the last round; the time in which "
             "the core was taken away is in them.", report.stage_table(lines), []),
        ],
        "goals": goals.forward(lines), "data": {"rows": rows, "summary": lines, "beside grout": beside},
    }
