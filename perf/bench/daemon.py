"""The daemon as it is shipped, on the rig of a scene: its mirror, taps and CLI run, its routes and neighbours are
those of the kernel, in a network namespace that is made for it and goes with it.

While routes are given the source is set down, so that no frame meets half a table.
"""
import ipaddress
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import peers
import rig

SINK_MAC = "02:00:00:00:01:01"
# What the first and the second pcap port of a process have, and keep.
PCAP_SINK_MACS = ["02:70:63:61:70:00", "02:70:63:61:70:01"]
CONFIG = """\
[daemon]
socket = "{folder}/socket"
run_dir = "{folder}/run"
netns = "{netns}"
[dpdk]
memory_mib = {memory_mib}
file_prefix = "{netns}"
[mempool]
mbufs = {mbufs}
[lcores]
cpus = {cpu}
[[port]]
name = "source"
device = "{source}"
rx_queues = 1
tx_queues = 1
addresses = ["192.0.2.1/24", "2001:db8:0:1::1/64"]
[[port]]
name = "sink"
device = "{sink}"
addresses = ["10.255.255.254/8", "fd00::1/64"]
{mac}
{more}
"""
# Fates of a scene's bad frames; see BAD_FRAMES in perf/src/router.rs.
BAD_FRAMES = {"ip4_bad_checksum", "ip6_truncated", "eth_unknown_vlan"}


