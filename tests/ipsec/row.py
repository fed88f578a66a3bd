"""Carries out one row of the matrix and says what held."""

import contextlib
import time

import losses
from clock import Deadline
from ends import wait_until
from plan import ECHO_PORT, OTHER, Failed, NotOffered

# Of one byte, around the block of ciphers and the word of the trailer, up to what fills the tunnel, and
# what the sender fragments.
SIZES = [1, 2, 3, 13, 14, 15, 16, 17, 31, 64, 100, 333, 576, 1000, 1200, 1260]
FRAGMENTED = [2000, 3000, 8000]
# QEMU's NIC takes the length of AH behind IPv6 for one in units of eight bytes, and drops what is shorter.
SHORTEST_AH_IN_IP6 = 64
# What a wire may carry beside what is protected.
ALWAYS = {"ike", "link", "keepalive"}
REFUSED = ("NO_PROPOSAL_CHOSEN", "no acceptable proposal", "unable to", "not supported", "invalid value",
           "NO_PROP")


class Run:
    """Both ends and what lies between, for all rows."""

    def __init__(self, ironlane, linux, wan, joined):
        self.ends = {"a": ironlane, "b": linux}
        self.wan = wan
        # Where joiner.py counts.
        self.joined = joined
        # Of Linux, as last seen.
        self.errors = linux.errors()
        self.counts = losses.count(self)

    def counted(self):
        """What was lost since this was asked last, and where; what passed."""
        before, self.counts = self.counts, losses.count(self)
        return losses.told(before, self.counts)


def establish(run, row):
    """Configures both ends and negotiates."""
    for name, end in run.ends.items():
        status, text = end.configure(row)
        if status:
            raise NotOffered(f"IKE of {name}: {last_line(text)}") if "proposal" in text else Failed(text)
    status, text = run.ends[row.initiator].initiate()
    if status:
        if any(word in text for word in REFUSED):
            raise NotOffered(refusal(text))
        raise Failed(f"initiate: {text[-600:]}")


def refusal(text):
    """The line of charon's log that says why."""
    said = [line for line in text.splitlines() if any(word in line for word in REFUSED)]
    return said[-1] if said else last_line(text)


def last_line(text):
    return (text.strip().splitlines() or [""])[-1]


def pairs(run, there=None):
    """[(SA of Ironlane, the same of Linux)], outbound and inbound."""
    ours = run.ends["a"].sas()
    theirs = {sa["spi"]: sa for sa in (run.ends["b"].sas() if there is None else there)}
    found = []
    for out in (True, False):
        mine = [sa for sa in ours if sa["out"] == out and sa["spi"] in theirs]
        if len(mine) != 1:
            way = "out" if out else "in"
            raise Failed(f"{len(mine)} SAs {way} that both ends have, of {len(ours)} and {len(theirs)}")
        found.append((mine[0], theirs[mine[0]["spi"]]))
    return found


def paired(run):
    """As `pairs`; None while an end has not got all."""
    try:
        return pairs(run)
    except Failed:
        return None


def check_sas(run, row):
    """Both ends have what was asked for; how Linux calls the algorithm."""
    # With IKEv1 the responder installs last.
    for ours, theirs in wait_until(20, "the SAs at both ends", lambda: paired(run)):
        if (ours["algorithm"], ours["esn"], ours["mode"]) != (row.ours, row.esn, row.mode):
            raise Failed(f"Ironlane has {ours}, not {row.ours}")
        if (theirs["esn"], theirs["mode"]) != (row.esn, row.mode):
            raise Failed(f"Linux has {theirs}")
    return theirs["algorithm"]


def ask_both_ways(run, row, sizes):
    """Either end asks and the other answers, each size."""
    sizes = " ".join(map(str, sizes))
    ours, theirs = row.ends("a"), row.ends("b")
    for line in f"ask {theirs} {ECHO_PORT} {sizes}", f"order {theirs} {ECHO_PORT} {ours} {ECHO_PORT} {sizes}":
        status, text = run.ends["a"].talk(line, row.mode == "transport")
        if status:
            raise Failed(f"{line.split()[0]}: {text.strip()}; {run.counted()}")


