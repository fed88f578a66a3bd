"""The other end of an SA: scapy's IPsec, and what scapy has not, written from the RFCs on `cryptography`:
AES-GMAC in ESP and AH (RFC 4543), short ICVs of GCM (RFC 4106), and extended sequence numbers under a HMAC in
ESP (RFC 4303 2.2.1)."""

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from scapy.all import raw
from scapy.layers import ipsec
from scapy.layers.ipsec import AH, ESP


def wrong(what):
    raise ipsec.IPSecIntegrityError(what)


class ShortGcm(ipsec.CryptAlgo):
    """AES-GCM with an ICV of 8 or 12 bytes, which the AEAD interface that scapy uses does not have."""

    def __init__(self, icv_size):
        super().__init__("AES-GCM", algorithms.AES, modes.GCM, block_size=1, iv_size=8, salt_size=4, icv_size=icv_size,
                         format_mode_iv=lambda sa, iv, **_: sa.crypt_salt + iv)

    def new_cipher(self, key, mode_iv, digest=None):
        return Cipher(algorithms.AES(key), modes.GCM(mode_iv, digest, len(digest) if digest else 16))


class GmacInEsp(ipsec.CryptAlgo):
    """ENCR_NULL_AUTH_AES_GMAC: nothing is encrypted, all from SPI to next header is authenticated."""

    def __init__(self):
        super().__init__("AES-NULL-GMAC", None, None, block_size=1, iv_size=8, salt_size=4, icv_size=16)
        self.is_aead = True

    @staticmethod
    def aad(esp, iv_and_text, esn_en, esn):
        head = struct.pack(">LLL", esp.spi, esn, esp.seq) if esn_en else struct.pack(">LL", esp.spi, esp.seq)
        return head + iv_and_text

    def encrypt(self, sa, esp, key, icv_size=None, esn_en=False, esn=0):
        text = esp.iv + esp.data_for_encryption()
        tag = AESGCM(key).encrypt(sa.crypt_salt + esp.iv, b"", self.aad(esp, text, esn_en, esn))
        return ESP(spi=esp.spi, seq=esp.seq, data=text + tag)

    def decrypt(self, sa, esp, key, icv_size=None, esn_en=False, esn=0):
        text, tag = esp.data[:-16], esp.data[-16:]
        try:
            AESGCM(key).decrypt(sa.crypt_salt + text[:8], tag, self.aad(esp, text, esn_en, esn))
        except InvalidTag:
            wrong("GMAC")
        # Nothing of a NULL cipher is left to do but the trailer, which scapy reads.
        plain = ESP(spi=esp.spi, seq=esp.seq, data=text[8:])
        return ipsec.CRYPT_ALGOS["NULL"].decrypt(sa, plain, None, 0)


class GmacInAh(ipsec.AuthAlgo):
    """AUTH_AES_*_GMAC: the ICV field has the IV and then the tag, and counts as zeros (RFC 4543 section 4)."""

    def __init__(self):
        super().__init__("AES-GMAC", mac=AESGCM, digestmod=None, icv_size=24)
        self.count = 0

    @staticmethod
    def tag(pkt, key, iv, sending, esn_en, esn):
        clone = ipsec.zero_mutable_fields(pkt.copy(), sending=sending)
        text = raw(clone) + (struct.pack(">L", esn) if esn_en else b"")
        return AESGCM(key[:-4]).encrypt(key[-4:] + iv, b"", text)

    def sign(self, pkt, key, esn_en=False, esn=0):
        self.count += 1
        iv = struct.pack(">Q", 0xA5A5 << 32 | self.count)
        pkt[AH].icv = iv + self.tag(pkt, key, iv, True, esn_en, esn)
        return pkt

    def verify(self, pkt, key, esn_en=False, esn=0):
        iv, tag = pkt[AH].icv[:8], pkt[AH].icv[8:24]
        if self.tag(pkt, key, iv, False, esn_en, esn) != tag:
            wrong("GMAC")


class EsnHmac:
    """A HMAC of scapy's over ESP with the upper half of the number behind the packet."""

    def __init__(self, under, end):
        self.under, self.end, self.icv_size = under, end, under.icv_size

    def icv(self, data, key):
        mac = self.under.new_mac(key)
        mac.update(data + struct.pack(">L", self.end.esn))
        return mac.finalize()[: self.icv_size]

    def sign(self, pkt, key, **_):
        pkt[ESP].data += self.icv(raw(pkt[ESP]), key)
        return pkt

    def verify(self, pkt, key, **_):
        if self.icv(raw(pkt)[: -self.icv_size], key) != pkt.data[-self.icv_size :]:
            wrong("HMAC with ESN")


ipsec.CRYPT_ALGOS["AES-GCM-8"] = ShortGcm(8)
ipsec.CRYPT_ALGOS["AES-GCM-12"] = ShortGcm(12)
ipsec.CRYPT_ALGOS["AES-NULL-GMAC"] = GmacInEsp()
ipsec.AUTH_ALGOS["AES-GMAC"] = GmacInAh()


def end(sa, spi, tunnel, in_udp):
    """One direction of an SA, as scapy has it."""
    association = ipsec.SecurityAssociation(
        ESP if sa.protocol == 50 else AH, spi,
        crypt_algo=sa.scapy_cipher, crypt_key=sa.cipher_key or None,
        auth_algo=sa.scapy_auth, auth_key=sa.auth_key or None,
        tunnel_header=tunnel, nat_t_header=in_udp, esn_en=sa.esn,
    )
    if sa.esn and sa.protocol == 50 and sa.scapy_auth:
        association.auth_algo = EsnHmac(association.auth_algo, association)
    return association
