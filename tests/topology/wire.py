"""For the programs of this folder: sockets in other network namespaces, and netlink messages."""

import ctypes
import os
import socket
import struct

SO_TIMESTAMPNS = 35
CLONE_NEWNET = 0x40000000
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_CREATE = 1, 4, 0x100, 0x400


def within(namespace, make):
    """What make() returns when called inside a network namespace; sockets stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as home, open(f"/run/netns/{namespace}") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
        try:
            return make()
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)


def stamp_of(ancillary):
    """The kernel's receive stamp, in seconds, of a socket with SO_TIMESTAMPNS."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", data[:16])
            return seconds + nanoseconds / 1e9
    return None


def attribute(kind, data):
    """A netlink attribute, padded."""
    return struct.pack("HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def attributes(message, at):
    """The attributes of a netlink message from this byte on, by kind."""
    found = {}
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("HH", message, at)
        found[kind] = message[at + 4 : at + length]
        at += max(4, length + -length % 4)
    return found


def message(kind, body, flags=NLM_F_REPLACE | NLM_F_CREATE):
    """A request that the kernel confirms."""
    return struct.pack("IHHII", 16 + len(body), kind, NLM_F_REQUEST | NLM_F_ACK | flags, 1, 0) + body


def answer(netlink):
    """The errno by which the kernel answers a message; 0 if it did it."""
    return -struct.unpack_from("i", netlink.recv(8192), 16)[0]


def confirmed(netlink):
    """Reads the answer to a message; an error ends the program."""
    if refused := answer(netlink):
        raise SystemExit(f"the kernel refused: {os.strerror(refused)}")


def percentiles(samples):
    """p50, p99 and the greatest, in whole numbers."""
    samples = sorted(samples)
    at = lambda share: round(samples[min(len(samples) - 1, int(share * len(samples)))])
    return {"samples": len(samples), "p50_us": at(0.5), "p99_us": at(0.99), "max_us": at(1)}
