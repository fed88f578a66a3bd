"""Other routers on the rig of the scene: pcap source, one core, null sink. (grout has a file of its own.)

The rate is that of packets sent by port 1, from two readings some seconds apart: DPDK's telemetry
socket, for grout its own counters. A run in which port 1 did not send what port 0 received fails.
"""
import json
import os
import shutil
import socket
import subprocess
import time

import rig

PEERS = os.environ.get("IRONLANE_PEERS", "/var/tmp/ironlane-peers")
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
                self.version = json.loads(self.socket.recv(65536))["version"]
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
    return logged(name, lambda log: dpdk(name, *pcap_rig(name, pcaps), frames, routes, seconds, log))


def logged(name, reading):
    """What `reading` makes of a file for the peer's words; a failure names that file."""
    os.makedirs(rig.WORK, exist_ok=True)
    log_path = os.path.join(rig.WORK, f"{name.replace(' ', '-')}.log")
    with open(log_path, "w") as log:
        try:
            return {"name": name, **reading(log)}
        except rig.Failed as error:
            raise rig.Failed(f"{error} ({log_path})")


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
            return {"dpdk": counters.version, **measured(counters, child.pid, child, seconds, 0.001)}
        time.sleep(1.5)  # telemetry comes before the ports are started
        with feed:
            return {"dpdk": counters.version, **measured(counters, child.pid, child, seconds, 0.001, patience=20)}
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
