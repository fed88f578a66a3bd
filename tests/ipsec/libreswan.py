"""Linux with libreswan: pluto, as guest.sh starts it, its configuration for a row, and how it is driven by whack."""

import glob
import os
import re

from certificates import openssl
from linux import Linux
from plan import GATEWAY, NET

GROUPS = {"ecp256": "dh19", "modp2048": "dh14"}
HASHES = {"sha1": "sha1", "sha256": "sha2_256", "sha384": "sha2_384", "sha512": "sha2_512"}
# libreswan's names of what strongSwan calls so.
CIPHERS = (
    (r"aes(\d+)gcm(\d+)", r"aes_gcm_\2_\1"),
    (r"aes(\d+)gmac", r"null_auth_aes_gmac_\1"),
    (r"aes(\d+)ctr", r"aes_ctr_\1"),
    (r"aes(\d+)", r"aes_cbc_\1"),
    (r"chacha20poly1305", "chacha20_poly1305"),
    (r"null", "null"),
)
IKE = {2: "aes_gcm_16_128-sha2_256-dh19,aes_cbc_128-sha2_256-dh19", 1: "aes_cbc_128-sha2_256-dh14"}
SIGNED = {"psk": "secret", "rsa": "rsasig", "ecdsa": "ecdsa"}


def prepare(share):
    """What pluto reads, in the folder that the emulated machine sees."""
    with open(os.path.join(share, "ipsec.conf"), "w") as file:
        file.write("config setup\n    logfile=/host/pluto.log\n    uniqueids=no\n    ikev1-policy=accept\n")
    with open(os.path.join(share, "ipsec.secrets"), "w") as file:
        file.write(': PSK "not a secret"\n')
    for key in glob.glob(os.path.join(share, "swanctl", "private", "*.pem")):
        name = os.path.basename(key).removesuffix(".pem")
        if not name.startswith("ed25519"):
            certificate = os.path.join(share, "swanctl", "x509", f"{name}.pem")
            openssl("pkcs12", "-export", "-inkey", key, "-in", certificate, "-name", name, "-passout", "pass:x", "-out",
                    os.path.join(share, f"{name}.p12"))


def proposal(suite):
    """(libreswan's name of strongSwan's proposal, the group of PFS or "")."""
    cipher, *rest = suite.removesuffix("-esn").split("-")
    group = GROUPS[rest.pop()] if rest and rest[-1] in GROUPS else ""
    words = [HASHES[word] for word in rest]
    if cipher in HASHES:
        return HASHES[cipher], group  # AH
    for pattern, name in CIPHERS:
        if re.fullmatch(pattern, cipher):
            return "-".join([re.sub(pattern, name, cipher), *words]), group
    raise ValueError(suite)


def connection(row):
    """ipsec.conf of the row, for the end b."""
    name, group = proposal(row.suite)
    algorithm = name + f"-{group}" * bool(group and row.ike == 2)
    lines = {
        "ikev2": "insist" if row.ike == 2 else "no",
        "authby": SIGNED[row.auth],
        "type": row.mode,
        "left": GATEWAY["b"][row.outer],
        "right": "%any" if row.behind_nat == "a" else GATEWAY["a"][row.outer],
        "leftid": "@b.example.org",
        "rightid": "@a.example.org",
        "ike": IKE[row.ike],
        "phase2": row.protocol,
        "phase2alg": algorithm,
        "esn": "yes" if row.esn else "no",
        "pfs": "yes" if group else "no",
        "encapsulation": "yes" if row.encap else "auto",
        "keyingtries": "1",
        "retransmit-timeout": "60s",
        "ikelifetime": "8h",
        "salifetime": "8h",
        "mobike": "no",
        "auto": "ignore",
        **dict(line.split("=") for line in row.pluto),
    }
    if row.mode == "tunnel":
        lines |= {"leftsubnet": NET["b"][row.inner], "rightsubnet": NET["a"][row.inner]}
    if row.auth != "psk":
        lines |= {"leftcert": f"{row.auth}-b", "leftsendcert": "always"}
    return "conn c\n" + "".join(f"    {name}={value}\n" for name, value in lines.items())


class Libreswan(Linux):
    """Linux with a pluto."""

    ike = 2

    def configure(self, row):
        self.ike = row.ike
        with open(os.path.join(self.guest.share, "row.conf"), "w") as file:
            file.write(connection(row))
        return self.gateway("ipsec auto --config /host/row.conf --add c;"
                            " ipsec whack --status | grep -q '^000 \"c\"'")

    def initiate(self):
        return self.gateway("ipsec whack --name c --initiate")

    def terminate(self):
        return self.gateway("ipsec whack --name c --delete")

    def rekey(self, what):
        """`what` is child or ike. By IKEv1 pluto begins another quick mode instead, if told to initiate again."""
        if self.ike == 1:
            return self.initiate()
        return self.gateway(f"ipsec whack --name c --rekey-{'ipsec' if what == 'child' else 'ike'}")

    def version(self):
        return self.gateway("ipsec --version")[1].split()[-1]
