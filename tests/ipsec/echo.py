#!/usr/bin/env python3
"""Datagrams whose every byte is checked, both ways. Plain Python: it runs in the emulated machine, too.

  echo.py serve PORT                          answers until it is ended; at the port behind it takes orders to ask
  echo.py ask ADDRESS PORT SIZE...            one datagram of each size; fails if one is lost or wrong
  echo.py order ADDRESS PORT BACK PORT SIZE.. has the far end ask, at BACK
  echo.py flow ADDRESS PORT SECONDS RATE SIZE as many as RATE a second, not waiting for answers

A question of n bytes is made of its size and number; the answer is n bytes made of the question's, so that
it can be right only if the question arrived as it was sent.
"""

import contextlib
import hashlib
import io
import select
import socket
import sys
import time

PATIENCE_S = 3.0
ORDER_PATIENCE_S = 90.0


def question(size, number):
    return hashlib.shake_256(f"{size} {number}".encode()).digest(size)


def answer(asked):
    return hashlib.shake_256(b"answer" + asked).digest(len(asked))


def listening(port):
    both = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    both.bind(("::", port))
    return both


def serve(port):
    questions, orders = listening(port), listening(port + 1)
    while True:
        ready, _, _ = select.select([questions, orders], [], [])
        if questions in ready:
            asked, peer = questions.recvfrom(65536)
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
    if verb == "order":
        return order(address, int(port), numbers) and 1
    numbers = [int(n) for n in numbers]
    return (ask(address, int(port), numbers) if verb == "ask" else flow(address, int(port), *numbers)) and 1


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
