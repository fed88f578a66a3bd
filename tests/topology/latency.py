#!/usr/bin/env python3
"""How long a route change takes to be seen on the wire.

usage: latency.py ROUTER_NS SENDER_NS NS1:PORT1 NS2:PORT2 4|6 COUNT

Datagrams flow from SENDER_NS to an address that NS1 and NS2 both have; the route to it in ROUTER_NS
is replaced, to and fro, by a netlink message of this program (what `ip route replace` sends). The
clock runs from before the message is sent until the kernel's receive stamp of the first datagram
at the new nexthop. Prints one JSON line: samples, and p50, p99 and max in microseconds.
"""

import json
import select
import socket
import struct
import sys
import time

from wire import SO_TIMESTAMPNS, attribute, confirmed, message, percentiles, stamp_of, within

TARGET = {4: "203.0.113.9", 6: "2001:db8:113::9"}
GATEWAY = {4: "10.{}.0.2", 6: "2001:db8:{}::2"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
DPORT = 9
RTM_NEWROUTE = 24


def receiver(family):
    def make():
        s = socket.socket(FAMILY[family], socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        s.bind((TARGET[family], DPORT))
        s.setblocking(False)
        return s

    return make


def stamps(s):
    """Receive stamps, in seconds, of all that has arrived."""
    found = []
    while True:
        try:
            _, ancillary, _, _ = s.recvmsg(64, 64)
        except BlockingIOError:
            return found
        found.append(stamp_of(ancillary))


def replace_message(family, gateway, index):
    """RTM_NEWROUTE with REPLACE: TARGET by gateway and interface."""
    target = socket.inet_pton(FAMILY[family], TARGET[family])
    body = struct.pack("BBBBBBBBI", FAMILY[family], 8 * len(target), 0, 0, 254, 3, 0, 1, 0)
    body += attribute(1, target)
    body += attribute(5, socket.inet_pton(FAMILY[family], gateway))
    body += attribute(4, struct.pack("I", index))
    return message(RTM_NEWROUTE, body)


def main():
    router, sender_ns, *ends, family, count = sys.argv[1:7]
    family, count = int(family), int(count)
    namespaces, ports = zip(*(end.split(":") for end in ends))
    receivers = [within(ns, receiver(family)) for ns in namespaces]
    sender = within(sender_ns, lambda: socket.socket(FAMILY[family], socket.SOCK_DGRAM))
    sender.connect((TARGET[family], DPORT))
    netlink = within(router, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
    index = [within(router, lambda p=p: socket.if_nametoindex(p)) for p in ports]
    messages = [
        replace_message(family, GATEWAY[family].format(p.lstrip("p")), i)
        for p, i in zip(ports, index)
    ]

    def send_until(end, deadline):
        """Datagrams, about 10,000 a second, until one arrives at `end`; its receive stamp."""
        while time.monotonic() < deadline:
            try:
                sender.send(b"probe")
            except OSError:
                pass  # the route of the host's own kernel is not at stake
            found = stamps(receivers[end])
            if found:
                return found[0]
            time.sleep(0.00003)
        raise SystemExit(f"no datagram reached {namespaces[end]} in time")

    def change(end):
        netlink.send(messages[end])

    change(0)
    confirmed(netlink)
    send_until(0, time.monotonic() + 10)
    samples = []
    for turn in range(1, count + 1):
        new = turn % 2
        # The flow runs by the old nexthop, and nothing of earlier turns is left at the new one.
        quiet = time.monotonic() + 0.003
        while time.monotonic() < quiet:
            sender.send(b"probe")
            time.sleep(0.00003)
        stamps(receivers[new])
        before = time.clock_gettime(time.CLOCK_REALTIME)
        change(new)
        samples.append(1e6 * (send_until(new, time.monotonic() + 10) - before))
        select.select([netlink], [], [], 1)
        confirmed(netlink)
        stamps(receivers[1 - new])
    print(json.dumps(percentiles(samples)))


main()
