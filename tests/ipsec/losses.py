"""Where a datagram can be lost on its way, and how many passed each place: both ends' counters, before and after."""

import collections
import re

from ends import objects

# One line for every place: interfaces, sockets, IP, the queues of the CPUs, XFRM.
LOOK = ("cd /proc/net; for f in dev snmp snmp6 softnet_stat xfrm_stat; do "
        "echo \"=== $f\"; cat $f 2>/dev/null; done")
# Of all namespaces of a machine together, and seen in the first one alone.
LOOK_MACHINE = ("cd /proc/net/stat; for f in rt_cache arp_cache ndisc_cache; do "
                "echo \"=== stat/$f\"; cat $f 2>/dev/null; done")
LOOK_NIC = "echo === nic; ethtool -S pf0 2>/dev/null"
DEVICE = ("bytes", "packets", "errors", "dropped", "fifo", "frame", "compressed", "multicast",
          "bytes", "packets", "errors", "dropped", "fifo", "collisions", "carrier", "compressed")
LOST = re.compile(r"martian|error|drop|fifo|frame|carrier|collision|miss|no_buf|discard|fail|norout|noport|wire_refused|"
                  r"tap_refused|^\S+ xfrm|^ironlane: ", re.I)
PASSED = re.compile(r"^(?!.* lo ).* (rx|tx) packets$|^punted |_machine$|UdpInDatagrams$|UdpOutDatagrams$")


def parse(place, text):
    """{"place what": count} of what `LOOK` printed."""
    counts, part, header = {}, "", []
    for line in text.splitlines():
        words = line.replace(":", " ").split()
        if line.startswith("=== "):
            part, header = line[4:], []
        elif part == "dev" and len(words) == 17:
            for n, value in enumerate(words[1:]):
                counts[f"{place} {words[0]} {'rx' if n < 8 else 'tx'} {DEVICE[n]}"] = int(value)
        elif part == "snmp" and words:
            if words[0] == header[:1][0] if header else False:
                counts |= {f"{place} {words[0]}{name}": int(n) for name, n in zip(header[1:], words[1:])}
                header = []
            else:
                header = words
        elif part == "softnet_stat" and len(words) > 2:
            name = f"{place} softnet dropped"
            counts[name] = counts.get(name, 0) + int(words[1], 16)
        elif part.startswith("stat/") and words:
            # A line of names, then one of hexadecimal numbers for each CPU.
            if header:
                for name, n in zip(header, words):
                    name = f"{place} {part[5:]} {name}"
                    counts[name] = counts.get(name, 0) + int(n, 16)
            else:
                header = words
        elif part in ("snmp6", "xfrm_stat", "nic") and len(words) == 2 and words[1].isdigit():
            counts[f"{place} {words[0]}"] = int(words[1])
    return counts


def count(run):
    """All that there is to count now, at both ends and between."""
    ours, linux = run.ends["a"], run.ends["b"]
    counts = collections.Counter()
    for place, namespace in (("host", ours.host), ("router", ours.namespace), ("wan", run.wan.namespace)):
        counts.update(parse(place, ours.command("ip", "netns", "exec", namespace, "sh", "-c", LOOK)[1]))
    counts.update(parse("here", ours.command("sh", "-c", LOOK_MACHINE)[1]))
    counts.update(parse("linux", linux.gateway(f"{LOOK}; {LOOK_NIC}; {LOOK_MACHINE}")[1]))
    counts.update(parse("site", linux.gateway(f"ip netns exec site sh -c '{LOOK}'")[1]))
    with open(run.joined) as file:
        counts.update({f"joiner {name}": int(n) for name, n in (line.split() for line in file)})
    for drop in objects(ours.show("drop", "show", "--all")):
        if "reason" in drop:
            counts[f"ironlane: {drop['reason']}"] += int(drop["packets"])
    for punt in objects(ours.show("punt", "show", "--all")):
        if "reason" in punt:
            counts[f"punted {punt['reason']}"] += int(punt["packets"])
    for port in objects(ours.show("port", "show")):
        for name, n in port.get("counters", {}).items() if "name" in port else ():
            if str(n).isdigit() and "bytes" not in name:
                counts[f"{port['name']} {name.replace('_', ' ')}"] = int(n)
    return counts


def told(before, now):
    """What was lost since, and where; then what passed each place, which shows where the rest ended."""
    moved = {name: n - before.get(name, 0) for name, n in now.items() if n != before.get(name, 0)}
    lost = {name: n for name, n in moved.items() if LOST.search(name)}
    passed = {name: n for name, n in moved.items() if PASSED.search(name)}
    say = lambda counts: ", ".join(f"{name} {n}" for name, n in counts.items()) or "nothing"
    return f"counted as lost: {say(lost)}; passed: {say(passed)}"
