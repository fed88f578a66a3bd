#!/usr/bin/env python3
"""Draws a small real table, and the answers for some addresses, from a full table.

usage: make_sample.py TABLE.txt.xz WINDOWS NAME
Writes NAME.txt (`prefix nexthop`: windows of 20 neighbouring routes, with every route that covers
one of them) and NAME.oracle.txt (`address prefix nexthop`, or `address - -`: one hash table a
length, searched from the longest; a third random hosts, the rest first, last and just outside).
"""
import ipaddress, lzma, random, sys

source, windows, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
rows = []
for line in lzma.open(source, 'rt'):
    prefix, hop = line.split()
    net = ipaddress.ip_network(prefix)
    rows.append((int(net.network_address), net.prefixlen, int(hop)))
bits = net.max_prefixlen
make = ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address
mask = lambda length: ((1 << length) - 1) << (bits - length)
full = {(net, length): hop for net, length, hop in rows}

draw = random.Random(name)
chosen = set()
for _ in range(windows):
    at = draw.randrange(len(rows) - 20)
    chosen.update(rows[at:at + 20])
for net, length, _ in list(chosen):
    for shorter in range(length):
        key = (net & mask(shorter), shorter)
        if key in full:
            chosen.add((*key, full[key]))
rows = sorted(chosen)
table = {(net, length): hop for net, length, hop in rows}
lengths = sorted({length for _, length, _ in rows}, reverse=True)

with open(f'{name}.txt', 'w') as out:
    for net, length, hop in rows:
        print(f'{make(net)}/{length} {hop}', file=out)

addresses = {0, (1 << bits) - 1}
while len(addresses) < 3000:
    net, length, _ = draw.choice(rows)
    last = net | ~mask(length) & ((1 << bits) - 1)
    addresses |= {net | draw.getrandbits(bits) & (last - net), net, last}
    addresses |= {(net - 1) % (1 << bits), (last + 1) % (1 << bits)}
with open(f'{name}.oracle.txt', 'w') as out:
    for address in sorted(addresses):
        for length in lengths:
            hop = table.get((address & mask(length), length))
            if hop is not None:
                print(f'{make(address)} {make(address & mask(length))}/{length} {hop}', file=out)
                break
        else:
            print(f'{make(address)} - -', file=out)
