#!/usr/bin/env python3
"""Datagrams whose every byte is checked, both ways. Plain Python: it runs in the emulated machine, too.

  echo.py serve PORT                          answers until it is ended; at the port behind it takes orders to ask
  echo.py ask ADDRESS PORT SIZE...            one datagram of each size; fails if one is lost or wrong
  echo.py order ADDRESS PORT BACK PORT SIZE.. has the far end ask, at BACK
  echo.py flow ADDRESS PORT RATE SIZE         RATE a second, until the standard input ends

A question of n bytes is made of its size and number; the answer is n bytes made of the question's, so that
it can be right only if the question arrived as it was sent.
"""

import contextlib
import hashlib
import io
import os
import select
import socket
import sys
import time

# Only what is lost is waited for so long.
PATIENCE_S = 20.0
ORDER_PATIENCE_S = 500.0
# While so many are not answered a flow sends nothing for a while: who answers may be waiting for a CPU.
AHEAD = 64
IP_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_WANT = 10, 0, 1
SO_RCVBUFFORCE, BUFFER = 33, 4 << 20


def question(size, number):
    return hashlib.shake_256(f"{size} {number}".encode()).digest(size)


def answer(asked):
    return hashlib.shake_256(b"answer" + asked).digest(len(asked))


def df_as_told(to):
    """Whether IPv4 datagrams say "do not fragment" is asked of the namespace anew, though sockets live longer."""
    with open("/proc/sys/net/ipv4/ip_no_pmtu_disc") as file:
        to.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT if file.read(1) == "1" else IP_PMTUDISC_WANT)


def listening(port):
    both = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    both.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    both.bind(("::", port))
    return both


def serve(port):
    questions, orders = listening(port), listening(port + 1)
    while True:
        ready, _, _ = select.select([questions, orders], [], [])
        if questions in ready:
            asked, peer = questions.recvfrom(65536)
            df_as_told(questions)
            questions.sendto(answer(asked), peer)
        if orders in ready:
            words, peer = orders.recvfrom(65536)
            address, back, *sizes = words.decode().split()
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                bad = ask(address, int(back), [int(size) for size in sizes])
            # Not too short for the NIC that AH behind IPv6 confuses.
            orders.sendto(f"{bad} {said.getvalue()}".encode()[:1000].ljust(100), peer)


def order(address, port, words):
    """Has the far end ask; a process for each time would take long where that is."""
    to = connected(address, port + 1)
    send(to, " ".join(words).encode())
    said = received(to, ORDER_PATIENCE_S)
    if said is None:
        print("no answer to the order")
        return 1
    bad, _, text = said.decode().partition(" ")
    print(text)
    return int(bad)


def connected(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    to = socket.socket(family, socket.SOCK_DGRAM)
    to.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    to.connect((address, port))
    return to


def received(to, patience):
    """A datagram, or None; an ICMP error that was told of the socket counts as none."""
    if not select.select([to], [], [], max(0, patience))[0]:
        return None
    try:
        return to.recv(65536)
    except OSError as error:
        print(f"socket: {error}")
        return None


def send(to, data):
    try:
        to.send(data)
    except OSError as error:
        print(f"{len(data)} bytes: {error}")


def ask(address, port, sizes):
    to = connected(address, port)
    bad = 0
    for number, size in enumerate(sizes):
        asked = question(size, number)
        send(to, asked)
        end = time.monotonic() + PATIENCE_S
        while True:
            got = received(to, end - time.monotonic())
            if got == answer(asked):
                break
            if got is None and time.monotonic() >= end:
                print(f"{size} bytes: no answer")
                bad += 1
                break
            if got is not None:
                print(f"{size} bytes: an answer of {len(got)} that is wrong")
                bad += 1
                break
    print(f"{len(sizes) - bad} of {len(sizes)} right")
    return bad


def flow(address, port, rate, size):
    to = connected(address, port)
    waiting, sent, wrong, last = {}, 0, 0, time.monotonic()
    due, goes_on = last, True
    while goes_on or waiting and time.monotonic() - last < PATIENCE_S:
        now = time.monotonic()
        if goes_on and now >= due and (len(waiting) < AHEAD or now - last > PATIENCE_S):
            asked = question(size, sent)
            waiting[answer(asked)] = sent
            send(to, asked)
            sent += 1
            # What was not sent in time is not made up for.
            due = max(due + 1 / rate, now)
        inputs = [to, sys.stdin] if goes_on else [to]
        ready, _, _ = select.select(inputs, [], [], min(0.1, max(0.001, due - now)) if goes_on else 0.1)
        if to in ready and (got := received(to, 0)) is not None:
            last = time.monotonic()
            wrong += waiting.pop(got, None) is None
        if sys.stdin in ready:
            goes_on, last = bool(os.read(0, 1)), time.monotonic()
    lost = sorted(waiting.values())
    print(f"{sent} sent, {len(lost)} lost, {wrong} wrong{': ' + spans(lost) if lost else ''}")
    return len(lost) + wrong


def spans(numbers):
    """1-3 7 9-10"""
    found = []
    for n in numbers:
        if found and found[-1][1] == n - 1:
            found[-1][1] = n
        else:
            found.append([n, n])
    return " ".join(f"{first}-{last}" if first != last else str(first) for first, last in found)


def main(verb, *arguments):
    if verb == "serve":
        return serve(int(arguments[0]))
    address, port, *numbers = arguments
    if verb == "order":
        return order(address, int(port), numbers) and 1
    numbers = [int(n) for n in numbers]
    return (ask(address, int(port), numbers) if verb == "ask" else flow(address, int(port), *numbers)) and 1


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
