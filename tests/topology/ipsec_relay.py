#!/usr/bin/env python3
"""Relays one Unix socket to another, so that a test can end the connection between two processes that it
leaves alone: ipsec_relay.py LISTEN CONNECT, until a signal."""

import selectors
import socket
import sys


def main() -> None:
    listen, connect = sys.argv[1:]
    server = socket.socket(socket.AF_UNIX)
    server.bind(listen)
    server.listen()
    ready = selectors.DefaultSelector()
    ready.register(server, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.fileobj is server:
                near, far = server.accept()[0], socket.socket(socket.AF_UNIX)
                try:
                    far.connect(connect)
                except OSError:
                    near.close()
                    continue
                ready.register(near, selectors.EVENT_READ, far)
                ready.register(far, selectors.EVENT_READ, near)
                continue
            one, other = key.fileobj, key.data
            try:
                data = one.recv(65536)
                other.sendall(data)
            except OSError:
                data = b""
            if not data:
                for end in (one, other):
                    ready.unregister(end)
                    end.close()
                break  # what else was ready may be one of these


if __name__ == "__main__":
    main()
