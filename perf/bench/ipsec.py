"""What one core opens and seals, beside DPDK's ipsec-secgw on the same frames and the limit of its crypto driver."""
import json
import os
import statistics

import goals
import peers
import report
import rig
import secgw
import svg

WHO = ("ironlane", "ipsec-secgw", "testpmd io")
# Bytes that ESP encrypts of a frame in clear: without its Ethernet header, with padding, its length and next header.
TEXT = {"64": 52, "512": 500, "590": 580, "1420": 1408}
IMIX = {"64": 7, "590": 4, "1420": 1}
PORTS_ON_TWO_CORES = 2


class Scene:
    def __init__(self, way, size, tunnels, more=()):
        self.way, self.size, self.tunnels, self.more = way, size, tunnels, tuple(more)
        family = "IPv6, " if "--v6" in more else ""
        udp = "in UDP, " if "--encap" in more else ""
        count = "1 tunnel" if tunnels == 1 else f"{tunnels:,} tunnels"
        self.name = f"{way} {size}, {family}{udp}{count}"
        self.frames = max(1, -(-1024 // tunnels)) * tunnels
        self.arguments = ["--way", way, "--size", size, "--tunnels", tunnels, *more]

    def taken_by(self, who):
        """ipsec-secgw has ESP in UDP only where a device does all of ESP."""
        return who != "ipsec-secgw" or "--encap" not in self.more

    def path(self, end):
        return os.path.join(rig.WORK, f"ipsec-{self.way}-{self.size}-{self.tunnels}{''.join(self.more)}.{end}")


def scenes(quick):
    if quick:
        return [Scene(way, size, tunnels) for tunnels in (1, 100_000) for size in ("64", "1420") for way in ("out", "in")]
    made = [Scene(way, size, tunnels) for tunnels in (1, 1000, 100_000)
            for size in ("64", "512", "1420", "imix") for way in ("out", "in")]
    return made + [Scene(way, size, 1000, more) for more in (["--v6"], ["--encap"]) for size in ("64", "1420") for way in ("out", "in")]


def prepare(scene, have, progress):
    """Makes the files and has every frame of everybody compared: rows of those whose are wrong."""
    failed, words = [], []
    rig.perf("ipsec", "frames", *scene.arguments, "--out", scene.path("pcap"))
    peer = "ipsec-secgw" in have and scene.taken_by("ipsec-secgw")
    if peer:
        rig.perf("ipsec", "secgw", *scene.arguments, "--out", scene.path("cfg"))

    def of_secgw():
        got = scene.path("got.pcap")
        try:
            secgw.forwarded_once(scene.way, scene.path("pcap"), scene.path("cfg"), scene.frames, got)
            return rig.perf("ipsec", "compare", *scene.arguments, "--got", got)
        finally:
            if os.path.exists(got):
                os.remove(got)

    checks = {"ironlane": lambda: rig.perf("ipsec", "play", *scene.arguments, "--pcap", scene.path("pcap"), "--cpu", rig.WORKER, "--verify")}
    if peer:
        checks["ipsec-secgw"] = of_secgw
    for who, check in checks.items():
        progress.now(f"{scene.name}: comparing every frame of {who}")
        try:
            words.append(f"{who}: {check().strip()}")
        except rig.Failed as error:
            failed.append({"part": "ipsec", "scene": scene.name, "who": who, "round": 0, "error": str(error)})
            words.append(f"{who}: {error}")
    progress.step(f"{scene.name}: {'; '.join(words)}")
    return failed


def one(who, scene, seconds):
    if who == "ipsec-secgw":
        return secgw.measure(scene.way, scene.path("pcap"), scene.path("cfg"), scene.frames, seconds)
    if who == "testpmd io":
        return peers.measure(who, [scene.path("pcap")], scene.frames, None, seconds)
    row = json.loads(rig.perf("ipsec", "play", *scene.arguments, "--pcap", scene.path("pcap"), "--cpu", rig.WORKER, "--seconds", seconds))
    rig.learn_tsc(row["tsc_mhz"])
    return row


def limit(way, seconds):
    """Cycles of a packet by size, and of the mix."""
    by_text = secgw.crypto_limit(way, sorted(TEXT.values()), seconds)
    cycles = {size: by_text[text]["cycles"] for size, text in TEXT.items()}
    cycles["imix"] = sum(cycles[size] * weight for size, weight in IMIX.items()) / sum(IMIX.values())
    return cycles


def measure(context):
    """Rows of all rounds; a row that failed has `error`."""
    plan = scenes(context.quick)
    have = [who for who in WHO if who == "ironlane" or who in context.have]
    rounds, seconds = context.rounds or (2 if context.quick else 5), context.seconds or (0.5 if context.quick else 2)
    readings = sum(scene.taken_by(who) for scene in plan for who in have)
    progress, rows = rig.Progress(len(plan) + rounds * (readings + 2)), []
    for scene in plan:
        rows += prepare(scene, have, progress)
    wrong = {(row["scene"], row["who"]) for row in rows}
    for number in range(rounds):
        for scene in rig.order(plan, number):
            for who in filter(scene.taken_by, rig.order(have, number)):
                row = {"part": "ipsec", "scene": scene.name, "who": who, "round": number}
                if (scene.name, who) in wrong:
                    progress.step(f"round {number + 1} of {rounds}: {scene.name}: {who} left out: its frames are wrong")
                    continue
                progress.now(f"round {number + 1} of {rounds}: {scene.name}: {who}")
                try:
                    row.update(rig.complete(one(who, scene, seconds)))
                    words = f"{row['net_mpps']:6.2f} Mpps net, {row['cycles']:5.0f} cycles"
                except rig.Failed as error:
                    row["error"] = words = str(error)
                rows.append(row)
                progress.step(f"round {number + 1} of {rounds}: {scene.name}: {who}: {words}")
        for way in rig.order(["out", "in"], number):
            row = {"part": "ipsec", "scene": f"crypto {way}", "who": "crypto limit", "round": number}
            try:
                row["limit"] = limit(way, seconds / 2)
            except rig.Failed as error:
                row["error"] = str(error)
            rows.append(row)
            progress.step(f"round {number + 1} of {rounds}: crypto limit, {way}: {row.get('limit') or row['error']}")
    for scene in plan:
        for end in ("pcap", "cfg"):
            if os.path.exists(scene.path(end)):
                os.remove(scene.path(end))
    return rows


def two_cores(context):
    """Rates of one tunnel whose packets come by two ports: on one lcore, and on two."""
    if os.cpu_count() < 2:
        return {}
    scene, rates = Scene("out", "1420", 1), {}
    paths = []
    for port in range(PORTS_ON_TWO_CORES):
        paths.append(os.path.join(rig.WORK, f"ipsec-two-{port}.pcap"))
        rig.perf("ipsec", "frames", *scene.arguments, "--port", port, "--out", paths[-1])
    try:
        for cpus in (rig.WORKER, f"{rig.WORKER},{rig.MAIN}"):
            pcaps = [word for path in paths for word in ("--pcap", path)]
            row = json.loads(rig.perf("ipsec", "play", *scene.arguments, *pcaps, "--cpu", cpus, "--any-loss", "--seconds", context.seconds or 1))
            rates[len(cpus.split(","))] = row
    except rig.Failed as error:
        return {"error": str(error)}
    finally:
        for path in paths:
            os.remove(path)
    return rates


def summary(plan, rows):
    """A line for each scene: medians over the rounds of cycles above the rig, and ratios taken inside a round."""
    good = {}
    for row in rows:
        if "error" not in row:
            good.setdefault((row["scene"], row["who"]), {})[row["round"]] = row
    lines = []
    for scene in plan:
        rig_rows, limits = good.get((scene.name, "testpmd io"), {}), good.get((f"crypto {scene.way}", "crypto limit"), {})
        above = {who: {n: row["cycles"] - rig_rows[n]["cycles"] for n, row in good.get((scene.name, who), {}).items() if n in rig_rows}
                 for who in ("ironlane", "ipsec-secgw")}
        line = {"scene": scene.name, "way": scene.way, "size": scene.size, "tunnels": scene.tunnels, "more": scene.more}
        for who in WHO:
            mine = good.get((scene.name, who))
            if mine:
                line[who] = {"net_mpps": statistics.median(row["net_mpps"] for row in mine.values()),
                             "cycles": statistics.median(row["cycles"] for row in mine.values()),
                             "spread_pct": rig.spread([row["net_mpps"] for row in mine.values()])}
                if above.get(who):
                    line[who]["above"] = statistics.median(above[who].values())
        ours, theirs = above["ironlane"], above["ipsec-secgw"]
        both = [n for n in ours if n in theirs]
        line["to secgw"] = statistics.median(theirs[n] / ours[n] for n in both) if both else None
        both = [n for n in ours if n in limits]
        line["limit"] = statistics.median(limits[n]["limit"][scene.size] for n in limits) if limits else None
        line["to limit"] = statistics.median(limits[n]["limit"][scene.size] / ours[n] for n in both) if both else None
        lines.append(line)
    return lines


def table(lines):
    cell = lambda line, who, key: f"{line[who][key]:.{2 if key == 'net_mpps' else 0}f}" if key in line.get(who, {}) else "-"
    ratio = lambda value: "-" if value is None else f"{value:.2f}"
    body = [[line["scene"], cell(line, "ironlane", "net_mpps"), cell(line, "ironlane", "cycles"), cell(line, "testpmd io", "cycles"),
             cell(line, "ironlane", "above"), cell(line, "ipsec-secgw", "above"), "-" if line["limit"] is None else f"{line['limit']:.0f}",
             ratio(line["to limit"]), ratio(line["to secgw"]), f"{line.get('ironlane', {}).get('spread_pct', 0):.0f} %"] for line in lines]
    return report.markdown(["scene", "Mpps net", "cycles", "rig", "above rig", "secgw above rig", "crypto limit", "to limit", "to secgw", "spread"], body)


def stages(plan, rows):
    last = {row["scene"]: row for row in rows if row["who"] == "ironlane" and "error" not in row}
    names = [name for name in dict.fromkeys(name for row in last.values() for name, _ in row["stages"])
             if any(dict(row["stages"]).get(name, 0) >= 0.5 for row in last.values())]
    body = [[scene.name, *(f"{dict(last[scene.name]['stages']).get(name, 0):.0f}" for name in names)] for scene in plan if scene.name in last]
    return report.markdown(["scene", *names], body)


def run(context, folder):
    """The part, for __main__."""
    plan, rows = scenes(context.quick), measure(context)
    lines, spread = summary(plan, rows), two_cores(context)
    groups = [line["scene"] for line in lines if not line["more"]]
    series = {who: {line["scene"]: line[who]["above"] for line in lines if "above" in line.get(who, {})} for who in ("ironlane", "ipsec-secgw")}
    series["crypto limit"] = {line["scene"]: line["limit"] for line in lines if line["limit"]}
    svg.bars(os.path.join(folder, "ipsec.svg"), "AES-128-GCM tunnels: above the bare rig", "TSC cycles a packet", groups, series)
    sections = [
        ("IPsec on one core", "AES-128-GCM in ESP tunnels, each of one policy and one SA; sizes are those of the frames in clear. Every frame of each "
         "scene is first opened or made by an implementation that is nobody's here. Replay windows are off for all (the same frames "
         "come again and again). ipsec-secgw has ESP in UDP only where a device does all of ESP, so those rows are without it. `crypto limit` is dpdk-test-crypto-perf on as many bytes, with one key; all are of this system's DPDK.",
         table(lines), ["ipsec.svg"]),
        ("IPsec: ticks by stage", "", stages(plan, rows), []),
    ]
    if spread and "error" not in spread:
        body = [[lcores, f"{row['sealed_mpps']:.2f}", f"{row['mpps']:.2f}", f"{row['wait_pct']:.0f} %"] for lcores, row in spread.items()]
        sections.append(("One tunnel on several lcores", "An SA belongs to one lcore; others hand its packets over. 1,420 bytes, out, by two ports.",
                         report.markdown(["lcores", "Mpps sealed", "Mpps received", "wait"], body), []))
    return {"sections": sections, "goals": goals.ipsec(lines), "data": {"rows": rows, "summary": lines, "one tunnel": spread}}
