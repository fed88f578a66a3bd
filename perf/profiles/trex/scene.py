"""TRex STL profile: a scene of perf/profiles/scenes.json.

    start -f perf/profiles/trex/scene.py -m 10mpps -p 0 -t --scene ipv4
    start -f perf/profiles/trex/scene.py -m 100% -p 0 -t --scene rfc2544 --size 124
    start -f perf/profiles/trex/scene.py -m 5mpps -p 0 -t --scene full4 --pcap /tmp/full4.pcap

Destinations are random addresses of the stream's prefix. Scenes over a full table play the file that
`ironlane-perf frames --scene full4 --table4 FILE --out /tmp/full4.pcap` made. A stream of its own, 1,000
packets a second, measures latency (--latency 0 leaves it out). `size` is without FCS, as in the scenes.
"""
import argparse
import ipaddress
import json
import os

from trex_stl_lib.api import (Dot1Q, Ether, IP, IPv6, STLFlowLatencyStats, STLPktBuilder, STLProfile, STLScVmRaw, STLStream, STLTXCont,
                              STLVmFixIpv4, STLVmFlowVar, STLVmWrFlowVar, UDP)

SCENES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenes.json")


class Scene:
    def streams_of(self, scene, size, latency):
        streams = []
        for stream in scene["streams"]:
            packet = self.packet(stream, size or stream["size"])
            streams.append(STLStream(packet=packet, mode=STLTXCont(pps=stream.get("weight", 1))))
        if latency:
            packet = self.packet(scene["streams"][0], max(size or 0, 86))
            streams.append(STLStream(packet=packet, mode=STLTXCont(pps=1000), flow_stats=STLFlowLatencyStats(pg_id=7)))
        return streams

    def packet(self, stream, size):
        net = ipaddress.ip_network(stream["to"])
        first, last = int(net[0]), int(net[-1])
        ttl = stream.get("ttl", 64)
        ether = Ether() / Dot1Q(vlan=stream["vlan"]) if "vlan" in stream else Ether()
        if net.version == 4:
            more = {"chksum": 0xBAD} if stream.get("bad_checksum") else {}
            base = ether / IP(src="192.0.2.10", dst=str(net[0]), ttl=ttl, **more) / UDP(sport=4000, dport=5000)
            vary = [STLVmFlowVar("to", min_value=first, max_value=last, size=4, op="random"),
                    STLVmWrFlowVar("to", pkt_offset="IP.dst")]
            if not more:
                vary.append(STLVmFixIpv4(offset="IP"))
        else:
            more = {"plen": size - 54 + 1} if stream.get("bad_length") else {}
            base = ether / IPv6(src="2001:db8:0:1::10", dst=str(net[0]), hlim=ttl, **more) / UDP(sport=4000, dport=5000)
            # The last eight bytes of the address; the scenes' prefixes end before them or in them.
            host = min(64, 128 - net.prefixlen)
            vary = [STLVmFlowVar("to", min_value=0, max_value=2**host - 1, size=8, op="random"),
                    STLVmWrFlowVar("to", pkt_offset="IPv6.dst", offset_fixup=8)]
        fill = max(0, size - len(base))
        return STLPktBuilder(pkt=base / (b"\0" * fill), vm=STLScVmRaw(vary))

    def get_streams(self, direction=0, tunables=(), **kwargs):
        parser = argparse.ArgumentParser()
        parser.add_argument("--scene", default="ipv4")
        parser.add_argument("--size", type=int, default=0)
        parser.add_argument("--pcap", default="")
        parser.add_argument("--latency", type=int, default=1)
        args = parser.parse_args(list(tunables))
        for name in vars(args):  # as the Python client gives them
            setattr(args, name, type(getattr(args, name))(kwargs.get(name, getattr(args, name))))
        with open(SCENES) as file:
            scene = next(s for s in json.load(file)["scenes"] if s["name"] == args.scene)
        if any("/" not in stream["to"] for stream in scene["streams"]):
            if not args.pcap:
                raise SystemExit(f"{args.scene} takes its destinations from a table: give --pcap FILE (ironlane-perf frames)")
            return STLProfile.load_pcap(args.pcap, ipg_usec=1.0, loop_count=0).get_streams()
        return self.streams_of(scene, args.size, args.latency)


def register():
    return Scene()
