"""grout on the rig of a scene. Where this system has it, it runs as it is; else in the chroot of Debian sid that
perf/within.sh makes, with the DPDK of that."""
import ipaddress
import json
import os
import shutil
import statistics
import subprocess
import time

import peers
import report
import rig

HERE_TOO = shutil.which("grout") is not None
ROOT = "/" if HERE_TOO else os.path.join(peers.PEERS, "sid")
ROUTES = os.path.join(peers.PEERS, "grout-routes") if HERE_TOO else "grout-routes"
SOCKET, FRAMES, NEXTHOPS = "/tmp/grout.sock", "/tmp/bench.pcap", "/tmp/bench.nexthops"
# Numbers of the first nexthops of each family, and what a pcap port has as the second one.
FIRST, SINK_MAC = {"4": 1000, "6": 3000}, "02:70:63:61:70:01"


def outside(path):
    """Where we find a file of grout's system."""
    return os.path.join(ROOT, path.lstrip("/"))


def inside(*words):
    """How a command is run in grout's system."""
    return list(words) if HERE_TOO else ["chroot", ROOT, *words]


def cli(*words):
    return inside("grcli", "-s", SOCKET, *words)


class Counters:
    """Those of grout, by its CLI."""

    def reading(self):
        before = time.monotonic()
        out = subprocess.run(cli("-j", "interface", "stats"), capture_output=True, text=True)
        if out.returncode:
            raise rig.Failed("grcli: " + out.stderr.strip()[-200:])
        ports = {row["interface"]: row for row in json.loads(out.stdout)}
        received = ports["p0"]["rx_packets"]
        return (before + time.monotonic()) / 2, received, received, ports["p1"]["tx_packets"]


def start(log):
    command = ["taskset", "-c", f"{rig.MAIN},{rig.WORKER}", "grout", "-p", "-M", ":0", "-s", SOCKET]
    if not HERE_TOO:
        # A mount namespace of its own: what is mounted goes with it.
        places = ("dev", "proc", "sys")
        for place in places:
            os.makedirs(outside(place), exist_ok=True)
        mounts = "; ".join(f"mount --rbind /{place} {outside(place)}" for place in places)
        command = ["unshare", "--mount", "sh", "-c", f"{mounts}; exec chroot {ROOT} {' '.join(command)}"]
    try:
        os.remove(outside(SOCKET))
    except FileNotFoundError:
        pass
    return peers.start(command, log)


class Running:
    """grout with its routes. The source is down until `up`."""

    def __init__(self, pcap, frames, routes, sink, log):
        if frames > 240_000:
            raise rig.Failed("grout's pool takes no more than 240,000 frames")
        self.frames, self.sink, self.log = frames, sink, log
        shutil.copy(pcap, outside(FRAMES))
        with open(routes) as file:
            self.lines = file.readlines()

    def say(self, *words):
        done = subprocess.run(cli(*words), capture_output=True, text=True)
        self.log.write(f"{words}: {done.stdout}{done.stderr}\n")
        if done.returncode:
            raise rig.Failed(f"grcli {' '.join(words)}: {done.stderr.strip()[-200:]}")

    def __enter__(self):
        self.child = start(self.log)
        try:
            until = time.monotonic() + 15
            while not os.path.exists(outside(SOCKET)):
                if self.child.poll() is not None or time.monotonic() > until:
                    raise rig.Failed("grout did not start")
                time.sleep(0.1)
            self.prepare()
            return self
        except BaseException:
            peers.end(self.child)
            raise

    def __exit__(self, *_):
        peers.end(self.child)

    def set_source(self, state):
        self.say("interface", "set", "port", "p0", state)

    def prepare(self):
        """Ports, tables as large as the routes need, addresses, nexthops, routes."""
        families = {"4": [line for line in self.lines if ":" not in line], "6": [line for line in self.lines if ":" in line]}
        self.say("affinity", "cpus", "set", "control", rig.MAIN, "datapath", rig.WORKER)
        queue = ["qsize", "65534"] if self.frames > 60_000 else []
        self.say("interface", "add", "port", "p0", "devargs", f"net_pcap0,rx_pcap={FRAMES},infinite_rx=1", *queue, "down")
        self.say("interface", "add", "port", "p1", "devargs", self.sink)
        for family, routes in families.items():
            if len(routes) > 60_000:
                # For IPv6 it would reserve four groups a route, of 2 KiB each: more memory than most machines have.
                groups = ["fib6-tbl8", str(tbl8_groups(line.split()[0] for line in routes))] if family == "6" else []
                self.say("interface", "set", "vrf", "main", f"rib{family}-routes", str(len(routes) + 1000), *groups)
        for port, net in (("p0", 1), ("p1", 2)):
            self.say("address", "add", f"10.{net}.0.1/16", "iface", port)
            self.say("address", "add", f"fd00:{net}::1/64", "iface", port)
        # Many at once: a program for each would take longer than the measurement. MACs are those of `nexthop_mac`
        # in perf/src/oracle.rs.
        count = 1 + max(int(line.split()[1]) for line in self.lines)
        with open(outside(NEXTHOPS), "w") as file:
            for index in range(count):
                mac = f"02:01:00:00:{index >> 8:02x}:{index & 255:02x}"
                file.write(f"nexthop add l3 iface p1 id {FIRST['4'] + index} address 10.2.{1 + (index >> 8)}.{index & 255} mac {mac}\n"
                           f"nexthop add l3 iface p1 id {FIRST['6'] + index} address fd00:2::1:{index:x} mac {mac}\n")
        self.say("-e", "-f", NEXTHOPS)
        for family, routes in families.items():
            if routes:
                done = subprocess.run(inside(ROUTES, SOCKET, str(FIRST[family])), input="".join(routes), capture_output=True, text=True)
                self.log.write(done.stdout + done.stderr)
                if done.returncode:
                    raise rig.Failed("routes refused: " + done.stdout.strip())


