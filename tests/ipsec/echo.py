#!/usr/bin/env python3
"""Datagrams whose every byte is checked, both ways. Plain Python: it runs in the emulated machine, too.

  echo.py serve PORT                          answers until it is ended
  echo.py ask ADDRESS PORT SIZE...            one datagram of each size; fails if one is lost or wrong
  echo.py flow ADDRESS PORT SECONDS RATE SIZE as many as RATE a second, not waiting for answers

A question of n bytes is made of its size and number; the answer is n bytes made of the question's, so that
it can be right only if the question arrived as it was sent.
"""

import hashlib
import select
import socket
import sys
import time

PATIENCE_S = 3.0


def question(size, number):
    return hashlib.shake_256(f"{size} {number}".encode()).digest(size)


def answer(asked):
    return hashlib.shake_256(b"answer" + asked).digest(len(asked))


def serve(port):
    both = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    both.bind(("::", port))
    while True:
        asked, peer = both.recvfrom(65536)
        both.sendto(answer(asked), peer)


def connected(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    to = socket.socket(family, socket.SOCK_DGRAM)
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


def flow(address, port, seconds, rate, size):
    to = connected(address, port)
    began = time.monotonic()
    waiting, sent, wrong = {}, 0, 0
    while True:
        now = time.monotonic() - began
        if now < seconds and sent <= now * rate:
            asked = question(size, sent)
            waiting[answer(asked)] = sent
            send(to, asked)
            sent += 1
            continue
        if (now > seconds and not waiting) or now > seconds + PATIENCE_S:
            break
        got = received(to, min(0.05, max(0, sent / rate - now)) if now < seconds else 0.1)
        if got is not None and waiting.pop(got, None) is None:
            wrong += 1
    lost = sorted(waiting.values())
    print(f"{sent} sent, {len(lost)} lost, {wrong} wrong{', the first ' + str(lost[0]) if lost else ''}")
    return len(lost) + wrong


def main(verb, *arguments):
    if verb == "serve":
        return serve(int(arguments[0]))
    address, port, *numbers = arguments
    numbers = [int(n) for n in numbers]
    return (ask(address, int(port), numbers) if verb == "ask" else flow(address, int(port), *numbers)) and 1


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
