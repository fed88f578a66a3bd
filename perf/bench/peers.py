"""Other routers on the rig of the scene: pcap source, one core, null sink.

The rate is that of packets sent by port 1, from two readings some seconds apart: DPDK's telemetry
socket, for grout its own counters. A run in which port 1 did not send what port 0 received fails.
"""
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import time

import rig

PEERS = os.environ.get("IRONLANE_PEERS", "/var/tmp/ironlane-peers")
SID = os.path.join(PEERS, "sid")
NAMES = ("testpmd io", "l3fwd lpm", "l3fwd fib", "grout")


def available(with_grout):
    """Asks perf/peers.sh for what there is: (names, {name: why not})."""
    script = os.path.join(rig.HERE, "..", "peers.sh")
    done = subprocess.run([script] + (["--grout"] if with_grout else []), stdout=subprocess.PIPE, text=True)
    have, lack = [], {}
    for line in done.stdout.splitlines():
        verdict, _, rest = line.partition(" ")
        name, _, why = rest.partition(": ")
        full = {"testpmd": ["testpmd io"], "l3fwd": ["l3fwd lpm", "l3fwd fib"]}.get(name, [name])
        if verdict == "have":
            have += full
        elif verdict == "lack":
            lack[name] = why
    return have, lack


class Noise:
    """Who else had the core: the host (steal), other processes of this machine (waiting)."""

    def __init__(self, pid):
        self.pid = pid
        self.ticks, self.threads = self.read_ticks(), self.read_threads()

    @staticmethod
    def read_ticks():
        with open("/proc/stat") as file:
            for line in file:
                if line.startswith(f"cpu{rig.WORKER} "):
                    fields = [int(word) for word in line.split()[1:9]]
                    return sum(fields), fields[7]
        return 0, 0

    def read_threads(self):
        threads = {}
        for task in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{task}/schedstat") as file:
                    ran, waited, _ = map(int, file.read().split())
            except (OSError, ValueError):
                continue
            threads[task] = ran, waited
        return threads

    def end(self):
        (all_, stolen), (before, stolen_before) = self.read_ticks(), self.ticks
        moved = [(ran - self.threads[task][0], waited - self.threads[task][1])
                 for task, (ran, waited) in self.read_threads().items() if task in self.threads]
        ran, waited = max(moved)
        return {"steal_pct": 100 * (stolen - stolen_before) / max(1, all_ - before),
                "wait_pct": 100 * waited / max(1, ran + waited)}


class Telemetry:
    """DPDK's own counters, of the ports that packets come from and leave by."""

    def __init__(self, path, child, sources, sinks, patience=240):
        self.sources, self.sinks = sources, sinks
        until = time.monotonic() + patience
        while True:
            if child.poll() is not None:
                raise rig.Failed("it ended before it forwarded anything")
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                self.socket.connect(path)
                self.socket.recv(65536)
                return
            except OSError:
                self.socket.close()
                if time.monotonic() > until:
                    raise rig.Failed("no telemetry socket")
                time.sleep(0.05)

    def sum(self, ports, counter):
        total = 0
        for port in ports:
            self.socket.send(f"/ethdev/stats,{port}".encode())
            total += (json.loads(self.socket.recv(65536)).get("/ethdev/stats") or {}).get(counter, 0)
        return total

    def reading(self):
        """When; received just before and just after; sent."""
        before = self.sum(self.sources, "ipackets")
        sent = self.sum(self.sinks, "opackets")
        return time.monotonic(), before, self.sum(self.sources, "ipackets"), sent


class Grout:
    """Counters by its CLI."""

    def __init__(self, command):
        self.command = command

    def reading(self):
        before = time.monotonic()
        out = subprocess.run(self.command + ["-j", "interface", "stats"], capture_output=True, text=True)
        if out.returncode:
            raise rig.Failed("grcli: " + out.stderr.strip()[-200:])
        ports = {row["interface"]: row for row in json.loads(out.stdout)}
        received = ports["p0"]["rx_packets"]
        return (before + time.monotonic()) / 2, received, received, ports["p1"]["tx_packets"]


