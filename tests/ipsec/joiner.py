#!/usr/bin/env python3
"""Joins the emulated machine's wire to a tap of this network namespace, and counts what passes.

usage: joiner.py WORK TAP COUNTS      WORK is the rig's folder; the file COUNTS always has the numbers

While the machine stands still its wire holds about ten frames. Here nothing is given up then: frames wait in the tap's
queue, and what that has no room for the tap counts as dropped (`ip -s link`).
"""

import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF, IFF_TAP_NO_PI = 0x400454CA, 0x1002
SHORTEST = 60
COUNTS = ("to_machine", "from_machine", "tap_refused", "wire_refused")


def main(work, name, counts_file):
    nic, peer = (os.path.join(work, f"w0.{end}") for end in ("nic", "peer"))
    wire = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    if os.path.exists(peer):
        os.unlink(peer)
    wire.bind(peer)
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP_NO_PI))
    counts = dict.fromkeys(COUNTS, 0)
    out = os.open(counts_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    while True:
        for ready in select.select([tap, wire], [], [])[0]:
            if ready == tap:
                count = "to_machine"
                # The machine's NIC drops frames that are shorter, as no other NIC would send them.
                frame = os.read(tap, 65536).ljust(SHORTEST, b"\0")
                try:
                    wire.sendto(frame, nic)
                except OSError:
                    count = "wire_refused"
            else:
                count = "from_machine"
                frame = wire.recv(65536)
                try:
                    os.write(tap, frame)
                except OSError:
                    count = "tap_refused"  # it is down
            counts[count] += 1
            os.pwrite(out, "".join(f"{name} {n}\n" for name, n in counts.items()).encode(), 0)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
