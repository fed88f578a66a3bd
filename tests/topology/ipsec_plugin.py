"""Speaks to the router as charon's plugin does (plugins/charon/PROTOCOL.md), so that a test can install SAs and
policies of its own."""

import ipaddress
import itertools
import socket
import struct

HELLO, ADD_SA, FLUSH_SAS, ADD_POLICY, FLUSH_POLICIES, SYNCED = 1, 3, 7, 8, 11, 13
ESP, AH = 50, 51
TRANSPORT, TUNNEL = 1, 2
INBOUND, ESN, IN_UDP, COPY_DF, COPY_ECN = 1, 2, 4, 8, 16
IN, OUT, FORWARD = 0, 1, 2
NO_MARK = bytes(8)


def address(text):
    ip = ipaddress.ip_address(text)
    return bytes([ip.version]) + ip.packed


def counted(data):
    return struct.pack(">H", len(data)) + data


def selector(text, protocol=0):
    """All packets of a network, of one protocol or all."""
    net = ipaddress.ip_network(text)
    first, last = net.network_address.packed, net.broadcast_address.packed
    return bytes([net.version]) + first + last + struct.pack(">BHH", protocol, 0, 65535)


def sa_body(sa, src, dst, flags, source, destination):
    """Of ADD_SA: an SA as `sa` describes it, from src to dst, for packets from one selector to another."""
    ports = (4500, 4500) if flags & IN_UDP else (0, 0)
    return (
        struct.pack(">BI", sa.protocol, sa.spi)
        + address(src)
        + address(dst)
        + NO_MARK
        + struct.pack(">IIBHB", 0, sa.reqid, sa.mode, flags, 0)
        + struct.pack(">H", sa.cipher)
        + counted(sa.cipher_key)
        + struct.pack(">H", sa.auth)
        + counted(sa.auth_key)
        + struct.pack(">IIHH", 64, 0, *ports)
        + NO_MARK
        + bytes(6 * 8 + 8)
        + struct.pack(">H", 1)
        + source
        + struct.pack(">H", 1)
        + destination
        + counted(b"")
    )


def policy_body(direction, sa, src, dst, source, destination):
    """Of ADD_POLICY: one that protects, by this SA if it is outbound."""
    return (
        bytes([direction])
        + source
        + destination
        + NO_MARK
        + struct.pack(">I", 0)
        + counted(b"")
        + struct.pack(">BBIIBBI", 1, 1, 0, sa.reqid, sa.mode, sa.protocol, sa.spi if direction == OUT else 0)
        + address(src)
        + address(dst)
    )


def request(kind, number, body=b""):
    return struct.pack(">IBBI", 6 + len(body), kind, 0, number) + body


class Plugin:
    """A connection to the router. What it refuses ends the program."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path)
        self.ids = itertools.count(1)
        self.ask(HELLO, struct.pack(">HQ", 1, 1) + counted(b"a test"))
        self.ask(SYNCED)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise SystemExit("the router has closed the connection")
            data += more
        return data

    def ask(self, kind, body=b""):
        """Sends a request, and gives the body of its answer. Events in between are let go."""
        number = next(self.ids)
        self.socket.sendall(request(kind, number, body))
        while True:
            (length,) = struct.unpack(">I", self.exactly(4))
            frame = self.exactly(length)
            answered, status, of = struct.unpack(">BBI", frame[:6])
            if answered & 0x80 and of == number:
                break
        if status:
            raise SystemExit(f"request {kind} was refused ({status}): {frame[8:].decode(errors='replace')}")
        return frame[6:]

    def flush(self):
        self.ask(FLUSH_POLICIES)
        self.ask(FLUSH_SAS)

    def add_sa(self, sa, src, dst, flags, source, destination):
        self.ask(ADD_SA, sa_body(sa, src, dst, flags, source, destination))

    def add_policy(self, direction, sa, src, dst, source, destination):
        self.ask(ADD_POLICY, policy_body(direction, sa, src, dst, source, destination))
