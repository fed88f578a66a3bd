#!/usr/bin/env python3
"""Makes an interface of this namespace lose every frame that comes in, until it is ended.

usage: silence.py INTERFACE      prints "silent" once it works

An XDP program of two instructions (r0 = XDP_DROP; exit) is attached by a BPF link, which lives as
long as this process. Packet filters would not do: IS-IS reads its frames by a packet socket, and
those see a frame before any filter does.
"""

import ctypes
import platform
import signal
import socket
import struct
import sys

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
BPF_PROG_LOAD, BPF_LINK_CREATE = 5, 28
BPF_PROG_TYPE_XDP, BPF_XDP, XDP_FLAGS_SKB_MODE = 6, 37, 1 << 1

XDP_DROP = struct.pack("<BBhi", 0xB7, 0, 0, 1)  # mov64 r0, 1
EXIT = struct.pack("<BBhi", 0x95, 0, 0, 0)


def bpf(command, attributes):
    """The system call; a new file descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    fd = libc.syscall(SYS_BPF, command, buffer, 128)
    if fd < 0:
        raise OSError(ctypes.get_errno(), f"bpf command {command}")
    return fd


def main():
    index = socket.if_nametoindex(sys.argv[1])
    program = ctypes.create_string_buffer(XDP_DROP + EXIT, 16)
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    load = struct.pack(
        "<IIQQ", BPF_PROG_TYPE_XDP, 2, ctypes.addressof(program), ctypes.addressof(licence)
    )
    link = struct.pack("<IIII", bpf(BPF_PROG_LOAD, load), index, BPF_XDP, XDP_FLAGS_SKB_MODE)
    bpf(BPF_LINK_CREATE, link)
    print("silent", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
main()
