"""What IKE and the network do beside encrypting: rows with something that happens while they are up."""

import contextlib
import re
import subprocess
import time

import losses
from ends import LONG_S, objects, packets_of, spawn, wait_until
from plan import ECHO_PORT, GATEWAY, Failed, Row
from row import ask_both_ways, equal_counts, last_line, paired

GCM = ("aes128gcm16", "aes-gcm-16 128")
GCM_ESN = ("aes128gcm16-esn", "aes-gcm-16 128")
CBC = ("aes256-sha256", "aes-cbc/hmac-sha256-128 256")
AH = ("sha256", "null/hmac-sha256-128 0")
ESN_BEFORE = (1 << 32) - 40
PROBE = [1, 100, 1300]
REKEYS = 10


def spis(run):
    return {sa["spi"] for sa in run.ends["a"].sas()}


def flowing(run, row, act, rate=50):
    """A flow from Ironlane's side, every datagram of which is answered, for as long as `act()` runs."""
    run.counted()
    line = f"flow {row.ends('b')} {ECHO_PORT} {rate} 400"
    flow = spawn(run.ends["a"].owned, *run.ends["a"].talker(line, row.mode == "transport"), stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = act()
    finally:
        # It ends, and waits for answers, when nobody can tell it to go on.
        text, _ = flow.communicate(timeout=LONG_S)
    run.lost = losses.count(run)
    if flow.returncode and not explained(run, row, text):
        raise Failed(f"in the flow: {text.strip()}; {run.counted()}")
    return f"{last_line(text)}{', as packets without an SA' * bool(flow.returncode)}; {said}"


def explained(run, row, text):
    """What was lost are packets that came too early, all of which were counted as having no SA.

    IKEv1 loses what overtakes the third message of quick mode, by which alone the responder learns that it may
    install; Linux has none to send by, too. With IKEv2 libreswan, asked to rekey, sends by the new SA as soon as it has
    answered (RFC 7296, 2.8, lets it), so that a packet can overtake the answer, without which Ironlane has no key.
    """
    lost = int(re.search(r"(\d+) lost, 0 wrong", text)[1])
    without_sa = sum(run.lost[name] - run.counts[name]
                     for name in ("ironlane: ipsec_no_sa", *(f"linux {name}" for name in row.may_count)))
    return (row.ike == 1 or row.peer == "libreswan") and lost <= without_sa


def rekeyed(run, row):
    """Rekeys by either end in turn while packets flow; none is lost."""
    def act():
        for n in range(REKEYS):
            before = spis(run)
            time.sleep(0.5)
            end = run.ends["ab"[n % 2]]
            status, text = end.rekey("child")
            if status:
                raise Failed(f"rekey: {text}")
            # IKEv1 leaves old SAs until they expire.
            wait_until(60, "new SAs", lambda: len(spis(run) - before) == 2 and (row.ike == 1 or not spis(run) & before))
        return f"{REKEYS} rekeys, half of them by each end"
    said = flowing(run, row, act)
    ask_both_ways(run, row, PROBE)
    if row.ike == 2:
        equal_counts(run, row)
    return said


def ike_rekeyed(run, row):
    """The IKE SA is rekeyed by either end; the SAs of ESP go on."""
    def act():
        for end in "ab":
            status, text = run.ends[end].rekey("ike")
            if status:
                raise Failed(f"rekey: {text}")
            time.sleep(1)
        return "IKE SA rekeyed by each end"
    before = spis(run)
    said = flowing(run, row, act)
    if spis(run) != before:
        raise Failed("the SAs of ESP are others now")
    return said


def rekeyed_by_packets(run, row):
    """The limit of packets that `child` of the row has makes charon rekey."""
    before = spis(run)

    def act():
        wait_until(90, "other SAs than before", lambda: len(now := spis(run)) == 2 and not now & before)
        return "rekeyed at its limit of packets"
    return flowing(run, row, act)


def replayed(run, row):
    """Packets that were recorded and come once more are refused by both ends, and delivered by neither."""
    before = {name: packets_of(run.ends[name].sas(), spis(run)) for name in "ab"}
    recorded = [frame[14:] for _, frame in run.wan.taken("esp")][-40:]
    for packet in recorded:
        run.wan.raw(packet)
    time.sleep(1)
    after = {name: packets_of(run.ends[name].sas(), spis(run)) for name in "ab"}
    if before != after:
        raise Failed(f"packets were {before}, are {after}")
    drops = sum(sum(sa["errors"].values()) for sa in run.ends["a"].sas())
    theirs = sum(sum(sa["errors"].values()) for sa in run.ends["b"].sas())
    if drops == 0 or theirs == 0 or drops + theirs != len(recorded):
        raise Failed(f"{len(recorded)} sent again: {drops} refused by Ironlane, {theirs} by Linux")
    return f"of {len(recorded)} sent again Ironlane refused {drops}, Linux {theirs}"


def esn_wraps(run, row):
    """Linux's sequence numbers pass 2^32, of which packets carry the lower half and the ICV is made of all."""
    theirs = paired(run)[1][1]
    line = f"python3 /host/oseq.py {theirs['source']} {theirs['destination']} {theirs['spi']:#x} 0 {ESN_BEFORE}"
    status, text = run.ends["b"].gateway(line)
    if status:
        raise Failed(text)
    ask_both_ways(run, row, [100] * 60)
    equal_counts(run, row)
    seen = paired(run)[1][0]["sequence"]
    if seen <= 1 << 32:
        raise Failed(f"Ironlane has seen {seen:#x} only")
    return f"the last sequence number is {seen:#x}"


def dead_peer(run, row):
    """The wan is cut: both ends find their peer dead. When it is whole again, the tunnel comes again."""
    before = spis(run)
    run.wan.cut()
    wait_until(90, "Ironlane's charon gives its peer up", lambda: not spis(run) & before)
    wait_until(90, "Linux's charon gives its peer up", lambda: not {sa["spi"] for sa in run.ends["b"].sas()} & before)
    run.wan.nat("")
    # Both ends restart, so there may be two pairs.
    both = lambda: spis(run) & {sa["spi"] for sa in run.ends["b"].sas()}
    wait_until(60, "new SAs at both ends", lambda: len(both()) >= 2)
    ask_both_ways(run, row, PROBE)
    return "given up, and up again"


def padded(run, row):
    """Both ends pad: no packet of ESP is shorter than what they were told to hide."""
    lengths = [len(frame) - 14 for _, frame in run.wan.taken("esp")]
    if min(lengths) < TFC:
        raise Failed(f"of {len(lengths)} packets of ESP the shortest has {min(lengths)} bytes")
    return f"{len(lengths)} packets of ESP, none shorter than {min(lengths)} bytes"


@contextlib.contextmanager
def larger_than_fits(run, row):
    """What the hosts send without DF fills 1500 bytes, so what is made of it does not fit the wire."""
    ours, linux = run.ends["a"], run.ends["b"]
    set_mtu = ("sysctl -qw net.ipv4.ip_no_pmtu_disc={0}; ip route replace default via {1}{2}; "
               "ip route flush cache").format
    both = lambda on, mtu: (
        ours.command("ip", "netns", "exec", ours.host, "sh", "-c", set_mtu(on, "10.0.0.1", mtu)),
        linux.gateway(f"ip netns exec site sh -c '{set_mtu(on, '10.4.0.1', mtu)}'"))
    both(1, "")
    try:
        yield
    finally:
        both(0, " mtu 1340")


def in_fragments(run, row):
    """Linux seals first and fragments then, Ironlane the other way round."""
    theirs = sum(to for to, frame in run.wan.taken("fragment of esp"))
    ours = sum(not to for to, frame in run.wan.taken("fragment of esp"))
    if not theirs or ours:
        raise Failed(f"fragments of ESP: {theirs} by Linux, {ours} by Ironlane")
    return f"{theirs} packets of ESP that Linux fragmented"


def next_hop_forgotten(run, row):
    """What is sealed while nobody knows the next hop goes to the host's kernel, which finds it and loses nothing."""
    ironlane = run.ends["a"]
    gleans = lambda: sum(int(o["packets"]) for o in objects(ironlane.show("punt", "show", "--all"))
                         if o.get("reason") == "glean")
    verdicts = lambda: [o["verdict"] for o in objects(ironlane.show("route", "get", GATEWAY["b"][row.outer]))
                        if "verdict" in o]
    before = gleans()
    for n in range(5):
        # To be forgotten again it must have been known.
        wait_until(60, "the next hop is known", lambda: verdicts() == ["forward"])
        ironlane.gateway(f"ip -{row.outer} neigh flush dev p1")
        wait_until(60, "the next hop is forgotten", lambda: verdicts() == ["glean"])
        ask_both_ways(run, row, [100])
    equal_counts(run, row)
    if not (went := gleans() - before):
        raise Failed("no packet went to the kernel")
    return f"forgotten five times, {went} packets went by the kernel"


TFC = 700
# Either end goes on trying while the wan is cut.
DPD = "dpd_delay = 1s\n        keyingtries = 0"

ROWS = [
    Row("IKE", *GCM, auth="ecdsa"),
    Row("IKE", *GCM, auth="rsa", initiator="b"),
    Row("IKE", *GCM, auth="ed25519"),
    Row("IKE", *GCM, outer=6, inner=6, auth="ecdsa", initiator="b"),
    Row("IKE", *CBC, ike=1),
    Row("IKE", *CBC, ike=1, initiator="b"),
    Row("IKE", *GCM, ike=1, auth="rsa"),
    Row("IKE", *GCM_ESN, ike=1),
    Row("IKE", *CBC, ike=1, mode="transport"),
    Row("IKE", *CBC, ike=1, encap=True, outer=4, inner=6),
    Row("IKE", *AH, ike=1, protocol="ah"),
    Row("NAT", *GCM, behind_nat="a", note="Ironlane behind a NAT"),
    Row("NAT", *GCM, behind_nat="b", initiator="b", note="Linux behind a NAT"),
    Row("NAT", *CBC, behind_nat="a", inner=6, note="Ironlane behind a NAT"),
    Row("NAT", *CBC, behind_nat="b", initiator="b", ike=1, note="Linux behind a NAT"),
    Row("NAT", *GCM, mode="transport", behind_nat="a", note="Ironlane behind a NAT"),
    Row("NAT", *GCM_ESN, mode="transport", behind_nat="b", initiator="b", note="Linux behind a NAT"),
    Row("NAT", *CBC, mode="transport", behind_nat="a", ike=1, note="Ironlane behind a NAT"),
    Row("NAT", *GCM, behind_nat="b", initiator="b", note="rekeys, Linux behind a NAT", extra=rekeyed),
    Row("NAT", *GCM, behind_nat="a", note="rekeys, Ironlane behind a NAT", extra=rekeyed),
    Row("rekey", *GCM, note="rekeys in a flow", extra=rekeyed),
    Row("rekey", "aes256-sha256-ecp256-esn", CBC[1], note="rekeys in a flow, PFS", extra=rekeyed),
    Row("rekey", *GCM_ESN, outer=6, inner=6, initiator="b", note="rekeys in a flow", extra=rekeyed),
    Row("rekey", *AH, protocol="ah", note="rekeys in a flow", extra=rekeyed),
    Row("rekey", *CBC, ike=1, note="rekeys in a flow", extra=rekeyed, may_count=("XfrmInNoStates", "XfrmAcquireError")),
    Row("rekey", *GCM, note="IKE SA rekeyed", extra=ike_rekeyed),
    Row("rekey", *GCM, note="rekey by packets", child="rekey_packets = 150\n life_packets = 100000\n rand_packets = 0",
        extra=rekeyed_by_packets),
    Row("replay", *GCM, note="recorded packets", extra=replayed, may_count=("XfrmInStateSeqError",)),
    Row("replay", *GCM_ESN, note="recorded packets", extra=replayed, may_count=("XfrmInStateSeqError",)),
    Row("ESN", *GCM_ESN, note="sequence numbers pass 2^32", extra=esn_wraps),
    Row("ESN", "aes256-sha512-esn", "aes-cbc/hmac-sha512-256 256", outer=6, inner=6, initiator="b",
        note="sequence numbers pass 2^32", extra=esn_wraps),
    Row("DPD", *GCM, connection=DPD, child="dpd_action = restart", note="the wan is cut and whole again",
        extra=dead_peer),
]
ROWS += [
    Row("neighbour", *suite, outer=outer, inner=outer, note="the next hop is forgotten", extra=next_hop_forgotten)
    for suite, outer in ((GCM, 4), (GCM_ESN, 6))]
ROWS += [
    Row("TFC", *suite, child=f"tfc_padding = {TFC}", initiator=by, outer=outer, inner=outer, note="padded",
        extra=padded) for suite, by, outer in ((GCM, "a", 4), (CBC, "b", 4), (GCM_ESN, "a", 6))]
ROWS += [
    Row("fragments", *suite, sizes=(100, 1400, 1450, 1472, 3000, 8000), within=larger_than_fits, initiator=by,
        note="ESP in fragments", beside=("fragment of esp",), extra=in_fragments)
    for suite, by in ((GCM, "a"), (CBC, "b"))]
for window in (0, 32, 64, 128, 1024, 4096):
    ROWS.append(Row("replay", *(GCM_ESN if window else GCM), child=f"replay_window = {window}",
                    note=f"window of {window}"))