class Daemon:
    """`frames`: how many the source holds for itself; `mac`: of the sink, if it can have one given; `more`: sections of its
    configuration, in which {folder} is a folder that goes with it."""

    def __init__(self, frames, source, sink, mac, log, more=""):
        self.log = log
        self.netns = f"ironlane-bench-{os.getpid()}"
        self.folder = tempfile.mkdtemp(prefix="ironlane-bench-")
        self.child = None
        mbufs = frames + 24 * 1024
        with open(os.path.join(self.folder, "config.toml"), "w") as file:
            file.write(CONFIG.format(
                folder=self.folder, netns=self.netns, cpu=rig.WORKER, mbufs=mbufs, memory_mib=192 + mbufs * 5 // 2048,
                source=source, sink=sink, mac=f'mac = "{mac}"' if mac else "", more=more.format(folder=self.folder)))

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def begin(self):
        rig.run("ip", "netns", "add", self.netns)
        rig.run("ip", "-n", self.netns, "link", "set", "lo", "up")
        rig.run("ip", "netns", "exec", self.netns, "sysctl", "-eqw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
                "net.ipv6.route.max_size=2147483647", "net.ipv4.nexthop_compat_mode=0")
        self.child = peers.start([rig.DAEMON, "run", "--config", os.path.join(self.folder, "config.toml")], self.log)
        until = time.monotonic() + 30
        while True:
            try:
                self.ask("port", "show")
                break
            except rig.Failed:
                if self.child.poll() is not None or time.monotonic() > until:
                    raise rig.Failed("the daemon did not start")
                time.sleep(0.1)
        self.set_source("down")

    def __exit__(self, *_):
        if self.child:
            peers.end(self.child, patience=30)
        subprocess.run(["ip", "netns", "delete", self.netns], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, *words):
        """What a command of its CLI says with --json."""
        out = rig.run(rig.DAEMON, "--socket", os.path.join(self.folder, "socket"), *words, "--json")
        return json.loads(out) if out.strip() else None

    def set_source(self, state):
        rig.run("ip", "-n", self.netns, "link", "set", "source", state)

    def give(self, routes):
        """Gives the kernel routes and the neighbours that they lead to, and has the daemon compare its tables
        with the kernel's. A nexthop's MAC is that of `nexthop_mac` in perf/src/oracle.rs."""
        first = {4: int(ipaddress.ip_address("10.0.0.1")), 6: int(ipaddress.ip_address("fd00::1:0:0"))}
        neighbours, lines = {}, []
        with open(routes) as file:
            for line in file:
                prefix, number = line.split()
                family, number = 6 if ":" in prefix else 4, int(number)
                via = neighbours.get((family, number))
                if via is None:
                    via = neighbours[family, number] = str(ipaddress.ip_address(first[family] + number))
                lines.append(f"route replace {prefix} via {via} dev sink\n")
        macs = ("02:01:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(4, "big")) for _, number in neighbours)
        commands = [f"neigh replace {via} lladdr {mac} nud permanent dev sink\n" for via, mac in zip(neighbours.values(), macs)]
        done = subprocess.run(["ip", "-n", self.netns, "-force", "-batch", "-"], input="".join(commands + lines),
                              capture_output=True, text=True)
        # A table as collected has some prefixes that no kernel takes: multicast, loopback.
        refused = done.stderr.count("Command failed")
        self.log.write(f"{len(commands)} neighbours, {len(lines)} routes, {refused} refused\n")
        if refused > len(lines) // 1000:
            raise rig.Failed(f"the kernel refused {refused} of {len(lines)} routes: {done.stderr.strip()[:200]}")
        self.ask("verify")

    def ports(self):
        """When; and the counters of all ports, read at one time."""
        before = time.monotonic()
        counters = {port["name"]: port["counters"] for port in self.ask("port", "show")}
        both = counters.values()
        return (before + time.monotonic()) / 2, {
            "received": counters["source"]["rx_packets"], "forwarded": counters["sink"]["tx_packets"],
            "dropped": sum(port["dropped_packets"] for port in both), "punted": sum(port["punted_packets"] for port in both)}


    def reading(self, shares, frames, seconds):
        """Counts for so long. `shares`: of packets that must meet each fate; `frames`: how many there are before they
        repeat."""
        time.sleep(0.5)
        self.ask("stats", "clear")
        noise = peers.Noise(self.child.pid)
        begin, before = self.ports()
        time.sleep(seconds)
        end, after = self.ports()
        row = noise.end()
        drops = {row["reason"]: row["packets"] for row in self.ask("drop", "show") if row["packets"]}
        moved = {what: after[what] - before[what] for what in after}
        for what, share in shares.items():
            # The frames go round: at each end of the window a round is under way.
            wanted = share * moved["received"]
            if abs(moved[what] - wanted) > 2 * frames + 1000:
                raise rig.Failed(f"of {moved['received']} packets {moved[what]} were {what}, not {wanted:.0f}")
        for reason, count in drops.items():
            if reason not in BAD_FRAMES:
                raise rig.Failed(f"{count} packets were dropped: {reason}")
        row.update(mpps=moved["received"] / (end - begin) / 1e6, packets=moved["received"], seconds=end - begin, **moved)
        return row


def source_of(pcap):
    return f"net_pcap0,rx_pcap={pcap},infinite_rx=1"


def fates(verdict):
    """Shares of the fates that `ironlane-perf play --verify` counted."""
    found = re.search(r"(\d+) forwarded, (\d+) for Linux, (\d+) dropped", verdict)
    if not found:
        raise rig.Failed(f"what should become of the frames is not known: {verdict}")
    counts = [int(count) for count in found.groups()]
    return dict(zip(("forwarded", "punted", "dropped"), (count / sum(counts) for count in counts)))


def log_of(scene):
    return open(os.path.join(rig.WORK, f"daemon-{scene['name']}.log"), "w")


def verify(scene, pcap, routes):
    """Has every frame of the scene forwarded at least once, into a file, and compares each one in it."""
    out = os.path.join(rig.WORK, "daemon.out.pcap")
    try:
        with log_of(scene) as log, Daemon(scene["frames"], source_of(pcap), f"net_pcap1,tx_pcap={out}", None, log) as daemon:
            daemon.give(routes)
            daemon.set_source("up")
            until = time.monotonic() + 60
            while daemon.ports()[1]["forwarded"] < 2 * scene["frames"]:
                if time.monotonic() > until:
                    raise rig.Failed("the daemon forwards too little to compare")
                time.sleep(0.01)
            daemon.set_source("down")
        return rig.perf("compare", "--scene", scene["name"], "--pcap", pcap, "--got", out, "--from-mac", PCAP_SINK_MACS[1],
                        *rig.table_arguments(scene))
    finally:
        if os.path.exists(out):
            os.remove(out)


def measure(scene, pcap, routes, shares, seconds):
    """One reading. `shares`: of packets that must meet each fate."""
    with log_of(scene) as log, Daemon(scene["frames"], source_of(pcap), "net_null1,no-rx=1", SINK_MAC, log) as daemon:
        daemon.give(routes)
        daemon.set_source("up")
        return daemon.reading(shares, scene["frames"], seconds)
