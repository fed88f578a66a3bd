#!/usr/bin/env python3
"""How long one change under many routes takes to be seen on the wire.

usage: convergence.py ROUTER_NS SENDER_NS NS1:PORT1 NS2:PORT2 COUNT ROUTES mac|nexthop|link

All routes, 20.0.0.0/24 and the ROUTES - 1 after it, lead to nexthop group 10 of ROUTER_NS, whose member 1
is by PORT1 to its host, and which has member 2 by PORT2 for `link`. A process of its own sends datagrams from
SENDER_NS all the time, also while the kernel is busy with the change, and

    mac      the host behind PORT1 gets another MAC address and its own again
    nexthop  object 1 leads to PORT2 and back
    link     PORT1 is set down; up again, and its member comes back

by one netlink message of this program, which keeps to the first CPU. The clock runs from before the message
is sent until the kernel's receive stamp of the first frame that came by the new way. No frame may come by the
old way behind it. Prints one JSON line: samples, p50, p99 and max in microseconds; p99 of the last frame by the old way, 0
if none came after the message was sent; the p50 of the system call alone; and the p50 of when another listener than
the router, a process that does nothing else, had heard of the change.
The kernel tells nobody of a link before it has waited for itself for milliseconds, and goes through all its routes then.
"""

import errno
import json
import mmap
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
# Events (`RTNLGRP_*`) that tell of each change.
GROUPS = {"mac": 3, "nexthop": 32, "link": 1}
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
SO_RCVBUFFORCE = 33
# Seconds between two datagrams, and two looks at what came.
PACE = 0.00003
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


def beside(work, *arguments):
    """Runs work(*arguments) in a process of its own, until it returns or this program ends."""
    parent = os.getpid()
    if child := os.fork():
        return child
    try:
        os.sched_setaffinity(0, range(os.cpu_count()))
        work(lambda: os.getppid() == parent, *arguments)
    finally:
        os._exit(0)


class Ear:
    """When the kernel says something, as another listener than the router hears it."""

    def __init__(self, namespace, groups):
        self.netlink = within(namespace, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        # One without a number of its own is spared what the kernel says by itself.
        self.netlink.bind((0, 0))
        for group in groups:
            self.netlink.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
        self.netlink.settimeout(1)
        self.place = mmap.mmap(-1, 8)
        beside(self.listen)

    def listen(self, go_on):
        while go_on():
            try:
                self.netlink.recv(65536)
            except TimeoutError:
                continue
            now = time.clock_gettime(time.CLOCK_REALTIME)
            # The first since it was asked for.
            if self.place[:8] == bytes(8):
                self.place[:8] = struct.pack("d", now)

    def begin(self):
        self.place[:8] = bytes(8)

    def heard(self, patience=1):
        deadline = time.monotonic() + patience
        while self.place[:8] == bytes(8) and time.monotonic() < deadline:
            time.sleep(PACE)
        return struct.unpack("d", self.place[:8])[0] or float("nan")


class Wire:
    """Datagrams from the sender, and what of them comes out at the ends."""

    def __init__(self, sender, ends):
        self.sender = within(sender, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.ends = [within(namespace, self.tap) for namespace in ends]
        self.place = mmap.mmap(-1, 8)
        self.flow(0)
        beside(self.send)

    @staticmethod
    def tap():
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        # All that arrives while the kernel is busy with a link.
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        s.bind(("eth0", ETH_P_IP))
        s.setblocking(False)
        return s

    def flow(self, route, port=9):
        """Sends to the prefix of this number from now on."""
        self.target = struct.pack("!I", (20 << 24) + (route << 8) + 9)
        self.port = port
        self.place[:8] = self.target + struct.pack("!I", port)

    def send(self, go_on):
        while go_on():
            target, port = struct.unpack("!4sI", self.place[:8])
            try:
                self.sender.sendto(b"probe", (socket.inet_ntoa(target), port))
            except OSError:
                pass  # the host's own kernel is not at stake
            time.sleep(PACE)

    def seen(self):
        """What has arrived of the flow: stamp, end, destination MAC."""
        found, wanted = [], (self.target, struct.pack("!H", self.port))
        for number, end in enumerate(self.ends):
            while True:
                try:
                    frame, ancillary, _, _ = end.recvmsg(2048, 64)
                except BlockingIOError:
                    break
                if (frame[30:34], frame[36:38]) == wanted:
                    found.append((stamp_of(ancillary), number, frame[:6]))
        return sorted(found)

    def until(self, way, seconds=10):
        """Waits until a frame has come by this way; all that was seen."""
        found, deadline = [], time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(PACE)
            found += self.seen()
            if any(frame[1:] == way for frame in found):
                return found
        raise SystemExit(f"nothing came by {way} in time; {len(found)} frames, the last {found[-1:]}")

    def only(self, way, seconds=0.003):
        """For a while all must come by this way."""
        first = first_by(way, self.until(way))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(PACE)
            self.none_but(way, first, self.seen())

    @staticmethod
    def none_but(way, first, frames):
        """Two ends have a receive path each: one may be some microseconds behind."""
        strange = [frame for frame in frames if frame[1:] != way and frame[0] > first + 0.001]
        if strange:
            raise SystemExit(f"{len(strange)} frames by {strange[0][1:]}, not by {way}")


def first_by(way, frames):
    """The stamp of the first frame by a way."""
    return min(frame[0] for frame in frames if frame[1:] == way)


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
        time.sleep(0.02)
        if {frame[1] for frame in wire.seen()} == {0}:
            return [((0, OWN), box.group([1, 2]), back), ((1, MAC2), box.link(one, 0), [])]
    raise SystemExit("the group sends nothing by its first member")


def main():
    router, sender, *ends, count, routes, what = sys.argv[1:8]
    namespaces, ports = zip(*(end.split(":") for end in ends))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    box, wire, ear = Box(router, ports), Wire(sender, namespaces), Ear(router, [GROUPS[what]])
    box.do(box.mac(ports[0], OWN), box.mac(ports[1], MAC2))
    ways = plan(what, box, wire)
    wire.until(ways[0][0])
    samples, calls, heard, stale = [], [], [], []
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
        ear.begin()
        start = time.clock_gettime(time.CLOCK_REALTIME)
        box.netlink.send(change)
        call = time.clock_gettime(time.CLOCK_REALTIME) - start
        found = wire.until(new)
        confirmed(box.netlink)
        first = first_by(new, found)
        if what != "link" or turn % 2:
            samples.append(1e6 * (first - start))
            calls.append(1e6 * call)
            heard.append(1e6 * (ear.heard() - start))
            stale.append(1e6 * max([0] + [frame[0] - start for frame in found if frame[1:] == old]))
        wire.none_but(new, first, found + wire.seen())
    more = {"old_p99_us": percentiles(stale)["p99_us"], "call_p50_us": percentiles(calls)["p50_us"], "heard_p50_us": percentiles(heard)["p50_us"]}
    print(json.dumps({"what": what, "routes": int(routes), **percentiles(samples), **more}))


main()
