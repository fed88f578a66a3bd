#!/usr/bin/env python3
"""Rate of DPDK's bare testpmd io on the rig: pcap source, null sink, one core. One JSON line.

usage: testpmd.py PCAP SECONDS [MODE]      (MODE: io, macswap; BURST in the environment, 32)

Environment: MAIN, WORKER (cores, 0 and 1). The rate is that of packets sent on port 1, from
two readings of the telemetry socket; the nanoseconds are those that the worker ran.
"""
import json
import os
import socket
import subprocess
import sys
import time


def ask(sock, command):
    sock.send(command.encode())
    return json.loads(sock.recv(65536))


def connect(path, limit):
    until = time.monotonic() + limit
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.connect(path)
            sock.recv(65536)
            return sock
        except OSError:
            sock.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def worker_of(pid, core):
    """The thread that forwards on a core, by the names that DPDK's versions give it."""
    names = (f"lcore-worker-{core}", f"dpdk-worker{core}", f"dpdk-worker-{core}", f"rte-worker-{core}")
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as file:
            if file.read().strip() in names:
                return f"/proc/{pid}/task/{task}/schedstat"
    raise OSError(f"no thread of {names}")


def cpu_ns(schedstat):
    """Nanoseconds that the thread has run: what others took of its core does not count."""
    with open(schedstat) as file:
        return int(file.read().split()[0])


def reading(sock, schedstat):
    packets = ask(sock, "/ethdev/stats,1")["/ethdev/stats"]["opackets"]
    return time.monotonic(), packets, cpu_ns(schedstat)


def main():
    pcap, seconds, mode = sys.argv[1], float(sys.argv[2]), (sys.argv[3:] or ["io"])[0]
    core_main, worker = os.environ.get("MAIN", "0"), os.environ.get("WORKER", "1")
    prefix = f"perf-testpmd-{os.getpid()}"
    command = [
        "dpdk-testpmd", "-l", f"{core_main},{worker}", "--main-lcore", core_main,
        f"--file-prefix={prefix}", "--no-pci", "--in-memory",
        f"--vdev=net_pcap0,rx_pcap={pcap},infinite_rx=1", "--vdev=net_null1,no-rx=1",
        "--", f"--forward-mode={mode}", "--auto-start", "--stats-period=1",
        "--port-topology=paired", "--nb-cores=1", "--total-num-mbufs=32768", "--no-flush-rx",
        f"--burst={os.environ.get('BURST', '32')}",
    ]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
    try:
        sock = connect(f"/var/run/dpdk/{prefix}/dpdk_telemetry.v2", 20)
        thread = worker_of(child.pid, worker)
        while reading(sock, thread)[1] == 0:
            time.sleep(0.1)
        # It forwards. Half a second more is no wait but a warm-up, as ironlane-perf has one.
        time.sleep(0.5)
        start, before, ran = reading(sock, thread)
        time.sleep(seconds)
        end, after, ran_until = reading(sock, thread)
    except OSError:
        child.kill()
        sys.exit(f"testpmd did not start: {child.stderr.read().decode()[-600:]}")
    finally:
        child.terminate()
        child.wait()
    packets = after - before
    print(json.dumps({"name": f"testpmd {mode}", "mpps": packets / (end - start) / 1e6,
                      "ns_per_packet": (ran_until - ran) / packets}))


main()