def measured(counters, pid, child, seconds, slack, patience=240):
    """Two readings. What was sent must lie between the least and the most that was received, `slack`
    (a share) apart at most."""
    until = time.monotonic() + patience
    while counters.reading()[3] == 0:
        if child.poll() is not None or time.monotonic() > until:
            raise rig.Failed("it forwards nothing")
        time.sleep(0.05)
    time.sleep(0.4)  # no wait for anything: a warm-up, as ironlane-perf has one
    noise = Noise(pid)
    start, least, most, sent = counters.reading()
    time.sleep(seconds)
    end_, least_then, most_then, sent_then = counters.reading()
    row = noise.end()
    sent, least, most = sent_then - sent, least_then - most, most_then - least
    if not least * (1 - slack) <= sent <= most * (1 + slack):
        raise rig.Failed(f"{least} to {most} packets came in, {sent} left by the sink")
    row.update(mpps=sent / (end_ - start) / 1e6, packets=sent, seconds=end_ - start)
    return row


def start(command, log, **options):
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                            preexec_fn=rig.prefer, **options)


def end(child, patience=10):
    child.terminate()
    try:
        child.wait(patience)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def measure(name, pcaps, frames, routes, seconds):
    """One reading of one peer. `pcaps`: a file for each port that receives; `frames`: how many in all; `routes`: file
    of lines `prefix number`."""
    os.makedirs(rig.WORK, exist_ok=True)
    log_path = os.path.join(rig.WORK, f"{name.replace(' ', '-')}.log")
    with open(log_path, "w") as log:
        try:
            if name == "grout":
                row = grout(pcaps, frames, routes, seconds, log)
            else:
                row = dpdk(name, *pcap_rig(name, pcaps), frames, routes, seconds, log)
        except rig.Failed as error:
            raise rig.Failed(f"{error} ({log_path})")
    row["name"] = name
    return row


def pcap_rig(name, pcaps):
    """Devices; places of the sources among them; of the sinks."""
    # testpmd forwards between pairs of ports, so it needs a sink for each source.
    devices, pairs = [], name.startswith("testpmd")
    for path in pcaps:
        devices.append(f"net_pcap{len(devices)},rx_pcap={path},infinite_rx=1")
        if pairs or len(pcaps) == 1 + pcaps.index(path):
            devices.append(f"net_null{len(devices)},no-rx=1")
    sources = [place for place, device in enumerate(devices) if "pcap" in device]
    return devices, sources, [place for place in range(len(devices)) if place not in sources]


def dpdk(name, devices, sources, sinks, frames, routes, seconds, log, feed=None):
    """`feed`: what makes the packets, entered once the ports are there; without it they come by themselves."""
    prefix = f"ironlane-bench-{os.getpid()}"
    eal = [f"--file-prefix={prefix}", "--no-pci", "--in-memory", *(f"--vdev={device}" for device in devices), "--"]
    if name.startswith("testpmd"):
        command = ["dpdk-testpmd", "-l", f"{rig.MAIN},{rig.WORKER}", "--main-lcore", rig.MAIN, *eal,
                   f"--forward-mode={name.split()[1]}", "--auto-start", "--stats-period=1",
                   "--port-topology=paired", "--nb-cores=1", f"--total-num-mbufs={frames + 24 * 1024}",
                   "--no-flush-rx"]
    else:
        rules = rules_of(routes, sinks[0])
        kind = "l3fwd-full" if frames > 6000 or rules["most"] > 1000 else "l3fwd"
        command = [os.path.join(PEERS, kind, "build", "l3fwd"), "-l", rig.WORKER, *eal, "-P", "-p", hex(2 ** len(devices) - 1),
                   "--config=" + ",".join(f"({port},0,{rig.WORKER})" for port in sources), f"--lookup={name.split()[1]}", "--parse-ptype",
                   f"--rule_ipv4={rules['4']}", f"--rule_ipv6={rules['6']}"]
    child = start(command, log)
    try:
        counters = Telemetry(f"/var/run/dpdk/{prefix}/dpdk_telemetry.v2", child, sources, sinks)
        if not feed:
            return measured(counters, child.pid, child, seconds, 0.001)
        time.sleep(1.5)  # telemetry comes before the ports are started
        with feed:
            return measured(counters, child.pid, child, seconds, 0.001, patience=20)
    finally:
        end(child)
        shutil.rmtree(f"/var/run/dpdk/{prefix}", ignore_errors=True)


def rules_of(routes, sink):
    """l3fwd's own files: it knows ports, no nexthops, and wants a rule of each family."""
    paths = {"4": os.path.join(rig.WORK, "rules4"), "6": os.path.join(rig.WORK, "rules6")}
    count = {"4": 0, "6": 0}
    with open(routes) as lines, open(paths["4"], "w") as ip4, open(paths["6"], "w") as ip6:
        for line in lines:
            prefix = line.split()[0]
            family = "6" if ":" in prefix else "4"
            if prefix.endswith("/0"):
                continue
            (ip6 if family == "6" else ip4).write(f"R{prefix} {sink}\n")
            count[family] += 1
        if not count["4"]:
            ip4.write(f"R192.0.2.0/24 {sink}\n")
        if not count["6"]:
            ip6.write(f"R2001:db8:ffff::/64 {sink}\n")
    return {**paths, "most": max(count.values())}


