#!/usr/bin/env python3
"""Echo requests every few milliseconds, IPv4 and IPv6, until TERM; then the longest time without an answer.

usage: probe.py FROM4 TO4 FROM6 TO6 [INTERVAL_MS]

Prints "ready" when both families were answered once, and at the end one JSON line: for each
family requests sent and answered, and the longest outage in milliseconds, measured between the
sending times of the answered requests on both sides of the hole.
"""

import json
import select
import signal
import socket
import struct
import sys
import time


class Family:
    """One raw ICMP socket, what was sent by it and when, and what of it was answered."""

    def __init__(self, source, target, six):
        self.target = target
        self.request, self.reply = (128, 129) if six else (8, 0)
        self.header = 0 if six else 20  # a raw IPv4 socket delivers the IP header too
        kind = socket.AF_INET6 if six else socket.AF_INET
        proto = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
        self.socket = socket.socket(kind, socket.SOCK_RAW, proto)
        self.socket.setblocking(False)
        self.socket.bind((source, 0))
        self.ident = (id(self) >> 4) & 0xFFFF
        self.sent = []
        self.answered = set()

    def send(self, now):
        body = struct.pack("!HHI", self.ident, len(self.sent) & 0xFFFF, len(self.sent))
        packet = bytes([self.request, 0]) + checksum(bytes([self.request, 0, 0, 0]) + body) + body
        self.sent.append(now)
        try:
            self.socket.sendto(packet, (self.target, 0))
        except OSError:
            pass  # no route for a moment: it counts as lost, which it is

    def receive(self):
        while True:
            try:
                packet = self.socket.recv(2048)[self.header :]
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error about an earlier request
            if len(packet) >= 12 and packet[0] == self.reply:
                ident, _, number = struct.unpack("!HHI", packet[4:12])
                if ident == self.ident and number < len(self.sent):
                    self.answered.add(number)

    def result(self):
        times = [self.sent[n] for n in sorted(self.answered)]
        if self.sent and self.sent[-1] - (times[-1] if times else 0) > 0.3:
            times.append(self.sent[-1])  # still dead at the end
        gaps = [later - earlier for earlier, later in zip(times, times[1:])]
        return {
            "sent": len(self.sent),
            "answered": len(self.answered),
            "outage_ms": round(1000 * max(gaps, default=0)),
        }


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)


def main():
    from4, to4, from6, to6 = sys.argv[1:5]
    interval = float(sys.argv[5]) / 1000 if len(sys.argv) > 5 else 0.005
    families = {"ip4": Family(from4, to4, False), "ip6": Family(from6, to6, True)}
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))

    said_ready = False
    end = None  # after TERM: answers under way are waited for
    following = time.monotonic()
    while end is None or time.monotonic() < end:
        now = time.monotonic()
        if stopping and end is None:
            end = now + 0.2
        if end is None and now >= following:
            for family in families.values():
                family.send(now)
            following = max(following + interval, now - 0.05)
        timeout = max(0.0, following - time.monotonic()) if end is None else 0.02
        select.select([f.socket for f in families.values()], [], [], timeout)
        for family in families.values():
            family.receive()
        if not said_ready and all(f.answered for f in families.values()):
            said_ready = True
            print("ready", flush=True)
    print(json.dumps({name: family.result() for name, family in families.items()}), flush=True)


main()
