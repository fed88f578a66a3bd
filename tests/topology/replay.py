#!/usr/bin/env python3
"""Sends the frames of captures from an interface, as they are and once more addressed to a MAC.

usage: replay.py INTERFACE DESTINATION_MAC FILE...      prints how many frames were sent
"""

import socket
import struct
import sys


def frames(path):
    """The frames of a classic pcap file with Ethernet; nothing of any other file."""
    with open(path, "rb") as file:
        data = file.read()
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\x4d\x3c\xb2\xa1": "<"}.get(data[:4])
    if order is None or struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF != 1:
        return
    at = 24
    while at + 16 <= len(data):
        length = struct.unpack_from(order + "I", data, at + 8)[0]
        yield data[at + 16 : at + 16 + length]
        at += 16 + length


def main():
    interface, mac, *files = sys.argv[1:]
    mac = bytes.fromhex(mac.replace(":", ""))
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.bind((interface, 0))
    sent = 0
    for path in files:
        for frame in frames(path):
            for data in (frame, mac + frame[6:]):
                try:
                    s.send(data)
                    sent += 1
                except OSError:
                    pass  # shorter than an Ethernet header, or longer than the MTU
    print(sent)


if __name__ == "__main__":
    main()
