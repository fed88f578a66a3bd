"""strongSwan's configuration for a row, for either end."""

from plan import GATEWAY, HOST, NET, OTHER

LOAD = ("random nonce openssl sha2 sha1 hmac kdf pem pkcs1 pkcs8 x509 pubkey constraints {kernel} socket-default vici")


def daemon(folder, vici, kernel, settings=""):
    """strongswan.conf, with the plugins that serve as the kernel's backend."""
    return f"""charon {{
    load = {LOAD.format(kernel=kernel)}
    # BEET is for those who know each other only.
    send_vendor_id = yes
    # A row is not to wait for the retransmissions of another one's end.
    delete_rekeyed_delay = 1
    retransmit_timeout = 1
    retransmit_base = 1.4
    retransmit_limit = 4
    # 30 s and more: the machine may be busy.
    retransmit_tries = 9
    filelog {{
        f {{
            path = {folder}/charon.log
            flush_line = yes
            knl = 2
        }}
    }}
    plugins {{
        vici {{
            socket = unix://{vici}
        }}
        {settings}
    }}
}}
"""


def selectors(row, end):
    """Traffic selectors of one end."""
    if row.mode == "transport":
        return "dynamic"
    # libreswan has the two networks of the row on its interface.
    if row.if_id and row.peer == "strongswan":
        return "0.0.0.0/0, ::/0"
    if row.mode == "beet":
        return HOST[end][row.inner]
    return NET[end][row.inner]


def who(row, end):
    return f"auth = {'psk' if row.auth == 'psk' else 'pubkey'}\n            id = {end}.example.org"


def connection(row, end):
    """swanctl.conf of one end."""
    other = OTHER[end]
    interface = f"if_id_in = {row.if_id}\n                if_id_out = {row.if_id}" if row.if_id else ""
    certificate = f"\n            certs = {row.auth}-{end}.pem" if row.auth != "psk" else ""
    return f"""connections {{
    c {{
        version = {row.ike}
        local_addrs = {GATEWAY[end][row.outer]}
        remote_addrs = {"%any" if row.behind_nat == other else GATEWAY[other][row.outer]}
        proposals = aes128gcm16-prfsha256-ecp256, aes128-sha256-ecp256, aes128-sha256-modp2048
        encap = {"yes" if row.encap else "no"}
        fragmentation = yes
        {row.connection}
        local {{
            {who(row, end)}{certificate}
        }}
        remote {{
            {who(row, other)}
        }}
        children {{
            c {{
                {row.protocol}_proposals = {row.suite}
                mode = {row.mode}
                local_ts = {selectors(row, end)}
                remote_ts = {selectors(row, other)}
                {interface}
                {row.child}
            }}
        }}
    }}
}}
secrets {{
    ike {{
        secret = "not a secret"
    }}
}}
"""