def sizes(row):
    """What a row sends. In transport mode and BEET fragments would be made of ESP, and there are none here."""
    shortest = SHORTEST_AH_IN_IP6 if (row.protocol, row.outer) == ("ah", 6) else 1
    if row.sizes:
        return row.sizes
    return [size for size in SIZES if size >= shortest] + FRAGMENTED * (row.mode == "tunnel")


def equal_counts(run, row):
    """Both ends counted the same packets, and no error; how many there were."""
    deadline = Deadline(10)
    while True:
        there, errors = run.ends["b"].look()
        both = pairs(run, there)
        counted = [(ours["packets"], theirs["packets"]) for ours, theirs in both]
        if all(ours == theirs > 0 for ours, theirs in counted):
            break
        if deadline.passed():
            raise Failed(f"packets of (Ironlane, Linux), out and in: {counted}")
        time.sleep(0.3)
    for sa in sum(both, ()):
        if sa["errors"]:
            raise Failed(f"SA {sa['spi']:#x} counted {sa['errors']}")
    check_errors(run, row, errors)
    return sum(ours for ours, _ in counted)


def check_errors(run, row, now):
    """Linux counted no error since the last row, but those that the row brings about."""
    before, run.errors = run.errors, now
    moved = {name: n - before.get(name, 0) for name, n in now.items() if n != before.get(name, 0)}
    if wrong := {name: n for name, n in moved.items() if name not in row.may_count}:
        raise Failed(f"errors of Linux: {wrong}")


def check_wire(run, row, wanted):
    """Only what is protected crossed the wire, and all of the packets did."""
    kinds = run.wan.kinds()
    protected = "esp-in-udp" if row.in_udp else row.protocol
    foreign = {kind: n for kind, n in kinds.items() if kind not in ALWAYS | {protected, *row.beside}}
    if foreign:
        raise Failed(f"on the wire: {foreign}")
    if kinds[protected] < wanted:
        raise Failed(f"{kinds[protected]} of {wanted} packets seen on the wire: {dict(kinds)}")


def carry_out(run, row):
    """Raises Failed or NotOffered; else what to tell: Linux's name of the algorithm, packets, more."""
    run.wan.forget()
    refusals = len(run.ends["a"].refusals())
    try:
        run.wan.nat(row.behind_nat)
        establish(run, row)
        if row.refused:
            raise Failed("it was to be refused, and is not")
        linux = check_sas(run, row)
        with row.within(run, row) if row.within else contextlib.nullcontext():
            ask_both_ways(run, row, sizes(row))
            packets = equal_counts(run, row)
            told = row.extra(run, row) if row.extra else ""
        check_wire(run, row, packets)
        if row.extra:
            check_errors(run, row, run.ends["b"].errors())
    except NotOffered as why:
        if not row.refused:
            raise Failed(f"not negotiated: {why}") from why
        # charon beside Ironlane chose it; it must be Ironlane that did not take it.
        if not (said := run.ends["a"].refusals()[refusals:]):
            raise Failed(f"refused, but not by Ironlane: {why}") from why
        raise NotOffered(f"Ironlane: {said[0]}; the peer: {why}") from why
    finally:
        end_row(run, row)
    return linux, packets, told


def end_row(run, row):
    """No SA is left at either end, and no NAT between them."""
    run.wan.nat("")
    # The peer hears of it, so that there is nothing left for the other end to do, as a rule.
    # Who initiated first: libreswan begins anew if it was the other end.
    for name in (row.initiator, OTHER[row.initiator]):
        run.ends[name].terminate()
        deadline = Deadline(5)
        while not deadline.passed():
            there, run.errors = run.ends["b"].look()
            if not there and not run.ends["a"].sas():
                return
            time.sleep(0.2)
    raise Failed("SAs are left after the end")
