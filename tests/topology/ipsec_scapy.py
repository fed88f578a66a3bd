#!/usr/bin/env python3
"""Static SAs between the router and scapy's IPsec: packets of both directions, compared byte by byte.

usage: ipsec_scapy.py SOCKET MAC NAMESPACE_OF_ROUTER NAMESPACE_OF_HOST NAMESPACE_OF_PEER

SOCKET is the router's for charon, MAC that of its port to the peer. Every SA has a few datagrams each way:
from the peer to a UDP socket of the host behind the router (of the router itself in transport mode), and from
that socket to the peer. With IRONLANE_INTEROP=all each algorithm is tried in every shape.
"""

import os
import random
import select
import socket
import sys
import time
from dataclasses import dataclass, field

from scapy.all import IP, UDP, Ether, IPv6, raw
from scapy.layers import ipsec
from scapy.layers.inet import IPOption_NOP, IPOption_RR
from scapy.layers.inet6 import HBHOptUnknown, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN

import ipsec_ends
import ipsec_plugin as plugin
from ipsec_plugin import AH, ESP, TRANSPORT, TUNNEL, selector
from wire import within

PORT = 7000
ROUTER = {4: "10.1.0.1", 6: "2001:db8:1::1"}
PEER = {4: "10.1.0.2", 6: "2001:db8:1::2"}
HOST = {4: "10.0.0.2", 6: "2001:db8::2"}
BEHIND = {4: "10.2.0.9", 6: "2001:db8:2::9"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
WAIT_S = 3
random.seed(4303)


@dataclass
class Sa:
    """Two SAs of the same kind, one each way, as the plugin and as scapy name it."""

    name: str
    protocol: int
    cipher: int = 1024
    auth: int = 1024
    cipher_key_len: int = 0
    auth_key_len: int = 0
    scapy_cipher: str = None
    scapy_auth: str = None
    mode: int = TUNNEL
    outer: int = 4
    inner: int = 4
    esn: bool = False
    in_udp: bool = False
    # What stands in front of ESP or AH in transport mode.
    headers: str = ""
    spi: int = 0
    reqid: int = 1
    cipher_key: bytes = field(default=b"", repr=False)
    auth_key: bytes = field(default=b"", repr=False)

    def described(self):
        shape = [self.name, "tunnel" if self.mode == TUNNEL else "transport", f"IPv{self.inner} in IPv{self.outer}"]
        shape += ["ESN"] * self.esn + ["in UDP"] * self.in_udp + [self.headers] * bool(self.headers)
        return ", ".join(shape)


HMACS = [("sha1", 2, 20, "HMAC-SHA1-96"), ("sha256", 12, 32, "SHA2-256-128"), ("sha384", 13, 48, "SHA2-384-192"),
         ("sha512", 14, 64, "SHA2-512-256")]
CIPHERS = [("null", 11, [0], 0, "NULL"), ("aes-cbc", 12, [16, 24, 32], 0, "AES-CBC"),
           ("aes-ctr", 13, [16, 24, 32], 4, "AES-CTR")]
AEADS = [("aes-gcm-8", 18, [16, 24, 32], 4, "AES-GCM-8"), ("aes-gcm-12", 19, [16, 24, 32], 4, "AES-GCM-12"),
         ("aes-gcm-16", 20, [16, 24, 32], 4, "AES-GCM"), ("aes-gmac", 21, [16, 24, 32], 4, "AES-NULL-GMAC"),
         ("chacha20-poly1305", 28, [32], 4, "CHACHA20-POLY1305")]
# mode, outer, inner, in UDP
SHAPES = [(TUNNEL, 4, 4, False), (TRANSPORT, 6, 6, False), (TUNNEL, 6, 4, False), (TUNNEL, 4, 4, True),
          (TRANSPORT, 4, 4, False), (TUNNEL, 4, 6, False), (TUNNEL, 6, 6, False), (TRANSPORT, 4, 4, True),
          (TUNNEL, 4, 6, True)]


def algorithms():
    """Each algorithm with each length of its key, ESP and then AH."""
    for name, number, lens, salt, scapy_name in CIPHERS:
        for place, length in enumerate(lens):
            for hmac, auth, auth_len, scapy_auth in HMACS:
                yield dict(name=f"esp {name}{length * 8 or ''}-{hmac}", protocol=ESP, cipher=number, auth=auth,
                           cipher_key_len=length + salt if length else 0, auth_key_len=auth_len,
                           scapy_cipher=scapy_name, scapy_auth=scapy_auth)
    for name, number, lens, salt, scapy_name in AEADS:
        for length in lens:
            yield dict(name=f"esp {name} {length * 8}", protocol=ESP, cipher=number, cipher_key_len=length + salt,
                       scapy_cipher=scapy_name)
    for hmac, auth, auth_len, scapy_auth in HMACS:
        yield dict(name=f"ah {hmac}", protocol=AH, auth=auth, auth_key_len=auth_len, scapy_auth=scapy_auth)
    for auth, length in ((9, 16), (10, 24), (11, 32)):
        yield dict(name=f"ah aes-gmac {length * 8}", protocol=AH, auth=auth, auth_key_len=length + 4,
                   scapy_auth="AES-GMAC")


def cases():
    """SAs to try: every algorithm in two shapes, or in all."""
    every = os.environ.get("IRONLANE_INTEROP") == "all"
    for turn, algorithm in enumerate(algorithms()):
        fitting = [shape for shape in SHAPES if algorithm["protocol"] == ESP or not shape[3]]
        chosen = fitting if every else [fitting[turn % len(fitting)], fitting[(turn + 4) % len(fitting)]]
        for place, (mode, outer, inner, in_udp) in enumerate(chosen):
            for esn in (False, True) if every else ((turn + place) % 2 == 1,):
                yield Sa(**algorithm, mode=mode, outer=outer, inner=inner, in_udp=in_udp, esn=esn)
    for algorithm in algorithms():
        if algorithm["name"] in ("ah sha256", "ah aes-gmac 128", "esp aes-gcm-16 128"):
            for family, headers in ((4, "options"), (6, "hop-by-hop"), (6, "destination options"), (6, "routing")):
                yield Sa(**algorithm, mode=TRANSPORT, outer=family, inner=family, headers=headers)


class Case:
    """One pair of SAs, installed on both sides."""

    number = 0x1000

    def __init__(self, wires, sa):
        self.wires, self.sa = wires, sa
        Case.number += 2
        sa.cipher_key, sa.auth_key = (random.randbytes(n) for n in (sa.cipher_key_len, sa.auth_key_len))
        transport = sa.mode == TRANSPORT
        self.src, self.dst = (PEER, ROUTER) if transport else (BEHIND, HOST)
        self.src, self.dst = self.src[sa.inner], self.dst[sa.inner]
        there, here = (selector(ip, 17 if transport else 0) for ip in (self.src, self.dst))
        peer, router = PEER[sa.outer], ROUTER[sa.outer]
        flags = plugin.ESN * sa.esn | plugin.IN_UDP * sa.in_udp | plugin.COPY_DF | plugin.COPY_ECN
        control = wires.plugin
        control.flush()
        header = {4: IP, 6: IPv6}[sa.outer]
        udp = UDP(sport=4500, dport=4500) if sa.in_udp else None
        for way, src, dst in (("in", peer, router), ("out", router, peer)):
            sa.spi = Case.number + (way == "out")
            tunnel = None if transport else header(src=src, dst=dst)
            setattr(self, way, ipsec_ends.end(sa, sa.spi, tunnel, udp))
            if way == "in":
                control.add_sa(sa, src, dst, flags | plugin.INBOUND, there, here)
                for direction in (plugin.IN, plugin.FORWARD):
                    control.add_policy(direction, sa, src, dst, there, here)
            else:
                control.add_sa(sa, src, dst, flags, here, there)
                control.add_policy(plugin.OUT, sa, src, dst, here, there)

    def clear(self, data):
        """A packet from the peer, as it is before it is protected."""
        headers = {
            "": lambda: IP(src=self.src, dst=self.dst) if self.sa.inner == 4 else IPv6(src=self.src, dst=self.dst),
            "options": lambda: IP(src=self.src, dst=self.dst, options=[IPOption_NOP(), IPOption_RR(
                length=7, pointer=4, routers=["0.0.0.0"])]),
            "hop-by-hop": lambda: IPv6(src=self.src, dst=self.dst) / IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))]),
            "destination options": lambda: IPv6(src=self.src, dst=self.dst)
            # An option that may change on the way, which AH takes for zeros.
            / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x3E, optdata=b"changes!"), PadN(optdata=bytes(2))]),
            "routing": lambda: IPv6(src=self.src, dst=self.dst)
            / IPv6ExtHdrRouting(segleft=0, addresses=[self.dst]),
        }[self.sa.headers]()
        return headers / UDP(sport=PORT + 1, dport=PORT) / data

    def receive(self, data, count=1, **encrypt):
        """Sends what scapy has sealed, so many times; it must arrive once, as it was."""
        wire = raw(self.in_.encrypt(self.clear(data), **encrypt))
        for _ in range(count):
            self.wires.send(wire)
        found, source = self.wires.arrived(self.sa)
        assert found == data, f"{found!r} arrived instead of {data!r}"
        assert source[:2] == (self.src, PORT + 1), f"from {source}"

    @property
    def in_(self):
        return getattr(self, "in")

    def send(self, data):
        """Sends by the socket; scapy must find the same in what comes to the peer."""
        self.wires.socket_of(self.sa).sendto(data, (self.src, PORT + 1))
        frame = self.wires.to_peer(self.sa)
        packet = Ether(frame)[{4: IP, 6: IPv6}[self.sa.outer]]
        if self.sa.in_udp:
            assert packet[UDP].sport == packet[UDP].dport == 4500
            if self.sa.outer == 4:
                assert packet[UDP].chksum == 0, "RFC 3948 2.1"
        if self.sa.mode == TUNNEL:
            assert (packet.src, packet.dst) == (ROUTER[self.sa.outer], PEER[self.sa.outer])
        inside = raw(self.out.decrypt(packet))
        opened = (IP if inside[0] >> 4 == 4 else IPv6)(inside)
        assert (opened.src, opened.dst) == (self.dst, self.src), f"{opened.src} to {opened.dst}"
        assert raw(opened[UDP].payload) == data, f"{raw(opened[UDP].payload)!r} left instead of {data!r}"
        again = opened.copy()
        del again[UDP].chksum
        assert again.__class__(raw(again))[UDP].chksum == opened[UDP].chksum, "UDP checksum"
        hops = opened.ttl if self.sa.inner == 4 else opened.hlim
        assert hops == (64 if self.sa.mode == TRANSPORT else 63), f"{hops} hops left"


