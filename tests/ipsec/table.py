"""docs/ipsec-interop.md, out of a whole run."""

import json
import os

from matrix import COLUMNS, NO_ROW, ROWS

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results.json")
FILE = os.path.join(ROOT, "docs", "ipsec-interop.md")

HEAD = """# IPsec beside Linux's own

<!-- Written by tests/ipsec/run.py (make test-ipsec); edit tests/ipsec/table.py. -->

`make test-ipsec` (root) runs Ironlane with an unmodified strongSwan {ours} and its plugin, against Linux {linux}'s
own ESP and AH, in an emulated machine, where strongSwan {strongswan} or libreswan {libreswan} negotiates. In between, a
namespace watches the wire, and can translate addresses. {passed} rows passed, {failed} failed, {refused} were
to be refused and were{unfinished}. {when}

A row passes if

- both ends have the SAs that were asked for: algorithm, length of key, mode, ESN;
- datagrams of 1 to 1260 bytes, and those of 2000 to 8000 that the sender fragments, arrive in both directions; each
  answer is made of every byte of its question, so that one wrong byte anywhere fails. In
  transport mode and BEET nothing is fragmented, and AH behind IPv6 starts at 64 bytes, for the sake of QEMU's NIC;
- both ends counted the same packets for both SAs, and neither an error (`ip -s xfrm state`, `/proc/net/xfrm_stat`,
  `ironlane ipsec sa show`);
- the wire carried nothing but ESP or AH (in UDP or in fragments where that was asked for), IKE, ARP and neighbour
  discovery;
- after the end no SA is left.

A flow that loses a datagram fails its row, which then tells what either end, its NICs, queues and sockets counted as
lost, and how many packets passed each place. Exceptions are packets that were counted as having no SA, since they
overtake the message by which alone the other end can install: of quick mode in rekeys by IKEv1, and with libreswan the
answer to a rekey by Ironlane's end; where that accounts for all that was lost the row passes. Rows of replays count
what they are about. Those of MOBIKE tell what Linux refused in the moment when its own strongSwan had deleted its policies to
change them, if anything came then, and how long that was; at any other time it fails the row.

Who initiates alternates from column to column, so both ends propose each algorithm, and both choose it.
"""

ONE_RUN = "All rows are of one run, of {minutes} minutes on two CPUs that had other work, too."
LATER = ONE_RUN[:-1] + ", but {later} that came or changed later and ran by themselves."


def cell(verdict):
    return {"passed": "yes", "FAILED": "**no**"}.get(verdict, verdict)


def algorithms(results):
    """A line for each algorithm, a column for each way to use it."""
    lines = {}
    for row, verdict, linux, _ in results:
        if row.group in COLUMNS:
            key = (row.protocol, row.suite.removesuffix("-esn"))
            line = lines.setdefault(key, {"ours": row.ours, "linux": set(), "cells": {}})
            line["cells"][row.group] = cell(verdict)
            line["linux"] |= {linux} - {""}
    yield f"| | strongSwan | Ironlane | Linux | {' | '.join(COLUMNS)} |"
    yield "| --- " * (4 + len(COLUMNS)) + "|"
    for (protocol, suite), line in lines.items():
        cells = [line["cells"].get(column, "-") for column in COLUMNS]
        linux = " or ".join(sorted(line["linux"]))
        yield f"| {protocol.upper()} | `{suite}` | {line['ours']} | {linux} | {' | '.join(cells)} |"


def scenarios(results, peer):
    yield "| | what | result | |"
    yield "| --- | --- | --- | --- |"
    for row, verdict, _, text in results:
        if row.group not in COLUMNS and not row.refused and row.peer == peer:
            what = row.name.removeprefix(row.group + ": ")
            yield f"| {row.group} | {what} | {cell(verdict)} | {one_line(text)} |"


def refused(results):
    yield "| proposal | by | what the peer hears, or why |"
    yield "| --- | --- | --- |"
    for row, verdict, _, text in results:
        if row.refused:
            by = "Ironlane" if verdict == "not offered" else verdict
            mode = f" in {row.mode.upper()}" if row.mode != "tunnel" else ""
            yield f"| {row.protocol.upper()} `{row.suite}`{mode} | {by} | {one_line(text)} |"
    for what, who, why in NO_ROW:
        yield f"| {what} | {who} | {why} |"


def one_line(text):
    return " ".join(text.replace("|", "/").split())[:200]


def failures(results):
    """What failed among the algorithms, with the reason, which a table has no room for."""
    for row, verdict, _, text in results:
        if row.group in COLUMNS and verdict == "FAILED":
            yield f"- {row.name}: {one_line(text)}"


def load():
    """{name: (verdict, Linux's name, text)} of the rows that ran last."""
    with open(RESULTS) as file:
        return json.load(file)


def write(results, versions, minutes, keep):
    """Writes results and page. With `keep` the results are put beside those of the last whole run."""
    known = load() if keep else {"versions": {}, "minutes": minutes, "later": [], "rows": {}}
    known["versions"] |= versions
    found = {row.name: found for row, *found in results if found[0] != "not run"}
    known["rows"] |= found
    if keep:
        known["later"] = sorted({*known["later"], *found})
    with open(RESULTS, "w") as file:
        json.dump(known, file, indent=0)
        file.write("\n")
    rows = [(row, *known["rows"].get(row.name, ("not run", "", ""))) for row in ROWS]
    with open(FILE, "w") as file:
        file.write(page(rows, known))


def page(results, known):
    """All of it; `known` is what `write` keeps."""
    count = lambda wanted: sum(verdict == wanted for _, verdict, _, _ in results)
    unfinished = f"; {left} were not run" if (left := count("not run")) else ""
    when = (LATER if known["later"] else ONE_RUN).format(minutes=known["minutes"], later=len(known["later"]))
    versions = dict.fromkeys(("ours", "linux", "strongswan", "libreswan"), "?") | known["versions"]
    head = HEAD.format(**versions, when=when, passed=count("passed"), failed=count("FAILED"),
                       refused=count("not offered"), unfinished=unfinished)
    bad = list(failures(results))
    parts = [head, "## Algorithms\n", *algorithms(results), *(["", "Failed:", ""] + bad if bad else []), "",
             "`-`: not tried. In the first two columns is every algorithm, in the others one of each kind, and AH",
             "(but for UDP, since it cannot pass a NAT, and BEET, which is defined for ESP).", "",
             "## IKE, the network, routing\n", *scenarios(results, "strongswan"), "",
             "## libreswan at the other end\n", *scenarios(results, "libreswan"), "",
             "## Not offered\n", *refused(results), ""]
    return "\n".join(parts)
