"""MOBIKE: an end's address becomes another while datagrams go both ways."""

import re

from ends import wait_until
from plan import ECHO_PORT, Failed, Row
from row import ask_both_ways
from scenarios import GCM, PROBE, spis

# Around the change, since who tells of it may have to wait for a CPU of the emulated machine.
NEAR_S = 1.0
# What comes or leaves while Linux has no policy, no SA, or strongSwan's policy that drops.
OF_THE_CHANGE = {"XfrmInNoPols", "XfrmInNoStates", "XfrmOutPolBlock"}


def readdressed(end, old, new, device):
    """The same SAs go on. Of errors Linux counts only those of the change itself, which `while_it_changed` tells."""
    default = f"ip route replace default via {old.rpartition('.')[0]}.{'2' if end == 'a' else '1'}"

    def act(run, row):
        before = spis(run)
        arrives = lambda: run.ends["a"].talk(f"ask {row.ends('b')} {ECHO_PORT} 100", False)[0] == 0
        moved = lambda: f"'{end}.example.org' @ {new}" in run.ends["a"].swanctl("--list-sas")[1]
        watch = run.ends["b"].daemon("moments", "python3 /host/moments.py")
        try:
            wait_until(60, "moments.py", lambda: "ready" in run.ends["b"].gateway("cat /run/moments.out")[1])
            # strongSwan probes all pairs of addresses, and takes that of which it hears first.
            run.wan.one_path()
            move(run.ends[end], device, old, new, default)
            wait_until(90, f"{end} is at {new}", moved)
            wait_until(90, "an answer", arrives)
            said = while_it_changed(run)
            ask_both_ways(run, row, PROBE)
            if spis(run) != before:
                raise Failed("the SAs are others now")
            addresses = {sa["source"] for sa in run.ends["b"].sas()}
            if new not in addresses or old in addresses:
                raise Failed(f"the SAs of Linux are from {addresses}")
        finally:
            watch.terminate()
            run.wan.nat("")
            move(run.ends[end], device, new, old, default)
        return f"{old} became {new}, the same SAs went on{said}"
    return act


def while_it_changed(run):
    """What Linux refused in the moment when its strongSwan changed policies and SAs; that is no error of the row.

    To change addresses strongSwan deletes the inbound policies, changes the SAs, and adds the policies again
    (child_sa.c, `update`). What Linux decrypts between has no policy (XfrmInNoPols). Ironlane's change is one step,
    but its packets arrive there. An error that Linux counts at any other time is none of these, and fails the row.
    """
    errors = run.ends["b"].errors()
    moved = {name: n - run.errors.get(name, 0) for name, n in errors.items() if n != run.errors.get(name, 0)}
    if not moved or moved.keys() - OF_THE_CHANGE:
        return ""  # the row's end looks at errors
    _, text = run.ends["b"].gateway("cat /run/moments.out")
    gone, there, counted = moments(text)
    if not gone or not there or any(not gone - NEAR_S <= at <= there + NEAR_S for at, _, _ in counted):
        raise Failed(f"errors of Linux outside of its change of policies: {text}")
    if moved != {name: sum(n for _, which, n in counted if which == name) for name in moved}:
        raise Failed(f"errors of Linux that nobody saw it count: {moved}, of {text}")
    run.errors = errors
    told = ", ".join(f"{name} {n}" for name, n in moved.items())
    return f"; {told} in the {(there - gone) * 1000:.0f} ms that Linux was without its policies"


def moments(text):
    """Of what moments.py printed: when inbound policies went, when the last was there again, [(when, counter, n)]."""
    lines = re.findall(r"^(\d+\.\d+) (\S+)(?: (\d+))?$", text, re.M)
    gone = min((float(at) for at, what, _ in lines if what == "gone"), default=0.0)
    there = max((float(at) for at, what, _ in lines if what == "there"), default=0.0)
    return gone, there, [(float(at), what, int(n)) for at, what, n in lines if n]


def move(end, device, old, new, default):
    status, text = end.gateway(f"ip addr replace {new}/24 dev {device}; ip addr del {old}/24 dev {device}; {default}")
    if status:
        raise Failed(text)


MOBIKE = "mobike = yes"

ROWS = [
    Row("MOBIKE", *GCM, connection=MOBIKE, note="Ironlane moves",
        extra=readdressed("a", "10.1.0.1", "10.1.0.7", "p1")),
    Row("MOBIKE", *GCM, connection=MOBIKE, initiator="b", note="Linux moves",
        extra=readdressed("b", "10.9.0.2", "10.9.0.7", "pf0")),
]