class Wires:
    """Sockets in all namespaces, and the connection to the router."""

    def __init__(self, path, mac, router, host, peer):
        self.plugin = plugin.Plugin(path)
        self.head = bytes.fromhex(mac.replace(":", ""))
        self.at = {TRANSPORT: within(router, self.sockets), TUNNEL: within(host, self.sockets)}
        self.wire = within(peer, self.packet_socket)
        self.own = self.wire.getsockname()[4]

    @staticmethod
    def sockets():
        made = {}
        for family, kind in FAMILY.items():
            made[family] = socket.socket(kind, socket.SOCK_DGRAM)
            if family == 6:
                made[family].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made[family].bind(("::" if family == 6 else "0.0.0.0", PORT))
            made[family].settimeout(WAIT_S)
        return made

    @staticmethod
    def packet_socket():
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        made.bind(("eth0", 3))
        return made

    def socket_of(self, sa):
        return self.at[sa.mode][sa.inner]

    def send(self, packet):
        self.wire.send(self.head + self.own + (b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet)

    def arrived(self, sa):
        return self.socket_of(sa).recvfrom(2048)

    def nothing_more(self, sa):
        ready, _, _ = select.select([self.socket_of(sa)], [], [], 0)
        assert not ready, f"{self.socket_of(sa).recv(2048)!r} arrived, too"

    def to_peer(self, sa):
        """The next protected packet that comes to the peer."""
        end = time.monotonic() + WAIT_S
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self.wire], [], [], left)
            if not ready:
                break
            frame, where = self.wire.recvfrom(2048)
            if where[2] == socket.PACKET_OUTGOING:
                continue
            packet = Ether(frame)
            if ipsec.ESP in packet or ipsec.AH in packet:
                return frame
        raise AssertionError("nothing came to the peer")


