"""Small bursts over a memif: shared memory between two processes, with a copy of each packet at either end. Unlike on the
ring of `ironlane-perf bursts`, the peers can be measured on it, too.

testpmd makes the frames on the other core, all to one destination, and sends so many at once; the router under test has
the serving end, one route, and a null port as sink. Where the generator is slower than the router, rates are its own.
"""
import json
import os
import statistics
import struct
import time

import daemon
import peers
import report
import rig

WHO = ["daemon", "testpmd io", "l3fwd lpm"]
BURSTS = [4, 16, 32]
MAC = "02:70:63:61:70:00"
SOCKET = os.path.join("/tmp", f"ironlane-bench-{os.getpid()}.memif")


class Generator:
    def __init__(self, burst, log):
        self.burst, self.log = burst, log

    def __enter__(self):
        main, other = f"0@{rig.MAIN}", f"1@{rig.MAIN}"
        self.child = peers.start([
            "dpdk-testpmd", "--lcores", f"{main},{other}", "--no-pci", "--in-memory", f"--file-prefix=ironlane-memif-{os.getpid()}",
            f"--vdev=net_memif0,role=client,socket={SOCKET},socket-abstract=no", "--", "--auto-start", "--stats-period=1",
            "--nb-cores=1", "--forward-mode=txonly", f"--burst={self.burst}", f"--eth-peer=0,{MAC}",
            "--tx-ip=192.0.2.10,198.18.0.1", "--total-num-mbufs=8192"], self.log)
        return self

    def __exit__(self, *_):
        peers.end(self.child)


def source():
    return f"net_memif0,role=server,socket={SOCKET},socket-abstract=no,mac={MAC}"


def routes_file():
    path = os.path.join(rig.WORK, "memif.routes")
    with open(path, "w") as file:
        file.write("198.18.0.0/16 0\n")
    return path


def one(who, burst, seconds):
    """One reading: a row as those of the part forward."""
    routes = routes_file()
    if os.path.exists(SOCKET):
        os.remove(SOCKET)
    with open(os.path.join(rig.WORK, f"memif-{who.replace(' ', '-')}.log"), "w") as log, \
            open(os.path.join(rig.WORK, "memif-generator.log"), "w") as generator_log:
        if who != "daemon":
            return peers.dpdk(who, [source(), "net_null1,no-rx=1"], [0], [1], 0, routes, seconds, log,
                              feed=Generator(burst, generator_log))
        with daemon.Daemon(0, source(), "net_null1,no-rx=1", daemon.SINK_MAC, log) as router:
            router.give(routes)
            with Generator(burst, generator_log):
                router.set_source("up")
                wait_for_frames(router, 1000)
                row = router.reading({"forwarded": 1, "punted": 0, "dropped": 0}, 0, seconds)
                row["burst_met"] = next(stage["packets_per_burst"] for stage in router.ask("stage", "show") if stage["name"] == "rx")
                return row


def wait_for_frames(router, count):
    until = time.monotonic() + 20
    while router.ports()[1]["forwarded"] < count:
        if time.monotonic() > until:
            raise rig.Failed("the daemon forwards nothing")
        time.sleep(0.05)


def verify():
    """Has the daemon forward into a file for a moment, and looks at every frame: MACs, TTL, checksum, addresses."""
    out = os.path.join(rig.WORK, "memif.out.pcap")
    if os.path.exists(SOCKET):
        os.remove(SOCKET)
    try:
        with open(os.path.join(rig.WORK, "memif-daemon.log"), "w") as log:
            with daemon.Daemon(0, source(), f"net_pcap1,tx_pcap={out}", None, log) as router:
                router.give(routes_file())
                with Generator(32, log):
                    router.set_source("up")
                    wait_for_frames(router, 10_000)
                    router.set_source("down")
        return compare(out)
    finally:
        if os.path.exists(out):
            os.remove(out)


def compare(path):
    with open(path, "rb") as file:
        data = file.read()
    at, count = 24, 0
    macs = bytes.fromhex("020100000000") + bytes.fromhex(daemon.PCAP_SINK_MACS[0].replace(":", ""))
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        frame = data[at + 16:at + 16 + length]
        at += 16 + length
        if frame[0] & 1:
            continue  # the kernel's own, by the sink's tap
        count += 1
        total = sum(struct.unpack(">10H", frame[14:34]))
        total = (total & 0xFFFF) + (total >> 16)
        addresses = bytes([192, 0, 2, 10, 198, 18, 0, 1])
        if frame[:12] != macs or frame[22] != 63 or (total & 0xFFFF) + (total >> 16) != 0xFFFF or frame[26:34] != addresses:
            raise rig.Failed(f"this frame should not be: {frame.hex()}")
    if not count:
        raise rig.Failed("no frame left")
    return count


def line():
    return json.loads(rig.perf("line", "--cpu", rig.WORKER, "--generator-cpu", rig.MAIN))["line_ticks"]


def run(context):
    """(rows, section) for the part latency."""
    rounds, seconds = context.rounds or 3, context.seconds or 2
    who = [name for name in WHO if name == "daemon" or name in context.have]
    plan = [(burst, name) for burst in BURSTS for name in who]
    progress, rows = rig.Progress(1 + rounds * len(plan)), []
    progress.now("memif: comparing what the daemon forwards")
    try:
        progress.step(f"memif: {verify():,} frames of the daemon are right")
    except rig.Failed as error:
        rows.append({"part": "latency", "scene": "memif", "who": "daemon", "error": str(error)})
        progress.step(f"memif: {error}")
        return rows, ("Small bursts over a memif", f"Failed: {error}", None, [])
    for number in range(rounds):
        for burst, name in rig.order(plan, number):
            row = {"part": "latency", "scene": f"memif, bursts of {burst}", "who": name, "burst": burst, "round": number}
            progress.now(f"memif, bursts of {burst}: {name}")
            try:
                row["line_ticks"] = [line()]
                row.update(rig.complete(one(name, burst, seconds)))
                row["line_ticks"].append(line())
                words = f"{row['net_mpps']:.1f} Mpps net, a line takes {row['line_ticks'][0]:.0f} ticks, then {row['line_ticks'][1]:.0f}"
            except rig.Failed as error:
                row["error"] = words = str(error)
            rows.append(row)
            progress.step(f"memif, bursts of {burst}: {name}: {words}")
    table = []
    for burst, name in plan:
        good = [row for row in rows if (row["burst"], row["who"]) == (burst, name) and "error" not in row]
        if not good:
            table.append([burst, name, "failed", "", "", ""])
            continue
        ticks = [reading for row in good for reading in row["line_ticks"]]
        met = [row["burst_met"] for row in good if "burst_met" in row]
        table.append([burst, name, f"{statistics.median(row['net_mpps'] for row in good):.1f}",
                      f"{statistics.median(met):.1f}" if met else "",
                      f"{min(ticks):.0f} to {max(ticks):.0f}", f"{statistics.median(row['wait_pct'] for row in good):.0f} %"])
    words = ("testpmd makes the frames on the other core and sends so many at once; `met` is how many the daemon found at a time. "
             "Where that is less than 64, the rate is the generator's. `line`: ticks that a cache line takes between the two cores, before and after each reading: "
             "rows can be compared where it is the same.")
    return rows, ("Small bursts over a memif", words, report.markdown(["sent at once", "who", "Mpps net", "met", "line", "wait"], table), [])
