"""Carries out one row of the matrix and says what held."""

import time

import swan
from plan import ECHO_PORT, OTHER, Failed, NotOffered

# Of one byte, around the block of ciphers and the word of the trailer, up to what fills the tunnel, and
# what the sender fragments.
SIZES = [1, 2, 3, 13, 14, 15, 16, 17, 31, 64, 100, 333, 576, 1000, 1200, 1300, 1340]
FRAGMENTED = [2000, 3000, 8000]
# What a wire may carry beside what is protected.
ALWAYS = {"ike", "link", "keepalive"}
REFUSED = ("NO_PROPOSAL_CHOSEN", "no acceptable proposal", "unable to", "not supported", "invalid value",
           "NO_PROP")


class Run:
    """Both ends and what lies between, for all rows."""

    def __init__(self, ironlane, linux, wan):
        self.ends = {"a": ironlane, "b": linux}
        self.wan = wan

    def both(self, line):
        return {name: end.swanctl(line) for name, end in self.ends.items()}


def establish(run, row):
    """Configures both ends and negotiates."""
    for name, end in run.ends.items():
        status, text = end.configure(swan.connection(row, name))
        if status:
            raise NotOffered(f"strongSwan of {name}: {last_line(text)}") if "proposal" in text else Failed(text)
    status, text = run.ends[row.initiator].swanctl("--initiate --child c --timeout 20")
    if status:
        if any(word in text for word in REFUSED):
            raise NotOffered(last_line(text))
        raise Failed(f"initiate: {text[-600:]}")


def last_line(text):
    return (text.strip().splitlines() or [""])[-1]


def pairs(run, row):
    """[(what, SA of the sender, SA of the receiver)] in both directions, of the youngest SAs."""
    ours, theirs = run.ends["a"].sas(), {sa["spi"]: sa for sa in run.ends["b"].sas()}
    found = []
    for out in (True, False):
        mine = [sa for sa in ours if sa["out"] == out and sa["spi"] in theirs]
        if len(mine) != 1:
            raise Failed(f"{len(mine)} SAs {'out' if out else 'in'} that both ends have, of {len(ours)} and {len(theirs)}")
        found.append((mine[0], theirs[mine[0]["spi"]]))
    return found


def check_sas(run, row):
    """Both ends have what was asked for; how Linux calls the algorithm."""
    for ours, theirs in pairs(run, row):
        if (ours["algorithm"], ours["esn"], ours["mode"]) != (row.ours, row.esn, row.mode):
            raise Failed(f"Ironlane has {ours}, not {row.ours}")
        if (theirs["esn"], theirs["mode"]) != (row.esn, row.mode):
            raise Failed(f"Linux has {theirs}")
    return theirs["algorithm"]


def ask_both_ways(run, row, sizes):
    for end in "ab":
        to = row.ends(OTHER[end])
        line = f"ask {to} {ECHO_PORT} " + " ".join(map(str, sizes))
        status, text = run.ends[end].talk(line, row.mode == "transport")
        if status:
            raise Failed(f"from {end} to {to}: {text.strip()}")


def equal_counts(run, row):
    """Both ends counted the same packets, and no error; how many there were."""
    end = time.monotonic() + 4
    while True:
        counted = [(ours["packets"], theirs["packets"]) for ours, theirs in pairs(run, row)]
        if all(ours == theirs > 0 for ours, theirs in counted):
            break
        if time.monotonic() > end:
            raise Failed(f"packets of (Ironlane, Linux), out and in: {counted}")
        time.sleep(0.3)
    for sas in pairs(run, row):
        for sa in sas:
            if sa["errors"]:
                raise Failed(f"SA {sa['spi']:#x} counted {sa['errors']}")
    return sum(ours for ours, _ in counted)


def check_wire(run, row, wanted):
    """Only what is protected crossed the wire, and all of the packets did."""
    kinds = run.wan.kinds()
    protected = "esp-in-udp" if row.encap else row.protocol
    foreign = {kind: n for kind, n in kinds.items() if kind not in ALWAYS | {protected}}
    if foreign:
        raise Failed(f"on the wire: {foreign}")
    if kinds[protected] < wanted:
        raise Failed(f"{kinds[protected]} of {wanted} packets seen on the wire: {dict(kinds)}")


def carry_out(run, row):
    """Raises Failed or NotOffered; else what to tell: Linux's name of the algorithm, packets, more."""
    errors = run.ends["b"].errors()
    run.wan.forget()
    try:
        establish(run, row)
        linux = check_sas(run, row)
        # In transport mode a fragment is none that IPsec takes: what is too long becomes fragments behind it.
        ask_both_ways(run, row, SIZES + FRAGMENTED * (row.mode != "transport"))
        packets = equal_counts(run, row)
        told = row.extra(run, row) if row.extra else ""
        check_wire(run, row, packets)
        if (now := run.ends["b"].errors()) != errors:
            raise Failed(f"errors of Linux were {errors}, are {now}")
    finally:
        end_row(run)
    return linux, packets, told


def end_row(run):
    """No SA is left at either end."""
    run.both("--terminate --ike c --force --timeout 5")
    end = time.monotonic() + 10
    while any(run.ends[name].sas() for name in "ab"):
        if time.monotonic() > end:
            raise Failed("SAs are left after the end")
        time.sleep(0.2)
