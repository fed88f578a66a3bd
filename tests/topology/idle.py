#!/usr/bin/env python3
"""How long the first datagram after silence takes through the box, and what the box does in silence.

usage: idle.py first FROM_NS TO_NS ADDRESS CPU SAMPLES SILENCE_S LIMIT_US    one datagram after each silence
       idle.py share PID SECONDS                                             CPU time of the daemon's threads

`first` sends from FROM_NS to ADDRESS in TO_NS: the clock runs from before the send call until the
kernel's receive stamp at the other end, so neither this program's own waking nor its reading
counts. It keeps to the first CPU, since a host is another machine. After each datagram, and as
long a silence, it measures what the machine itself needs to wake a thread on CPU, the lcore's: a bare
process there that waits for an eventfd. A datagram that does not arrive ends it. Beside percentiles it
prints how many datagrams were late, and how many may be (see `late`). `share` counts what the scheduler
gave to each thread. Each prints one JSON line.
"""

import json
import math
import os
import random
import select
import socket
import struct
import sys
import time

from wire import SO_TIMESTAMPNS, stamp_of, within

PORT = 9


def receiver(family, address):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    s.bind((address, PORT))
    return s


def stamp(s, wanted):
    """The receive stamp, in seconds, of the datagram that says `wanted`."""
    while select.select([s], [], [], 2)[0]:
        data, ancillary, _, _ = s.recvmsg(64, 64)
        if data == wanted:
            return stamp_of(ancillary)
    raise SystemExit(f"{wanted.decode()} did not arrive within 2 s")


def sleeper(cpu):
    """Starts a process on `cpu` that, woken by the eventfd, writes to the pipe at what time: both."""
    wake = os.eventfd(0)
    answer, back = os.pipe()
    if os.fork() == 0:
        os.sched_setaffinity(0, {cpu})
        parent = os.getppid()
        while os.getppid() == parent:
            if select.select([wake], [], [], 1)[0]:
                os.write(back, struct.pack("d", time.clock_gettime(time.CLOCK_REALTIME)))
                os.eventfd_read(wake)
        os._exit(0)
    return wake, answer


def percentiles(samples):
    samples = sorted(samples)
    at = lambda share: round(samples[min(len(samples) - 1, int(share * len(samples)))], 1)
    return {"p50_us": at(0.5), "p90_us": at(0.9), "p99_us": at(0.99), "max_us": at(1)}


def late(datagrams, wakes, limit):
    """Datagrams that took more than `limit` beyond the median wake, wakes that the machine stalled, and how many
    late ones the two allow where the router is late with one in a hundred.

    The 99th percentile itself would be one of the few greatest samples, which the stalls of a machine decide.
    Stalled is a wake that took half the limit beyond the median: the other half is what the router may need. A
    datagram meets two such risks, for it also runs on the sender's CPU and through a softirq. On top of what is
    expected comes three times its standard deviation, of these Poisson counts and of the estimate by `stalled`."""
    median = percentiles(wakes)["p50_us"]
    found = sum(took > median + limit for took in datagrams)
    stalled = sum(took > median + limit / 2 for took in wakes)
    own, others = 0.01 * len(datagrams), 2 * stalled
    return found, stalled, int(own + others + 3 * math.sqrt(own + others + 4 * stalled))


def first(from_ns, to_ns, address, cpu, count, silence, limit):
    # Forked before there are sockets, which it would keep open.
    wake, answer = sleeper(cpu)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    at_end = within(to_ns, lambda: receiver(family, address))
    sender = within(from_ns, lambda: socket.socket(family, socket.SOCK_DGRAM))
    sender.connect((address, PORT))
    # Not in step with any timer.
    be_silent = lambda: time.sleep(silence * random.uniform(1, 1.2))
    datagrams, wakes = [], []
    for turn in range(count + 1):
        be_silent()
        words = b"datagram %d" % turn
        before = time.clock_gettime(time.CLOCK_REALTIME)
        sender.send(words)
        datagrams.append(1e6 * (stamp(at_end, words) - before))
        be_silent()
        before = time.clock_gettime(time.CLOCK_REALTIME)
        os.eventfd_write(wake, 1)
        wakes.append(1e6 * (struct.unpack("d", os.read(answer, 8))[0] - before))
    # The very first ones may have had to resolve neighbours, and to start.
    datagrams, wakes = datagrams[1:], wakes[1:]
    found, stalled, allowed = late(datagrams, wakes, limit)
    print(json.dumps({"samples": count, **percentiles(datagrams), "late": found, "late_allowed": allowed,
                      "bare_wake": {**percentiles(wakes), "stalled": stalled}}))


def times(pid):
    """CPU seconds so far, by thread: {id: (name, seconds)}. From the scheduler, in nanoseconds."""
    found = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as name, open(f"/proc/{pid}/task/{task}/schedstat") as spent:
            found[task] = (name.read().strip(), int(spent.read().split()[0]) / 1e9)
    return found


def share(pid, seconds):
    before, start = times(pid), time.monotonic()
    time.sleep(seconds)
    after, passed = times(pid), time.monotonic() - start
    by_thread = {}
    for task, (name, spent) in after.items():
        spent -= before.get(task, (name, 0))[1]
        by_thread[name] = by_thread.get(name, 0) + 100 * spent / passed
    by_thread = {name: round(percent, 3) for name, percent in sorted(by_thread.items(), key=lambda i: -i[1])}
    lcore = max((percent for name, percent in by_thread.items() if name.startswith("lcore-")), default=None)
    print(json.dumps({"seconds": round(passed, 1), "lcore_percent": lcore,
                      "daemon_percent": round(sum(by_thread.values()), 3), "threads": by_thread}))


def main():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    what, *arguments = sys.argv[1:]
    if what == "first":
        from_ns, to_ns, address, cpu, count, silence, limit = arguments
        first(from_ns, to_ns, address, int(cpu), int(count), float(silence), float(limit))
    else:
        pid, seconds = arguments
        share(pid, float(seconds))


main()