def verify(scene, pcap, routes):
    """Has every frame of the scene forwarded at least once, into a file, and compares each one in it."""
    out = "/tmp/bench.out.pcap"

    def forwarded(log):
        with Running(pcap, scene["frames"], routes, f"net_pcap1,tx_pcap={out}", log) as router:
            router.set_source("up")
            until = time.monotonic() + 60
            while Counters().reading()[3] < 2 * scene["frames"]:
                if time.monotonic() > until:
                    raise rig.Failed("grout forwards too little to compare")
                time.sleep(0.01)
            router.set_source("down")
        return {}

    try:
        peers.logged("grout", forwarded)
        return rig.perf("compare", "--scene", scene["name"], "--pcap", pcap, "--got", outside(out), "--from-mac", SINK_MAC,
                        *rig.table_arguments(scene))
    finally:
        if os.path.exists(outside(out)):
            os.remove(outside(out))


def measure(pcaps, frames, routes, seconds):
    """One reading, as `peers.measure`."""
    if len(pcaps) > 1:
        raise rig.Failed("grout is measured with one source")

    def reading(log):
        with Running(pcaps[0], frames, routes, "net_null1,no-rx=1", log) as router:
            router.set_source("up")
            # Its counters come by a program that takes some milliseconds to start.
            return {"dpdk": rig.dpdk_version(*inside()), **peers.measured(Counters(), router.child.pid, router.child, seconds, 0.03)}

    return peers.logged("grout", reading)


def tbl8_groups(prefixes):
    """How many groups of 256 rte_fib6 sets aside for these routes: for each one, one for every eight bits that it is
    longer than the route that it lies in, or than 24. (It needs fewer, but refuses routes beyond this.)"""
    seen, groups = set(), 0
    for net in sorted(map(ipaddress.ip_network, prefixes)):
        address, length = int(net.network_address), net.prefixlen
        outer = next((bits for bits in range(length - 1, 24, -1) if (bits, address >> 128 - bits) in seen), 24)
        groups += -(-max(length, 24) // 8) - -(-outer // 8)
        seen.add((length, address >> 128 - length))
    return groups


def beside(rows):
    """By scene, for either form of Ironlane: ratios of its rate to grout's, and of what grout takes above the bare rig
    to what it takes; each inside a round."""
    rounds = {}
    for row in rows:
        if "error" not in row:
            rounds.setdefault(row["scene"], {}).setdefault(row["round"], {})[row["who"]] = row
    lines = []
    for scene, who in [(scene, who) for scene in rounds for who in ("ironlane", "daemon")]:
        trio = (who, "grout", "testpmd io")
        whole = [[by_name[name] for name in trio] for by_name in rounds[scene].values() if all(name in by_name for name in trio)]
        if not whole:
            continue
        cycles = [[row["cycles"] for row in three] for three in whole]
        lines.append({
            "scene": scene, "who": who, "dpdk": [row["dpdk"] for row in whole[-1]],
            "cycles": [statistics.median(column) for column in zip(*cycles)],
            "rates": [ours["net_mpps"] / theirs["net_mpps"] for ours, theirs, _ in whole],
            "above": [(theirs - bare) / (ours - bare) for ours, theirs, bare in cycles if ours > bare]})
    return lines


def section(lines):
    """Of the report: title, words, table, plots."""
    middle = lambda values: f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else "-"
    table = [[line["scene"], line["who"], line["dpdk"][0], line["dpdk"][1], len(line["rates"]),
              *(f"{cycles:.0f}" for cycles in line["cycles"]), middle(line["rates"]), middle(line["above"])] for line in lines]
    head = ["scene", "who", "its DPDK", "grout's", "rounds", "cycles", "grout's", "the rig's", "rate, to grout's",
            "cycles above the rig, grout's to its"]
    return ("Beside grout", "Medians of rounds, with the least and the most. Both pay for the rig: receiving is a copy, sending a free. The "
            "last column is what is left without that: the routers' own cycles.", report.markdown(head, table), [])