def grout(pcaps, frames, routes, seconds, log):
    if frames > 240_000:
        raise rig.Failed("grout's pool takes no more than 240,000 frames")
    if len(pcaps) > 1:
        raise rig.Failed("grout is measured with one source")
    for place in ("dev", "proc", "sys"):
        os.makedirs(os.path.join(SID, place), exist_ok=True)
    shutil.copy(pcaps[0], os.path.join(SID, "tmp", "bench.pcap"))
    # A mount namespace of its own: what is mounted goes with it.
    mounts = "; ".join(f"mount --rbind /{place} {SID}/{place}" for place in ("dev", "proc", "sys"))
    inside = f"{mounts}; exec chroot {SID} taskset -c {rig.MAIN},{rig.WORKER} grout -p -M :0 -s /tmp/grout.sock"
    try:
        os.remove(os.path.join(SID, "tmp", "grout.sock"))
    except FileNotFoundError:
        pass
    child = start(["unshare", "--mount", "sh", "-c", inside], log)
    cli = ["chroot", SID, "grcli", "-s", "/tmp/grout.sock"]

    def say(*words):
        done = subprocess.run(cli + list(words), capture_output=True, text=True)
        log.write(f"{words}: {done.stdout}{done.stderr}\n")
        if done.returncode:
            raise rig.Failed(f"grcli {' '.join(words)}: {done.stderr.strip()[-200:]}")

    try:
        until = time.monotonic() + 15
        while not os.path.exists(os.path.join(SID, "tmp", "grout.sock")):
            if child.poll() is not None or time.monotonic() > until:
                raise rig.Failed("grout did not start")
            time.sleep(0.1)
        with open(routes) as file:
            lines = file.readlines()
        prepare_grout(say, frames, lines)
        for first, family in ((1000, [l for l in lines if ":" not in l]), (2000, [l for l in lines if ":" in l])):
            if family:
                done = subprocess.run(["chroot", SID, "grout-routes", "/tmp/grout.sock", str(first), "256"],
                                      input="".join(family), capture_output=True, text=True)
                log.write(done.stdout + done.stderr)
                if done.returncode:
                    raise rig.Failed("routes refused: " + done.stdout.strip())
        say("interface", "set", "port", "p0", "up")
        # Its counters come by a program that takes some milliseconds to start.
        row = measured(Grout(cli), child.pid, child, seconds, 0.03)
        return row
    finally:
        end(child)


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


def prepare_grout(say, frames, lines):
    say("affinity", "cpus", "set", "control", rig.MAIN, "datapath", rig.WORKER)
    queue = ["qsize", "65534"] if frames > 60_000 else []
    say("interface", "add", "port", "p0", "devargs", "net_pcap0,rx_pcap=/tmp/bench.pcap,infinite_rx=1", *queue, "down")
    say("interface", "add", "port", "p1", "devargs", "net_null1,no-rx=1")
    for family, prefixes in (("4", [line.split()[0] for line in lines if ":" not in line]),
                             ("6", [line.split()[0] for line in lines if ":" in line])):
        if len(prefixes) > 60_000:
            # For IPv6 it would reserve four groups a route, of 2 KiB each: more memory than most machines have.
            groups = ["fib6-tbl8", str(tbl8_groups(prefixes))] if family == "6" else []
            say("interface", "set", "vrf", "main", f"rib{family}-routes", str(len(prefixes) + 1000), *groups)
    say("address", "add", "10.1.0.1/16", "iface", "p0")
    say("address", "add", "fd00:1::1/64", "iface", "p0")
    say("address", "add", "10.2.0.1/16", "iface", "p1")
    say("address", "add", "fd00:2::1/64", "iface", "p1")
    # Many at once: a program for each would take longer than the measurement.
    with open(os.path.join(SID, "tmp", "bench.nexthops"), "w") as file:
        for index in range(256):
            mac = f"02:00:00:00:01:{index:02x}"
            file.write(f"nexthop add l3 iface p1 id {1000 + index} address 10.2.1.{index} mac {mac}\n"
                       f"nexthop add l3 iface p1 id {2000 + index} address fd00:2::1:{index:x} mac {mac}\n")
    say("-e", "-f", "/tmp/bench.nexthops")
