#!/usr/bin/env python3
"""Boots the emulated machine, runs the matrix, writes the table; linux.sh sets up what it needs.

usage: run.py [PATTERN...]     only rows whose name all patterns match; then the table is not written, unless
                               KEEP=1 puts them into what the last run of the others found, and
                               REPEAT=N carries each out N times
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback

import certificates
import clock
import ends
import libreswan
import linux
import matrix
import swan
import table
from plan import Failed, NotOffered
from row import Run, carry_out
from wan import Wan

RIG, RUN, PREFIX = os.environ["RIG"], os.environ["RUN"], os.environ["NS_PREFIX"]
sys.path.insert(0, RIG)
from rig import Guest  # noqa: E402

PROGRAMS = ("echo.py", "guest.sh", "moments.py", "oseq.py")
# Of a machine, for all of its rows, however busy its host.
TIMEOUT_S = 4 * 3600
PEERS = {"strongswan": linux.Strongswan, "libreswan": libreswan.Libreswan}


def boot(peer, ours):
    """The emulated machine that has `peer`, with its end of the wire in the wan's namespace."""
    share = os.path.join(RUN, peer)
    theirs = os.path.join(share, "swanctl")
    os.makedirs(theirs)
    for program in PROGRAMS:
        shutil.copy(ends.Ironlane.program(program), share)
    with open(os.path.join(share, "strongswan.conf"), "w") as file:
        file.write(swan.daemon("/host", "/run/vici", "kernel-netlink"))
    certificates.make(os.path.join(share, "certificates"), {"a": ours, "b": theirs})
    libreswan.prepare(share)
    guest = Guest(timeout=TIMEOUT_S, share=share, work=os.path.join(RUN, f"rig-{peer}"), RIG_VFS=0, RIG_HUGE=0,
                  RIG_PFS=1, RIG_MEM=768, RIG_CACHE=os.path.join(os.environ["IMAGE_FOLDER"], f"guest-{peer}"),
                  RIG_EXTRA_PACKAGES=os.environ[f"PACKAGES_{peer}"])
    guest.share = share
    # An interrupt may leave it no time to end by itself.
    ends.own(os.path.join(RUN, "owned"), guest.p.pid)
    with open(os.path.join(guest.work, "qemu.pid")) as file:
        clock.watch(file.read())
    return guest


def join(guest, namespace):
    """The wire ends in the wan; the joiner and where it counts."""
    counts = os.path.join(guest.work, "joined")
    joiner = ends.spawn(os.path.join(RUN, "owned"), "ip", "netns", "exec", namespace, sys.executable,
                        ends.Ironlane.program("joiner.py"), guest.work, "guest0", counts)
    setup = ("ip addr add 10.9.0.1/24 dev guest0; ip addr add 2001:db8:9::1/64 dev guest0 nodad; "
             "ip link set guest0 up; ip route add 10.4.0.0/24 via 10.9.0.2; "
             "ip -6 route add 2001:db8:4::/64 via 2001:db8:9::2")
    inside = ["ip", "netns", "exec", namespace, "sh", "-ec"]
    ends.wait_until(30, "the wire of the emulated machine", lambda: os.path.exists(counts))
    subprocess.run(inside + [setup], check=True)
    return joiner, counts


def main(patterns):
    rows = [row for row in matrix.ROWS if all(re.search(pattern, row.name) for pattern in patterns)]
    if not rows:
        sys.exit(f"no row is like {' and '.join(patterns)}")
    if patterns:
        rows *= int(os.environ.get("REPEAT", "1"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    clock.watch(os.environ["IRONLANE_PID"])
    wan = Wan(f"{PREFIX}wan", "eth0")
    ironlane = ends.Ironlane(RUN, os.environ["ROUTER"], f"{PREFIX}h0", os.environ["IRONLANE"], os.environ["PLUGIN"])
    began = time.monotonic()
    results, versions = [], {"ours": ironlane.version()}
    try:
        for peer in PEERS:
            if some := [row for row in rows if row.peer == peer]:
                run_peer(peer, ironlane, wan, some, results, versions)
    finally:
        told(rows, results, versions, round((time.monotonic() - began) / 60), bool(patterns))
    return min(sum(verdict == "FAILED" for _, verdict, _, _ in results), 1)


def run_peer(peer, ironlane, wan, rows, results, versions):
    """Carries out the rows of one emulated machine; `results` and `versions` grow."""
    began = time.monotonic()
    guest = boot(peer, os.path.join(ironlane.folder, "swanctl"))
    joiner = None
    try:
        print(f"  the emulated machine with {peer} is up after {time.monotonic() - began:.0f} s", flush=True)
        joiner, counts = join(guest, wan.namespace)
        guest.sh(f"bash /host/guest.sh {peer}", timeout=ends.LONG_S)
        there = PEERS[peer](guest)
        versions |= {peer: there.version(), "linux": there.gateway("uname -r")[1].strip()}
        run = Run(ironlane, there, wan, counts)
        for row in rows:
            began = time.monotonic()
            results.append((row, *verdict_of(run, row, len(results))))
            _, verdict, _, text = results[-1]
            print(f"  {verdict:11} {row.name} ({time.monotonic() - began:.1f} s): {text}", flush=True)
    finally:
        guest.close()
        if joiner:
            joiner.terminate()
            joiner.wait()


def told(rows, results, versions, minutes, some):
    """Prints how many held, and writes the table. After an interrupt it says which rows were not run."""
    done = {row.name for row, *_ in results}
    results = results + [(row, "not run", "", "") for row in rows if row.name not in done]
    count = lambda wanted: sum(verdict == wanted for _, verdict, _, _ in results)
    counts = ", ".join(f"{count(verdict)} {verdict}" for verdict in ("passed", "FAILED", "not offered", "not run"))
    print(f"{counts}, of {len(rows)} rows", flush=True)
    if not some or os.environ.get("KEEP") == "1":
        table.write(results, versions, minutes, keep=some)


def verdict_of(run, row, number):
    """(verdict, Linux's name of the algorithm, what there is to tell)."""
    try:
        algorithm, packets, more = carry_out(run, row)
        return "passed", algorithm, f"{packets} packets" + f"; {more}" * bool(more)
    except NotOffered as why:
        return "not offered", "", str(why)
    except Exception as why:  # one row is not to end all others
        run.wan.save(os.path.join(RUN, f"failed-{number}.pcap"))
        if not isinstance(why, Failed):
            traceback.print_exc()
        if run.ends["b"].guest.p.poll() is not None:
            raise
        return "FAILED", "", str(why)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
