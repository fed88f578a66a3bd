"""The rows of the matrix: every algorithm in every column, then what IKE and the network can do."""

import libreswan_rows
import mobike
import routing
import scenarios
from plan import Row

# What a column changes. Who initiates alternates, so each algorithm is proposed by both ends.
COLUMNS = {
    "tunnel 4 in 4": dict(),
    "tunnel 6 in 6, ESN": dict(outer=6, inner=6, esn=True),
    "tunnel 6 in 4, UDP": dict(inner=6, encap=True),
    "tunnel 4 in 6, ESN": dict(outer=6, esn=True),
    "transport 4, ESN": dict(mode="transport", esn=True),
    "transport 6": dict(mode="transport", outer=6, inner=6),
    "BEET 4 in 4": dict(mode="beet"),
}
# AH cannot pass a NAT; BEET is defined for ESP.
WITHOUT = {"ah": {"tunnel 6 in 4, UDP", "BEET 4 in 4"}}

# Columns that every algorithm is tried in; in the others, one of each kind, and AH.
ALL = ("tunnel 4 in 4", "tunnel 6 in 6, ESN")
EACH_KIND = ("aes128gcm16", "aes256gcm8", "chacha20poly1305", "aes128gmac", "aes128-sha1", "aes256-sha512",
             "aes192ctr-sha384", "null-sha256")

HMAC = {"sha1": "hmac-sha1-96", "sha256": "hmac-sha256-128", "sha384": "hmac-sha384-192", "sha512": "hmac-sha512-256"}
BITS = (128, 192, 256)


def suites():
    """(protocol, strongSwan's proposal, Ironlane's name with bits of the key)."""
    for bits in BITS:
        for icv in (16, 12, 8):
            yield "esp", f"aes{bits}gcm{icv}", f"aes-gcm-{icv} {bits}"
    yield "esp", "chacha20poly1305", "chacha20-poly1305 256"
    for bits in BITS:
        yield "esp", f"aes{bits}gmac", f"null-aes-gmac {bits}"
    for word, cipher in (("", "aes-cbc"), ("ctr", "aes-ctr")):
        for bits in BITS:
            for keyword, hmac in HMAC.items():
                yield "esp", f"aes{bits}{word}-{keyword}", f"{cipher}/{hmac} {bits}"
    for keyword, hmac in HMAC.items():
        yield "esp", f"null-{keyword}", f"null/{hmac} 0"
    for keyword, hmac in HMAC.items():
        yield "ah", keyword, f"null/{hmac} 0"


def column_rows(column, n):
    """The algorithms in one column; who initiates alternates from one to the next."""
    for protocol, suite, ours in suites():
        options = dict(COLUMNS[column])
        tried = column in ALL or suite in EACH_KIND or protocol == "ah"
        if tried and column not in WITHOUT.get(protocol, ()):
            full = suite + "-esn" * options.pop("esn", False)
            yield Row(column, full, ours, protocol=protocol, initiator="ab"[n % 2], **options)


# What Linux and strongSwan have and Ironlane has not: it must be refused by name, and the peer must hear of it.
REFUSED = ("aes128ccm16", "aes256ccm8", "aes128-sha256_96", "aes128-aesxcbc", "aes128-aescmac", "aes128-md5",
           "camellia128-sha256", "3des-sha1")

# What nobody else has, or nobody negotiates, and so no row can try: (what, by whom, why).
NO_ROW = (
    ("AH with AES-GMAC (RFC 4543)", "Linux, strongSwan",
     "`ip xfrm state add ... proto ah auth-trunc 'gmac(aes)'`: Requested AUTH_TRUNC algorithm not found; strongSwan "
     "has no keyword for it. Ironlane's own tests and RFC 4543 are all that stands behind it"),
    ("ESN by IKEv1", "libreswan", "unsupported IPsec attribute ESN_64BIT_SEQNUM"),
)

REFUSED_ROWS = [Row("refused", suite, "", refused=True, initiator="b") for suite in REFUSED]
REFUSED_ROWS.append(Row("refused", "sha256", "", protocol="ah", mode="beet", refused=True, initiator="b"))
ALGORITHM_ROWS = [row for n, column in enumerate(COLUMNS) for row in column_rows(column, n)]
# What is told most by comes first, in case that a run is interrupted.
ROWS = (ALGORITHM_ROWS[:len(list(suites()))] + scenarios.ROWS + mobike.ROWS + routing.ROWS + REFUSED_ROWS +
        ALGORITHM_ROWS[len(list(suites())):] + libreswan_rows.ROWS)
