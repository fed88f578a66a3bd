#!/usr/bin/env python3
"""How long one change under many routes takes to be seen on the wire.

usage: convergence.py ROUTER_NS SENDER_NS NS1:PORT1 NS2:PORT2 COUNT ROUTES mac|nexthop|link

All routes, 20.0.0.0/24 and the ROUTES - 1 after it, lead to nexthop group 10 of ROUTER_NS, whose member 1
is by PORT1 to its host, and which has member 2 by PORT2 for `link`. Datagrams flow from SENDER_NS while

    mac      the host behind PORT1 gets another MAC address and its own again
    nexthop  object 1 leads to PORT2 and back
    link     PORT1 is set down; up again, and its member comes back

by one netlink message of this program. The clock runs from before the message is sent until the
kernel's receive stamp of the first frame that came by the new way. No frame may come by the old way
behind it. Prints one JSON line: samples, p50, p99 and max in microseconds, and the p50 of the system call
alone, in which the kernel waits for itself before it tells anybody that a link is down.
"""

import errno
import json
import os
import socket
import struct
import sys
import time

from wire import NLM_F_REQUEST, SO_TIMESTAMPNS, answer, attribute, attributes, confirmed, message, percentiles, stamp_of, within

RTM_NEWLINK, RTM_GETLINK, RTM_NEWNEIGH, RTM_NEWNEXTHOP = 16, 18, 28, 104
IFLA_CARRIER = 33
NUD_PERMANENT = 0x80
GROUP = 10
ETH_P_IP = 0x0800
OWN, OTHER = bytes.fromhex("020000003101"), bytes.fromhex("0200000031ff")
MAC2 = bytes.fromhex("020000003102")


def gateway(port):
    return socket.inet_aton(f"10.{port[1:]}.0.2")


