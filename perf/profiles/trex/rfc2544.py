#!/usr/bin/env python3
"""Highest rate without loss between two ports of a running TRex server, by the binary search of RFC 2544.

    rfc2544.py --server HOST --scene rfc2544 [--seconds 60] [--loss 0] [--resolution 0.5] [--ports 0 1]

Frames go out of the first port and come back by the second. Each size of the scene in turn, a line of JSON
for each. Needs TRex's Python client in PYTHONPATH (trex/automation/trex_control_plane/interactive).
"""
import argparse
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def search(passes, high, resolution):
    """The highest rate in percent that passes. `passes(rate)` tries one."""
    if passes(high):
        return high
    low = 0.0
    while high - low > resolution:
        middle = (low + high) / 2
        if passes(middle):
            low = middle
        else:
            high = middle
    return low


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="127.0.0.1")
    parser.add_argument("--scene", default="rfc2544")
    parser.add_argument("--seconds", type=float, default=60, help="of a trial (RFC 2544 section 24: 60)")
    parser.add_argument("--loss", type=float, default=0, help="percent that a trial may lose")
    parser.add_argument("--resolution", type=float, default=0.5, help="of the answer, in percent of line rate")
    parser.add_argument("--ports", type=int, nargs=2, default=[0, 1])
    args = parser.parse_args()
    from trex.stl.api import STLClient, STLProfile

    with open(os.path.join(HERE, "..", "scenes.json")) as file:
        scene = next(s for s in json.load(file)["scenes"] if s["name"] == args.scene)
    client = STLClient(server=args.server)
    client.connect()
    try:
        out, back = args.ports
        client.reset(ports=args.ports)
        for size in scene.get("sizes") or [0]:
            rates = {}

            def passes(rate):
                client.remove_all_streams(ports=[out])
                tunables = {"scene": args.scene, "size": size, "latency": 0}
                client.add_streams(STLProfile.load_py(os.path.join(HERE, "scene.py"), **tunables).get_streams(), ports=[out])
                client.clear_stats()
                client.start(ports=[out], mult=f"{rate}%", duration=args.seconds)
                client.wait_on_traffic(ports=[out], rx_delay_ms=200)
                stats = client.get_stats()
                sent, received = stats[out]["opackets"], stats[back]["ipackets"]
                rates[rate] = received / args.seconds / 1e6
                print(f"{size + 4} bytes, {rate:.2f} %: {sent - received} of {sent} lost", file=sys.stderr)
                return sent > 0 and 100 * (sent - received) <= args.loss * sent

            found = search(passes, 100.0, args.resolution)
            print(json.dumps({"scene": args.scene, "frame": size + 4, "line_rate_pct": found, "mpps": rates.get(found, 0)}))
    finally:
        client.disconnect()


if __name__ == "__main__":
    main()
