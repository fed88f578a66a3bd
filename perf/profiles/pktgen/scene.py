#!/usr/bin/env python3
"""Writes a script for pktgen-dpdk that sends a scene of perf/profiles/scenes.json.

    scene.py SCENE --mac ROUTER_MAC [--port 0] [--size BYTES] [--rate PERCENT] >scene.pkt
    pktgen -l 0-2 -a PCI -- -P -m '[1:2].0' -f scene.pkt

A scene of one stream uses pktgen's range mode, which counts destinations up. What range mode cannot say (several
streams, bad frames, tags, full tables) is played from a file, made by `ironlane-perf frames`; then this prints
the two commands instead. Sizes are without FCS, as in the scenes; pktgen's are with it.
"""
import argparse
import ipaddress
import json
import os
import sys

SCENES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenes.json")


def script(scene, mac, port=0, size=None, rate=100):
    """The lines; None if the scene has to be played from a file."""
    stream = scene["streams"][0]
    if len(scene["streams"]) > 1 or "/" not in stream["to"] or any(stream.get(what) for what in ("bad_checksum", "bad_length", "vlan")):
        return None
    net = ipaddress.ip_network(stream["to"])
    last = net[min(net.num_addresses, 2**16) - 1]
    length = (size or stream["size"]) + 4
    source = "192.0.2.10" if net.version == 4 else "2001:db8:0:1::10"
    lines = [f"stop {port}", f"set {port} rate {rate}", f"range {port} proto udp",
             f"range {port} type {'ipv4' if net.version == 4 else 'ipv6'}", f"range {port} dst mac start {mac}", f"range {port} dst mac inc 00:00:00:00:00:00"]
    for what, values in (("dst ip", (net[0], net[0], last, 1)), ("src ip", (source, source, source, 0))):
        start, least, most, step = values
        step = ipaddress.ip_address(step) if net.version == 4 else ipaddress.IPv6Address(int(step))
        lines += [f"range {port} {what} start {start}", f"range {port} {what} min {least}", f"range {port} {what} max {most}",
                  f"range {port} {what} inc {step}"]
    for what, value in (("src port", 4000), ("dst port", 5000)):
        lines += [f"range {port} {what} start {value}", f"range {port} {what} min {value}", f"range {port} {what} max {value}", f"range {port} {what} inc 0"]
    lines += [f"range {port} ttl start {stream.get('ttl', 64)}", f"range {port} ttl inc 0",
              f"range {port} size start {length}", f"range {port} size min {length}", f"range {port} size max {length}", f"range {port} size inc 0",
              f"enable {port} range", f"start {port}"]
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene")
    parser.add_argument("--mac", required=True, help="MAC address of the router's port")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--size", type=int)
    parser.add_argument("--rate", type=float, default=100, help="percent of line rate")
    args = parser.parse_args()
    with open(SCENES) as file:
        scene = next(s for s in json.load(file)["scenes"] if s["name"] == args.scene)
    lines = script(scene, args.mac, args.port, args.size, args.rate)
    if lines is None:
        print(f"{args.scene} is played from a file:\n"
              f"  ironlane-perf frames --scene {args.scene} --dst-mac {args.mac} --out {args.scene}.pcap\n"
              f"  pktgen -l 0-2 -a PCI -- -P -m '[1:2].{args.port}' -s {args.port}:{args.scene}.pcap", file=sys.stderr)
        sys.exit(1)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
