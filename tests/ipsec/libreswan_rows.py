"""Rows with libreswan at the other end. Ironlane's end is strongSwan, as in all."""

import contextlib

from ends import objects
from plan import HOST, NET, Failed, Row
from routing import IF_ID
from scenarios import AH, CBC, DPD, GCM, GCM_ESN, dead_peer, esn_wraps, ike_rekeyed, rekeyed, replayed


# pluto asks for no certificate when it initiates.
SENT = "send_cert = always"


def with_libreswan(*algorithm, **options):
    return Row("libreswan", *algorithm, peer="libreswan", **options)


def suites():
    """One of each kind, both ways round."""
    for n, (suite, ours) in enumerate((
            ("aes128gcm16", "aes-gcm-16 128"), ("aes256gcm8", "aes-gcm-8 256"),
            ("chacha20poly1305", "chacha20-poly1305 256"), ("aes256gmac", "null-aes-gmac 256"),
            ("aes128-sha1", "aes-cbc/hmac-sha1-96 128"), ("aes256-sha512", "aes-cbc/hmac-sha512-256 256"),
            ("aes192ctr-sha384", "aes-ctr/hmac-sha384-192 192"), ("null-sha256", "null/hmac-sha256-128 0"))):
        yield with_libreswan(suite, ours, initiator="ab"[n % 2])


@contextlib.contextmanager
def by_interface(run, row):
    """Ironlane's route to the site is by its [[ipsec_interface]]; Linux's is by the interface that pluto makes."""
    ironlane, there = run.ends["a"], NET["b"][row.inner]
    change = lambda what: ironlane.gateway(f"ip -{row.inner} route {what} {there} dev ipsec0")
    status, text = change("add")
    try:
        if status:
            raise Failed(text)
        yield
    finally:
        change("del")


def went_by_interface(run, row):
    """Both ends route to each other's network by their interface, and Linux's one has counted what went each way."""
    verdicts = [o["verdict"] for o in objects(run.ends["a"].show("route", "get", HOST["b"][row.inner])) if "verdict" in o]
    if verdicts != ["ipsec"]:
        raise Failed(f"Ironlane routes it so: {verdicts}")
    linux, name = run.ends["b"], f"ipsec{IF_ID}"
    _, route = linux.gateway(f"ip -{row.inner} route get {HOST['a'][row.inner]}")
    if f"dev {name} " not in route:
        raise Failed(f"Linux routes it so: {route}")
    at = f"/sys/class/net/{name}/statistics"
    rx, tx = (int(n) for n in linux.gateway(f"cat {at}/rx_packets {at}/tx_packets")[1].split())
    if not rx or not tx:
        raise Failed(f"{name} received {rx} packets and sent {tx}")
    return f"{name} received {rx} and sent {tx}"


BY_INTERFACE = dict(if_id=IF_ID, note="XFRM interface", within=by_interface, extra=went_by_interface,
                    pluto=(f"ipsec-interface={IF_ID}",))
REPLAYED = dict(extra=replayed, may_count=("XfrmInStateSeqError",))

ROWS = [
    *suites(),
    with_libreswan(*AH, protocol="ah"),
    with_libreswan(*GCM_ESN, outer=6, inner=6, initiator="b"),
    with_libreswan(*CBC, inner=6, encap=True),
    with_libreswan("aes256-sha256-esn", CBC[1], outer=6, initiator="b"),
    with_libreswan(*GCM, mode="transport"),
    with_libreswan(*GCM, mode="transport", outer=6, inner=6, initiator="b"),
    with_libreswan(*GCM, auth="ecdsa", connection=SENT),
    with_libreswan(*GCM, auth="rsa", initiator="b", connection=SENT),
    with_libreswan(*CBC, ike=1),
    with_libreswan(*CBC, ike=1, initiator="b"),
    with_libreswan(*CBC, ike=1, auth="rsa", connection=SENT),
    with_libreswan(*CBC, ike=1, mode="transport", initiator="b"),
    with_libreswan(*GCM, behind_nat="a", note="Ironlane behind a NAT"),
    with_libreswan(*GCM, behind_nat="b", initiator="b", note="Linux behind a NAT"),
    with_libreswan(*CBC, behind_nat="b", initiator="b", ike=1, note="Linux behind a NAT"),
    with_libreswan(*GCM, note="rekeys in a flow", extra=rekeyed),
    with_libreswan("aes256-sha256-ecp256-esn", CBC[1], initiator="b", note="rekeys in a flow, PFS", extra=rekeyed),
    with_libreswan(*CBC, ike=1, note="rekeys in a flow", extra=rekeyed,
                   may_count=("XfrmInNoStates", "XfrmAcquireError")),
    with_libreswan(*GCM, note="IKE SA rekeyed", extra=ike_rekeyed),
    with_libreswan(*GCM_ESN, note="sequence numbers pass 2^32", extra=esn_wraps),
    with_libreswan(*GCM, note="recorded packets", **REPLAYED),
    with_libreswan(*GCM_ESN, initiator="b", note="recorded packets, window of 1024", child="replay_window = 1024",
                   pluto=("replay-window=1024",), **REPLAYED),
    with_libreswan(*GCM, connection=DPD, child="dpd_action = restart", note="the wan is cut and whole again",
                   pluto=("dpddelay=1", "dpdaction=restart", "keyingtries=0", "retransmit-timeout=15s"),
                   extra=dead_peer),
    with_libreswan(*GCM, **BY_INTERFACE),
    with_libreswan(*CBC, outer=6, inner=6, initiator="b", **BY_INTERFACE),
]