class Box:
    """The router's namespace, by netlink."""

    def __init__(self, namespace, ports):
        self.netlink = within(namespace, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        self.ports = ports
        self.index = {p: within(namespace, lambda p=p: socket.if_nametoindex(p)) for p in ports}

    def mac(self, port, address):
        """The host behind a port has this MAC address."""
        body = struct.pack("BxxxiHBB", socket.AF_INET, self.index[port], NUD_PERMANENT, 0, 0)
        return message(RTM_NEWNEIGH, body + attribute(1, gateway(port)) + attribute(2, address))

    def member(self, number, port):
        """Nexthop object `number` leads to the host behind a port."""
        body = struct.pack("BBBxI", socket.AF_INET, 0, 3, 0) + attribute(1, struct.pack("I", number))
        body += attribute(5, struct.pack("I", self.index[port])) + attribute(6, gateway(port))
        return message(RTM_NEWNEXTHOP, body)

    def group(self, members):
        body = struct.pack("BBBxI", socket.AF_UNSPEC, 0, 3, 0) + attribute(1, struct.pack("I", GROUP))
        return message(RTM_NEWNEXTHOP, body + attribute(2, b"".join(struct.pack("IBBH", m, 0, 0, 0) for m in members)))

    def link(self, port, up):
        body = struct.pack("BxHiII", 0, 0, self.index[port], up, 1)
        return message(RTM_NEWLINK, body, 0)

    def has_carrier(self, port):
        """Whether a link has a carrier, set up or not."""
        body = struct.pack("BxHiII", 0, 0, self.index[port], 0, 0)
        self.netlink.send(struct.pack("IHHII", 16 + len(body), RTM_GETLINK, NLM_F_REQUEST, 1, 0) + body)
        return attributes(self.netlink.recv(65536), 16 + len(body))[IFLA_CARRIER] != b"\0"

    def lose_carrier(self, port, patience=5):
        """Waits until the router has taken the carrier of a link that was set down: set up before, it would
        lose it then, and the kernel would flush what was made meanwhile."""
        deadline = time.monotonic() + patience
        while self.has_carrier(port):
            if time.monotonic() > deadline:
                raise SystemExit(f"{port} was set down and keeps its carrier")
            time.sleep(0.0002)

    def do(self, *messages, patience=5):
        """Sends messages; a link that was set up a moment ago may still be without carrier."""
        deadline = time.monotonic() + patience
        for one in messages:
            self.netlink.send(one)
            while (refused := answer(self.netlink)) == errno.ENETDOWN and time.monotonic() < deadline:
                time.sleep(0.005)
                self.netlink.send(one)
            if refused:
                raise SystemExit(f"the kernel refused: {os.strerror(refused)}")


class Wire:
    """Datagrams from the sender, and what of them comes out at the ends."""

    def __init__(self, sender, ends):
        self.sender = within(sender, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.ends = [within(namespace, self.tap) for namespace in ends]
        self.flow(0)

    @staticmethod
    def tap():
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        s.bind(("eth0", ETH_P_IP))
        s.setblocking(False)
        return s

    def flow(self, route, port=9):
        """Sends to the prefix of this number from now on."""
        self.target = struct.pack("!I", (20 << 24) + (route << 8) + 9)
        self.sender.connect((socket.inet_ntoa(self.target), port))

    def seen(self):
        """What has arrived of the flow: stamp, end, destination MAC."""
        found = []
        for number, end in enumerate(self.ends):
            while True:
                try:
                    frame, ancillary, _, _ = end.recvmsg(2048, 64)
                except BlockingIOError:
                    break
                if frame[30:34] == self.target:
                    found.append((stamp_of(ancillary), number, frame[:6]))
        return sorted(found)

    def send(self):
        try:
            self.sender.send(b"probe")
        except OSError:
            pass  # the host's own kernel is not at stake
        time.sleep(0.00003)

    def until(self, way, seconds=10):
        """Sends until a frame comes by this way; all that was seen."""
        found, deadline = [], time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.send()
            found += self.seen()
            if any(frame[1:] == way for frame in found):
                return found
        raise SystemExit(f"nothing came by {way} in time; {len(found)} frames, the last {found[-1:]}")

    def only(self, way, seconds=0.003):
        """Sends for a while; all must come by this way."""
        self.until(way)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.send()
            strange = [frame for frame in self.seen() if frame[1:] != way]
            if strange:
                raise SystemExit(f"a frame by {strange[0]}, not by {way}")


def plan(what, box, wire):
    """Two ways, the message that moves the flow to each, and what else is to be done before."""
    one, two = box.ports
    if what == "mac":
        return [((0, mac), box.mac(one, mac), []) for mac in (OWN, OTHER)]
    if what == "nexthop":
        return [((0, OWN), box.member(1, one), []), ((1, MAC2), box.member(1, two), [])]
    back = [box.link(one, 1), box.mac(one, OWN), box.member(1, one)]
    box.do(box.member(2, two), box.group([1, 2]))
    for port in range(9, 73):
        # One of the flows that the group sends by the first port.
        wire.flow(7, port)
        time.sleep(0.01)
        wire.seen()
        wire.send()
        time.sleep(0.01)
        if [frame[1] for frame in wire.seen()] == [0]:
            return [((0, OWN), box.group([1, 2]), back), ((1, MAC2), box.link(one, 0), [])]
    raise SystemExit("the group sends nothing by its first member")


def main():
    router, sender, *ends, count, routes, what = sys.argv[1:8]
    namespaces, ports = zip(*(end.split(":") for end in ends))
    box, wire = Box(router, ports), Wire(sender, namespaces)
    box.do(box.mac(ports[0], OWN), box.mac(ports[1], MAC2))
    ways = plan(what, box, wire)
    wire.until(ways[0][0])
    samples, calls = [], []
    turn = 0
    while len(samples) < int(count):
        turn += 1
        old, (new, change, before) = ways[(turn - 1) % 2][0], ways[turn % 2]
        if what != "link":
            wire.flow(turn * 7919 % int(routes))
        wire.only(old)
        if before:
            box.lose_carrier(ports[0])
        box.do(*before)
        start = time.clock_gettime(time.CLOCK_REALTIME)
        box.netlink.send(change)
        call = time.clock_gettime(time.CLOCK_REALTIME) - start
        found = wire.until(new)
        confirmed(box.netlink)
        first = min(stamp for stamp, *way in found if tuple(way) == new)
        if what != "link" or turn % 2:
            samples.append(1e6 * (first - start))
            calls.append(1e6 * call)
        late = [frame for frame in found + wire.seen() if frame[1:] == old and frame[0] > first]
        # Two ends have a receive path each: one may be some microseconds behind.
        if any(frame[0] > first + 0.001 for frame in late):
            raise SystemExit(f"{len(late)} frames by the old way after the new one")
    print(json.dumps({"what": what, "routes": int(routes), **percentiles(samples), "call_p50_us": percentiles(calls)["p50_us"]}))


main()
