#!/usr/bin/env python3
"""Frames of every kind that belongs to Linux: sends them, and looks for them in a capture of a tap.

usage: kinds.py list MAC FILE...         frames that others send to MAC and to groups, one a line: kind,
                                         punt reason, bytes in hex
       kinds.py send INTERFACE           sends the frames of such lines
       kinds.py arrived CAPTURE KIND     each of this kind is there, byte by byte, as often as sent
       kinds.py nothing_else CAPTURE     no other frame is there

All but "list" read the lines from standard input. Kinds are told by the bytes, here and not by the
router's own rules.
"""

import socket
import sys
from collections import Counter

from replay import frames

BY_IP_PROTOCOL = {
    (4, 89): ("OSPFv2", "ospf"),
    (6, 89): ("OSPFv3", "ospf"),
    (4, 112): ("VRRP", "vrrp"),
    (6, 112): ("VRRP", "vrrp"),
    (4, 1): ("ICMP", "icmp"),
}
BY_PORT = {
    (6, 179): ("BGP", "bgp"),
    (17, 3784): ("BFD", "bfd"),
    (17, 3785): ("BFD", "bfd"),
    (17, 67): ("DHCP", "dhcp"),
}
BY_TYPE = {0x0806: ("ARP", "arp"), 0x88CC: ("LLDP", "lldp"), 0x8809: ("LACP", "lacp")}


def kind(frame):
    """What people call it, and the reason for which it is to be punted."""
    ethertype = int.from_bytes(frame[12:14], "big")
    if ethertype in BY_TYPE:
        return BY_TYPE[ethertype]
    if ethertype <= 1500 and frame[14:17] == b"\xfe\xfe\x03":
        return "IS-IS", "isis"
    if ethertype == 0x0800:
        version, protocol, payload = 4, frame[23], frame[14 + 4 * (frame[14] & 15) :]
    elif ethertype == 0x86DD:
        version, protocol, payload = 6, frame[20], frame[54:]
        if protocol == 0:  # hop-by-hop options, as MLD has them
            protocol, payload = payload[0], payload[8 * (payload[1] + 1) :]
        if protocol == 58:
            if 133 <= payload[0] <= 137:
                return "ND", "nd"
            return ("MLD", "mld") if payload[0] in (130, 131, 132, 143) else ("ICMPv6", "icmp")
    else:
        sys.exit(f"of no kind that is known here: {frame.hex()}")
    ports = (int.from_bytes(payload[2:4], "big"), int.from_bytes(payload[:2], "big"))
    found = BY_IP_PROTOCOL.get((version, protocol)) or next(
        (BY_PORT[protocol, port] for port in ports if (protocol, port) in BY_PORT), None
    )
    return found or sys.exit(f"of no kind that is known here: {frame.hex()}")


def given():
    for line in sys.stdin:
        name, _, data = line.split()
        yield name, bytes.fromhex(data)


def send(interface):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.bind((interface, 0))
    for _, frame in given():
        s.send(frame)


def arrived(capture, name):
    there = Counter(frames(capture))
    sent = Counter(frame for of, frame in given() if of == name)
    if not sent:
        sys.exit(f"no frame of kind {name} was sent")
    for frame, times in sent.items():
        if there[frame] != times:
            sys.exit(f"sent {times} times, on the tap {there[frame]} times: {frame.hex()}")


def nothing_else(capture):
    others = Counter(frames(capture)) - Counter(frame for _, frame in given())
    if others:
        sys.exit("\n".join(["not sent, but on the tap:", *(frame.hex() for frame in others)]))


def main():
    verb, *arguments = sys.argv[1:]
    if verb == "list":
        mac = bytes.fromhex(arguments[0].replace(":", ""))
        for path in arguments[1:]:
            for frame in frames(path):
                if (frame[:6] == mac or frame[0] & 1) and frame[6:12] != mac:
                    print(*kind(frame), frame.hex())
    else:
        {"send": send, "arrived": arrived, "nothing_else": nothing_else}[verb](*arguments)


main()
