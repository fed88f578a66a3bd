#!/usr/bin/env python3
"""Floods an interface with packets that only the kernel can answer, as fast as it can.

usage: flood.py INTERFACE DESTINATION_MAC SECONDS       until then or TERM; prints how many frames were sent

Alternately IPv4 with TTL 1, and IPv4 to ever changing addresses of 10.1.0.0/24, whose hosts do not exist.
"""

import signal
import socket
import struct
import sys
import time


def checksum(header):
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def frame(ethernet, destination, ttl):
    fields = [0x45, 0, 46, 1, 0, ttl, 17, 0, bytes([10, 0, 0, 2]), bytes(destination)]
    header = struct.pack("!BBHHHBBH4s4s", *fields)
    fields[7] = checksum(header)
    header = struct.pack("!BBHHHBBH4s4s", *fields)
    return ethernet + header + struct.pack("!HHHH", 4000, 4000, 26, 0) + bytes(18)


def main():
    interface, mac, seconds = sys.argv[1:4]
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.bind((interface, 0))
    own = s.getsockname()[4]
    ethernet = bytes.fromhex(mac.replace(":", "")) + own + b"\x08\x00"
    frames = []
    for n in range(100, 200):
        frames.append(frame(ethernet, [10, 1, 0, 2], 1))
        frames.append(frame(ethernet, [10, 1, 0, n], 64))
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    sent, end = 0, time.monotonic() + float(seconds)
    while not stopping and time.monotonic() < end:
        for data in frames:
            try:
                sent += 1 if s.send(data) else 0
            except OSError:
                pass  # the queue is full: that is as fast as it goes
    print(sent)


main()
