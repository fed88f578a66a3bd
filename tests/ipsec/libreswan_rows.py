"""Rows with libreswan at the other end. Ironlane's end is strongSwan, as in all."""

from plan import Row
from scenarios import AH, CBC, GCM, GCM_ESN, esn_wraps, ike_rekeyed, rekeyed


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
]
