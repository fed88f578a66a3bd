#!/usr/bin/env python3
"""In the emulated machine: sets the sequence number that an outbound SA with ESN has used last.

usage: oseq.py SOURCE DESTINATION SPI HIGH LOW     of ESP; iproute2 can tell it only of an SA that it adds
"""

import ipaddress
import os
import re
import socket
import struct
import subprocess
import sys

NETLINK_XFRM, XFRM_MSG_NEWAE, XFRMA_REPLAY_ESN_VAL, ESP = 6, 0x1E, 23, 50
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE = 1, 4, 0x100


def packed(address):
    address = ipaddress.ip_address(address)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return family, address.packed.ljust(16, b"\0")


def main(source, destination, spi, high, low):
    command = ["ip", "xfrm", "state", "get", "src", source, "dst", destination, "proto", "esp", "spi", spi]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # The bitmap must be as long as the one that is there.
    window, words = (int(re.search(name + r" (\d+)", shown)[1]) for name in ("replay_window", "bitmap-length"))
    family, to = packed(destination)
    _, by = packed(source)
    body = struct.pack("16sIHBx", to, socket.htonl(int(spi, 16)), family, ESP) + by + struct.pack("II", 0, 0)
    state = struct.pack("6I", words, int(low), 0, int(high), 0, window) + bytes(4 * words)
    body += struct.pack("HH", 4 + len(state), XFRMA_REPLAY_ESN_VAL) + state
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM) as netlink:
        netlink.send(struct.pack("IHHII", 16 + len(body), XFRM_MSG_NEWAE, flags, 1, 0) + body)
        if error := -struct.unpack_from("i", netlink.recv(8192), 16)[0]:
            sys.exit(f"the kernel refused: {os.strerror(error)}")


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
