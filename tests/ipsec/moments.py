#!/usr/bin/env python3
"""In the emulated machine: when XFRM policies go and come, and when the kernel counts an error of XFRM.

Prints, until it is ended, `SECONDS ready`, then `SECONDS gone` or `SECONDS there` of inbound policies ("in" and "fwd"), and
`SECONDS COUNTER N`.
"""

import select
import socket
import struct
import time

NETLINK_XFRM, XFRM_MSG_NEWPOLICY, XFRM_MSG_DELPOLICY, XFRM_MSG_UPDPOLICY = 6, 0x13, 0x14, 0x19
XFRMGRP_POLICY, XFRM_POLICY_OUT = 8, 1
# What a message says, and where it has the direction: in xfrm_userpolicy_info, or xfrm_userpolicy_id.
WHAT = {XFRM_MSG_NEWPOLICY: ("there", 160), XFRM_MSG_UPDPOLICY: ("there", 160), XFRM_MSG_DELPOLICY: ("gone", 60)}
EVERY_MS = 5


def errors():
    with open("/proc/net/xfrm_stat") as file:
        return {name: int(n) for name, n in (line.split() for line in file)}


def say(*words):
    print(f"{time.time():.6f}", *words, flush=True)


def main():
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM)
    netlink.bind((0, XFRMGRP_POLICY))
    before = errors()
    say("ready")
    poll = select.poll()
    poll.register(netlink, select.POLLIN)
    while True:
        if poll.poll(EVERY_MS):
            messages = netlink.recv(65536)
            while len(messages) >= 16:
                length, kind = struct.unpack_from("IH", messages)
                what, direction = WHAT.get(kind, ("", 0))
                if what and messages[16 + direction] != XFRM_POLICY_OUT:
                    say(what)
                messages = messages[(length + 3) & ~3:]
        now = errors()
        for name, n in now.items():
            if n != before[name]:
                say(name, n - before[name])
        before = now


if __name__ == "__main__":
    main()
