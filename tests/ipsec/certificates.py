"""A CA for the run, and a certificate with a key of each kind for either end."""

import os
import subprocess

KEYS = {
    "ecdsa": ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa": ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ed25519": ["genpkey", "-algorithm", "ED25519"],
}


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, **options)


def make(folder, swanctl):
    """Into `swanctl[end]`, as swanctl expects it; `folder` is for the CA."""
    os.makedirs(folder)
    ca, ca_key = os.path.join(folder, "ca.pem"), os.path.join(folder, "ca.key")
    openssl(*KEYS["ecdsa"], "-out", ca_key)
    openssl("req", "-x509", "-new", "-key", ca_key, "-days", "2", "-subj", "/CN=Test CA", "-out", ca,
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for end, at in swanctl.items():
        for kind in ("x509", "x509ca", "private"):
            os.makedirs(os.path.join(at, kind), exist_ok=True)
        with open(ca) as source, open(os.path.join(at, "x509ca", "ca.pem"), "w") as copy:
            copy.write(source.read())
        for name, key in KEYS.items():
            private = os.path.join(at, "private", f"{name}-{end}.pem")
            extension = os.path.join(folder, f"{end}.ext")
            with open(extension, "w") as file:
                file.write(f"subjectAltName=DNS:{end}.example.org\n")
            openssl(*key, "-out", private)
            request = openssl("req", "-new", "-key", private, "-subj", f"/CN={end}.example.org {name}").stdout
            openssl("x509", "-req", "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2", "-extfile", extension,
                    "-out", os.path.join(at, "x509", f"{name}-{end}.pem"), input=request)
