#!/usr/bin/env python3
"""The profiles for TRex and pktgen against the scenes, without TRex and pktgen: stand-ins for TRex's classes
note what the profile asks for. (That the scenes' frames pass the rig is perf/tests/scenes.rs.)"""
import importlib.util
import ipaddress
import json
import os
import sys
import types

HERE = os.path.dirname(os.path.abspath(__file__))


class Layer:
    """A packet of scapy's, as far as the profile builds one: lengths and fields."""

    LENGTHS = {"Ether": 14, "Dot1Q": 4, "IP": 20, "IPv6": 40, "UDP": 8}

    def __init__(self, length, fields):
        self.length, self.fields = length, fields

    def __truediv__(self, other):
        if isinstance(other, bytes):
            return Layer(self.length + len(other), self.fields)
        return Layer(self.length + other.length, {**self.fields, **other.fields})

    def __len__(self):
        return self.length


class Noted:
    def __init__(self, *values, **fields):
        self.values, self.fields = values, fields


def stand_in():
    module = types.ModuleType("trex_stl_lib.api")
    for name, length in Layer.LENGTHS.items():
        setattr(module, name, lambda name=name, length=length, **fields: Layer(length, {(name, k): v for k, v in fields.items()}))
    for name in ("STLFlowLatencyStats", "STLPktBuilder", "STLProfile", "STLScVmRaw", "STLStream", "STLTXCont", "STLVmFixIpv4",
                 "STLVmFlowVar", "STLVmWrFlowVar"):
        setattr(module, name, type(name, (Noted,), {}))
    sys.modules["trex_stl_lib"], sys.modules["trex_stl_lib.api"] = types.ModuleType("trex_stl_lib"), module


def load(path):
    spec = importlib.util.spec_from_file_location(path.replace("/", "_"), os.path.join(HERE, path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_trex(profile, scene, size):
    streams = profile.register().get_streams(tunables=["--scene", scene["name"], "--size", str(size or 0), "--latency", "0"])
    assert len(streams) == len(scene["streams"]), scene["name"]
    for stream, wanted in zip(streams, scene["streams"]):
        builder = stream.fields["packet"].fields
        packet, net = builder["pkt"], ipaddress.ip_network(wanted["to"])
        assert len(packet) == (size or wanted["size"]), (scene["name"], len(packet))
        assert stream.fields["mode"].fields["pps"] == wanted.get("weight", 1)
        family = "IP" if net.version == 4 else "IPv6"
        assert packet.fields[family, "dst"] == str(net[0])
        assert packet.fields[family, "ttl" if net.version == 4 else "hlim"] == wanted.get("ttl", 64)
        assert ((family, "chksum") in packet.fields) == wanted.get("bad_checksum", False)
        assert ((family, "plen") in packet.fields) == wanted.get("bad_length", False)
        assert packet.fields.get(("Dot1Q", "vlan")) == wanted.get("vlan")
        variable = builder["vm"].values[0][0].fields
        if net.version == 4:
            assert (variable["min_value"], variable["max_value"]) == (int(net[0]), int(net[-1]))


def check_pktgen(profile, scene, size):
    lines = profile.script(scene, "02:00:00:00:00:01", size=size)
    first = scene["streams"][0]
    simple = len(scene["streams"]) == 1 and "/" in first["to"] and not any(key in first for key in ("bad_checksum", "bad_length", "vlan"))
    assert (lines is not None) == simple, scene["name"]
    if lines:
        net = ipaddress.ip_network(scene["streams"][0]["to"])
        assert f"range 0 dst ip start {net[0]}" in lines and f"range 0 size start {(size or scene['streams'][0]['size']) + 4}" in lines


def check_search(profile):
    for true_rate in (0.7, 33.3, 99.9, 100.0):
        found = profile.search(lambda rate: rate <= true_rate, 100.0, 0.1)
        assert true_rate - 0.1 <= found <= true_rate, (true_rate, found)


def main():
    stand_in()
    trex, pktgen = load("trex/scene.py"), load("pktgen/scene.py")
    check_search(load("trex/rfc2544.py"))
    with open(os.path.join(HERE, "scenes.json")) as file:
        scenes = json.load(file)["scenes"]
    for scene in scenes:
        for size in scene.get("sizes", [None]):
            check_pktgen(pktgen, scene, size)
            if all("/" in stream["to"] for stream in scene["streams"]):
                check_trex(trex, scene, size)
    print(f"{len(scenes)} scenes, the profiles agree")


main()
