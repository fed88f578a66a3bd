#!/usr/bin/env python3
"""Boots the emulated machine, runs the matrix, writes the table; linux.sh sets up what it needs.

usage: run.py [PATTERN...]     only rows whose name all patterns match; then the table is not written, unless
                               KEEP=1 puts them into what the last run of the others found
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import certificates
import ends
import matrix
import swan
import table
from plan import Failed, NotOffered
from row import Run, carry_out
from wan import Wan

RIG, RUN, PREFIX = os.environ["RIG"], os.environ["RUN"], os.environ["NS_PREFIX"]
sys.path.insert(0, RIG)
from rig import Guest  # noqa: E402

PROGRAMS = ("echo.py", "guest.sh", "oseq.py")
TIMEOUT_S = 3000


def boot():
    """The emulated machine with its end of the wire in the wan's namespace."""
    share = os.path.join(RUN, "b")
    os.makedirs(os.path.join(share, "swanctl"))
    for program in PROGRAMS:
        shutil.copy(ends.Ironlane.program(program), share)
    with open(os.path.join(share, "strongswan.conf"), "w") as file:
        file.write(swan.daemon("/host", "/run/vici", "kernel-netlink"))
    settings = dict(RIG_VFS=0, RIG_HUGE=0, RIG_PFS=1, RIG_MEM=768)
    ours = os.path.join(RUN, "a", "swanctl")
    certificates.make(os.path.join(RUN, "certificates"), {"a": ours, "b": os.path.join(share, "swanctl")})
    guest = Guest(timeout=TIMEOUT_S, share=share, work=os.path.join(RUN, "rig"), **settings)
    guest.share = share
    return guest


def wire(guest, namespace):
    owned = os.path.join(RUN, "owned")
    ends.spawn(owned, "ip", "netns", "exec", namespace, sys.executable, os.path.join(RIG, "rig.py"), guest.work, "0",
               "tap", "guest0")
    setup = ("ip addr add 10.9.0.1/24 dev guest0; ip addr add 2001:db8:9::1/64 dev guest0 nodad; "
             "ip link set guest0 up; ip route add 10.4.0.0/24 via 10.9.0.2; "
             "ip -6 route add 2001:db8:4::/64 via 2001:db8:9::2")
    inside = ["ip", "netns", "exec", namespace, "sh", "-ec"]
    there = lambda: subprocess.run(inside + ["ip link show guest0"], capture_output=True).returncode == 0
    ends.wait_until(10, "the wire of the emulated machine", there)
    subprocess.run(inside + [setup], check=True)


def main(patterns):
    rows = [row for row in matrix.ROWS if all(re.search(pattern, row.name) for pattern in patterns)]
    if not rows:
        sys.exit(f"no row is like {' and '.join(patterns)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    guest = boot()
    try:
        print(f"  the emulated machine is up after {time.monotonic() - began:.0f} s", flush=True)
        wan = Wan(f"{PREFIX}wan", "eth0")
        wire(guest, f"{PREFIX}wan")
        guest.sh("bash /host/guest.sh", timeout=90)
        ironlane = ends.Ironlane(RUN, os.environ["ROUTER"], f"{PREFIX}h0", os.environ["IRONLANE"], os.environ["PLUGIN"])
        failed = run_rows(Run(ironlane, ends.Linux(guest), wan), rows, bool(patterns))
    finally:
        guest.close()
    return min(failed, 1)


def run_rows(run, rows, some):
    """Carries out all rows; an interrupt ends it early, and the table says so. How many failed."""
    results = []
    try:
        for row in rows:
            began = time.monotonic()
            results.append((row, *verdict_of(run, row, len(results))))
            _, verdict, _, text = results[-1]
            print(f"  {verdict:11} {row.name} ({time.monotonic() - began:.1f} s): {text}", flush=True)
    finally:
        count = lambda wanted: sum(verdict == wanted for _, verdict, _, _ in results)
        results += [(row, "not run", "", "") for row in rows[len(results):]]
        counts = ", ".join(f"{count(verdict)} {verdict}" for verdict in ("passed", "FAILED", "not offered", "not run"))
        print(f"{counts}, of {len(rows)} rows")
        if not some or os.environ.get("KEEP") == "1":
            table.write(results, run.versions, keep=some)
    return count("FAILED")


def verdict_of(run, row, number):
    """(verdict, Linux's name of the algorithm, what there is to tell)."""
    try:
        linux, packets, told = carry_out(run, row)
        return "passed", linux, f"{packets} packets" + f"; {told}" * bool(told)
    except NotOffered as why:
        return "not offered", "", str(why)
    except (Failed, TimeoutError, subprocess.SubprocessError) as why:
        run.wan.save(os.path.join(RUN, f"failed-{number}.pcap"))
        return "FAILED", "", str(why)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
