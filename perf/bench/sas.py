"""How fast SAs and policies come through the plugin's socket: the daemon as it is shipped, and requests as
plugins/charon/PROTOCOL.md has them, so many under way as charon has threads."""
import os
import socket
import statistics
import struct
import sys
import time
import types

import daemon
import goals
import report
import rig

# Behind our own folder, which has a latency.py and an idle.py, too.
sys.path.append(os.path.join(rig.ROOT, "tests", "topology"))
import ipsec_plugin as plugin  # noqa: E402

UNDER_WAY = 16
SECTION = '[ipsec]\ncharon_socket = "{folder}/charon"\n'
HERE = "10.255.255.254"
# Length, type, status and number of an answer without a body, which is one that says "done".
DONE = struct.Struct(">IBBI")
AES_GCM_16 = 20


class Scene:
    """`tunnels` of an SA each way; with `policies` three of these besides, as charon installs them."""

    def __init__(self, tunnels, policies, one_reqid=False):
        self.tunnels, self.policies, self.one_reqid = tunnels, policies, one_reqid
        self.name = (f"{2 * tunnels:,} SAs{' of one reqid' if one_reqid else ''}" if not policies else
                     f"{tunnels:,} tunnels: 2 SAs and 3 policies each")

    def requests(self):
        """(kind, body) of each, in charon's order: inbound, outbound, policies."""
        everything = plugin.selector("10.0.0.0/8")
        for n in range(self.tunnels):
            peer = f"10.{1 + n // 60000 % 200}.{n // 250 % 240}.{1 + n % 250}"
            far = plugin.selector(f"172.{16 + n // 65536}.{n // 256 % 256}.{n % 256}/32")
            ends = [types.SimpleNamespace(protocol=plugin.ESP, spi=spi, reqid=1 if self.one_reqid else n + 1, mode=plugin.TUNNEL,
                                          cipher=AES_GCM_16, cipher_key=os.urandom(20), auth=1024, auth_key=b"")
                    for spi in (0x10000 + 2 * n, 0x10001 + 2 * n)]
            yield plugin.ADD_SA, plugin.sa_body(ends[0], peer, HERE, plugin.INBOUND, far, everything)
            yield plugin.ADD_SA, plugin.sa_body(ends[1], HERE, peer, 0, everything, far)
            if self.policies:
                yield plugin.ADD_POLICY, plugin.policy_body(plugin.IN, ends[0], peer, HERE, far, everything)
                yield plugin.ADD_POLICY, plugin.policy_body(plugin.FORWARD, ends[0], peer, HERE, far, everything)
                yield plugin.ADD_POLICY, plugin.policy_body(plugin.OUT, ends[1], HERE, peer, everything, far)


def scenes(quick):
    if quick:
        return [Scene(5_000, False), Scene(5_000, True)]
    return [Scene(5_000, False), Scene(100_000, False), Scene(100_000, True), Scene(20_000, False, one_reqid=True)]


def installed(path, requests):
    """Seconds until all are answered; Failed if one is refused."""
    connection = plugin.Plugin(path).socket
    connection.settimeout(60)
    begin = time.monotonic()
    for first in range(0, len(requests), UNDER_WAY):
        some = requests[first:first + UNDER_WAY]
        connection.sendall(b"".join(some))
        answers = bytearray()
        while len(answers) < DONE.size * len(some):
            answers += (more := connection.recv(65536))
            if not more:
                raise rig.Failed("the router has closed the connection")
        for number, (length, _, status, of) in enumerate(DONE.iter_unpack(answers[:DONE.size * len(some)]), first):
            if (length, status, of) != (DONE.size - 4, 0, number):
                raise rig.Failed(f"request {number} was not carried out: {bytes(answers)!r}")
    return time.monotonic() - begin, connection


def one(scene):
    """One reading, by a daemon of its own."""
    requests = [plugin.request(kind, number, body) for number, (kind, body) in enumerate(scene.requests())]
    with open(os.path.join(rig.WORK, "daemon-sas.log"), "w") as log:
        with daemon.Daemon(0, "net_null0,no-rx=1", "net_null1,no-rx=1", None, log, SECTION) as router:
            seconds, _connection = installed(os.path.join(router.folder, "charon"), requests)
            shown = {what: len(router.ask("ipsec", what, "show")) for what in ("sa", "policy")}
    wanted = {"sa": 2 * scene.tunnels, "policy": 3 * scene.tunnels * scene.policies}
    if shown != wanted:
        raise rig.Failed(f"the router shows {shown}, not {wanted}")
    return {"seconds": seconds, "sas": 2 * scene.tunnels / seconds, "requests": len(requests) / seconds}


def run(context, folder):
    """The part, for __main__."""
    plan, rows, lines = scenes(context.quick), [], []
    rounds = context.rounds or (1 if context.quick else 3)
    progress = rig.Progress(len(plan) * rounds)
    for number in range(rounds):
        for scene in rig.order(plan, number):
            row = {"part": "sas", "scene": scene.name, "who": "daemon", "round": number}
            progress.now(scene.name)
            try:
                row.update(one(scene))
                words = f"{row['sas']:,.0f} SAs a second"
            except (rig.Failed, OSError, SystemExit) as error:
                row["error"] = words = str(error)
            rows.append(row)
            progress.step(f"{scene.name}: {words}")
    for scene in plan:
        mine = [row for row in rows if row["scene"] == scene.name and "error" not in row]
        middle = lambda key: statistics.median(row[key] for row in mine) if mine else None
        lines.append({"scene": scene.name, "sas": middle("sas"), "requests": middle("requests")})
    cell = lambda value: "-" if value is None else f"{value:,.0f}"
    body = [[line["scene"], cell(line["sas"]), cell(line["requests"])] for line in lines]
    return {
        "sections": [("SAs through the plugin's socket", "AES-128-GCM, with keys made ready for the engine, over one connection with "
                      f"{UNDER_WAY} requests under way; the lcore idles.",
                      report.markdown(["what", "SAs a second", "requests a second"], body), [])],
        "goals": goals.sas(lines),
        "data": {"rows": rows, "summary": lines},
    }
