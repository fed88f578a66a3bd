#!/usr/bin/env python3
"""Rate of DPDK's bare testpmd io on the rig: pcap source, null sink, one core. One JSON line.

usage: testpmd.py PCAP SECONDS [MODE]      (MODE: io, macswap)

Environment: MAIN, WORKER (cores, 0 and 1). The rate is that of packets sent on port 1, from
two readings of the telemetry socket.
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


def reading(sock):
    return time.monotonic(), ask(sock, "/ethdev/stats,1")["/ethdev/stats"]["opackets"]


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
    ]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
    try:
        sock = connect(f"/var/run/dpdk/{prefix}/dpdk_telemetry.v2", 20)
        while reading(sock)[1] == 0:
            time.sleep(0.1)
        # It forwards. Half a second more is no wait but a warm-up, as ironlane-perf has one.
        time.sleep(0.5)
        start, before = reading(sock)
        time.sleep(seconds)
        end, after = reading(sock)
    except OSError:
        child.kill()
        sys.exit(f"testpmd did not start: {child.stderr.read().decode()[-600:]}")
    finally:
        child.terminate()
        child.wait()
    print(json.dumps({"name": f"testpmd {mode}", "mpps": (after - before) / (end - start) / 1e6}))


main()