def exchange(wires, sa):
    """All that is tried with one pair of SAs."""
    case = Case(wires, sa)
    for length in (0, 1, 7, 600):
        data = random.randbytes(length)
        case.receive(data)
        case.send(data)
    # Its copy is refused, and so is a changed one.
    case.receive(b"once", count=2)
    wire = bytearray(raw(case.in_.encrypt(case.clear(b"changed"))))
    wire[-1] ^= 1
    wires.send(bytes(wire))
    if sa.esn:
        # Close to the end of the lower half, and beyond it.
        case.receive(b"on the way", seq_num=0x7FFF_FFFF)
        case.receive(b"before", seq_num=0xFFFF_FFF0)
        case.in_.esn = 1
        case.receive(b"behind", seq_num=3)
        case.in_.esn = 0
    else:
        case.receive(b"last", seq_num=0xFFFF_FFFF)
    wires.nothing_more(sa)


def main():
    wires = Wires(*sys.argv[1:])
    count, failed = 0, 0
    for sa in cases():
        count += 1
        try:
            exchange(wires, sa)
        except (AssertionError, TimeoutError, ipsec.IPSecIntegrityError, TypeError) as error:
            failed += 1
            print(f"{sa.described()}: {type(error).__name__} {error}")
    wires.plugin.flush()
    print(f"{count} pairs of SAs, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
