"""What lies between the ends: a namespace whose wires are watched, and that can translate addresses."""

import collections
import os
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "topology"))
from wire import within  # noqa: E402

ETH_P_ALL = 3
NAMES = {1: "icmp", 6: "tcp", 17: "udp", 50: "esp", 51: "ah", 58: "icmp6", 59: "nothing"}
ND = range(133, 138)


def kind_of(frame):
    """What a frame is, seen from outside: esp, ah, ike, esp-in-udp, link (ARP, neighbour discovery), ..."""
    kind, packet = struct.unpack_from("!H", frame, 12)[0], frame[14:]
    if kind == 0x0806:
        return "link"
    if kind == 0x0800:
        protocol, rest = packet[9], packet[(packet[0] & 15) * 4:]
        first = struct.unpack_from("!H", packet, 6)[0] & 0x1FFF == 0
    elif kind == 0x86DD:
        protocol, rest, first = packet[6], packet[40:], True
        while protocol in (0, 60, 44):
            if protocol == 44:
                first = struct.unpack_from("!H", rest, 2)[0] & 0xFFF8 == 0
                protocol, rest = rest[0], rest[8:]
            else:
                protocol, rest = rest[0], rest[(rest[1] + 1) * 8:]
    else:
        return f"ethertype {kind:#06x}"
    name = NAMES.get(protocol, f"protocol {protocol}")
    if not first:
        return f"fragment of {name}"
    if name == "icmp6" and rest[0] in ND or name == "icmp6" and rest[0] == 143:
        return "link"
    if name == "udp":
        return udp_kind(rest)
    return name


def udp_kind(datagram):
    source, destination = struct.unpack_from("!HH", datagram)
    if 500 in (source, destination):
        return "ike"
    if 4500 in (source, destination):
        payload = datagram[8:]
        if payload == b"\xff":
            return "keepalive"
        return "ike" if payload[:4] == bytes(4) else "esp-in-udp"
    return f"udp {source} {destination}"


class Wan:
    """Watches the wire towards Ironlane from the beginning."""

    def __init__(self, namespace, interface):
        self.namespace, self.interface = namespace, interface
        make = lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.wire = within(namespace, make)
        self.wire.bind((interface, ETH_P_ALL))
        self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.lock = threading.Lock()
        self.frames = []
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while True:
            try:
                frame, address = self.wire.recvfrom(65536)
            except OSError:
                return  # the namespace ends
            with self.lock:
                self.frames.append((address[2] == socket.PACKET_OUTGOING, frame))

    def forget(self):
        """A new row begins."""
        with self.lock:
            self.frames.clear()

    def taken(self, kind=None):
        """[(towards Ironlane, frame)] since the row began."""
        with self.lock:
            return [(to, frame) for to, frame in self.frames if kind in (None, kind_of(frame))]

    def kinds(self):
        return collections.Counter(kind_of(frame) for _, frame in self.taken())

    def nft(self, rules):
        """Replaces all that is translated and dropped here."""
        command = ["ip", "netns", "exec", self.namespace, "nft", "-f", "-"]
        subprocess.run(command, input="flush ruleset\n" + rules, text=True, check=True)

    def nat(self, before):
        """A NAT before one end ("a", "b"), or none (""). What passes it gets other ports than it had."""
        if before:
            source, out = {"a": ("10.1.0.1", "guest0"), "b": ("10.9.0.2", "eth0")}[before]
            rule = f"oifname {out} ip saddr {source} udp sport {{ 500, 4500 }} masquerade to :20000-30000 random"
            self.nft(f"table ip nat {{ chain out {{ type nat hook postrouting priority 100; {rule}; }}; }}")
        else:
            self.nft("")

    def cut(self):
        """Nothing passes, until `nat` is called."""
        self.nft("table inet cut { chain passing { type filter hook forward priority 0; drop; }; }")

    def one_path(self):
        """IKE passes between the gateways' IPv4 addresses on the wan only, until `nat` is called."""
        rules = "udp dport 4500 meta nfproto ipv6 drop; udp dport 4500 ip daddr != { 10.1.0.0/24, 10.9.0.0/24 } drop;"
        self.nft(f"table inet one {{ chain passing {{ type filter hook forward priority 0; {rules} }}; }}")

    def raw(self, packet):
        """Sends an IPv4 packet as it is, by the routes here."""
        make = lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with within(self.namespace, make) as sender:
            sender.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))

    def save(self, path):
        """The frames of the row as a capture."""
        with open(path, "wb") as file:
            file.write(struct.pack("IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            for _, frame in self.taken():
                file.write(struct.pack("IIII", 0, 0, len(frame), len(frame)) + frame)
