"""Addresses of the network, and what a row of the matrix is."""

import dataclasses
import typing

# Ends: "a" is Ironlane with its charon, "b" the emulated machine.
GATEWAY = {"a": {4: "10.1.0.1", 6: "2001:db8:1::1"}, "b": {4: "10.9.0.2", 6: "2001:db8:9::2"}}
NET = {"a": {4: "10.0.0.0/24", 6: "2001:db8::/64"}, "b": {4: "10.4.0.0/24", 6: "2001:db8:4::/64"}}
HOST = {"a": {4: "10.0.0.2", 6: "2001:db8::2"}, "b": {4: "10.4.0.2", 6: "2001:db8:4::2"}}
# What a NAT before an end makes of it.
NAT = {"a": {4: "10.9.0.1"}, "b": {4: "10.1.0.2"}}
OTHER = {"a": "b", "b": "a"}
ECHO_PORT = 7


@dataclasses.dataclass
class Row:
    """One row: what both ends are configured for, and what is tried beyond the usual.

    `suite` is a proposal of strongSwan; `ours` what Ironlane calls the algorithm, with the key's length.
    """

    group: str
    suite: str
    ours: str
    protocol: str = "esp"
    mode: str = "tunnel"
    outer: int = 4
    inner: int = 4
    ike: int = 2
    auth: str = "psk"
    encap: bool = False
    initiator: str = "a"
    note: str = ""
    # The end that a NAT stands before, which also changes its ports.
    behind_nat: str = ""
    # Ironlane has not got the algorithm, so that it must refuse it.
    refused: bool = False
    # Counters of /proc/net/xfrm_stat that may move.
    may_count: tuple = ()
    # Lines for the connection and for the child, at both ends.
    connection: str = ""
    child: str = ""
    # Who does IKE beside Linux: strongswan or libreswan. Beside Ironlane it is always strongSwan.
    peer: str = "strongswan"
    # Lines of libreswan's connection.
    pluto: tuple = ()
    # The number of an interface that leads into the tunnel at either end, all of whose traffic is protected.
    if_id: int = 0
    # What datagrams there are, if not those of all rows.
    sizes: tuple = ()
    # What the wire carries beside what is protected: kinds of wan.py.
    beside: tuple = ()
    # A context (contextlib) of the run and the row, around all that is sent.
    within: typing.Optional[typing.Callable] = None
    # What is done besides (a function of the run and the row); what it returns becomes part of the note.
    extra: typing.Optional[typing.Callable] = None

    @property
    def in_udp(self):
        return self.encap or bool(self.behind_nat)

    @property
    def esn(self):
        return self.suite.endswith("-esn")

    @property
    def name(self):
        """What tells it from all others, for the command line and messages."""
        parts = [self.group + ":", self.protocol, self.suite, self.mode, f"{self.inner}-in-{self.outer}"]
        parts += ["udp"] * self.encap + ["ikev1"] * (self.ike == 1) + [self.auth] * (self.auth != "psk")
        parts += [f"by-{self.initiator}"]
        return " ".join(parts + [self.note] * bool(self.note))

    def ends(self, end):
        """Who talks, as the other end sees it: hosts behind the gateways, or the gateways themselves."""
        if self.mode != "transport":
            return HOST[end][self.inner]
        return (NAT if self.behind_nat == end else GATEWAY)[end][self.inner]


class Failed(Exception):
    """A row does not hold, and why."""


class NotOffered(Exception):
    """One of the ends cannot do what a row asks, and says so."""
