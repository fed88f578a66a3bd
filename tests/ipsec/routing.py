"""OSPF and BGP by FRR at both ends, over an XFRM interface of Linux's and an [[ipsec_interface]] of Ironlane's."""

import contextlib
import os

from ends import LONG_S, objects, wait_until
from plan import NET, OTHER, Failed, Row

FRR = "/usr/lib/frr"
IF_ID = 42
LAN = {"a": "p0", "b": "in0"}
NUMBER = {"a": 1, "b": 2}
TUNNEL = {"a": {4: "10.255.0.1", 6: "2001:db8:255::1"}, "b": {4: "10.255.0.2", 6: "2001:db8:255::2"}}
# Comes and goes behind Linux.
MORE = "10.5.0.0/24"


def ospf(end):
    """The tunnel and what is behind the end, in area 0. A machine that others use may be silent for long."""
    for daemon, name, ip in (("ospfd", "ospf", "ip ospf"), ("ospf6d", "ospf6", "ipv6 ospf6")):
        yield daemon, f"""router {name}
 {name} router-id 10.255.0.{NUMBER[end]}
exit
interface ipsec0
 {ip} area 0
 {ip} network point-to-point
 {ip} hello-interval 2
 {ip} dead-interval 120
exit
interface {LAN[end]}
 {ip} area 0
 {ip} passive
exit
"""


def bgp(end):
    us, peer = NUMBER[end], NUMBER[OTHER[end]]
    neighbours = TUNNEL[OTHER[end]]
    more = f"  network {MORE}\n" * (end == "b")
    yield "bgpd", f"""router bgp 6500{us}
 bgp router-id 10.255.0.{us}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 bgp network import-check
 timers bgp 10 120
 neighbor {neighbours[4]} remote-as 6500{peer}
 neighbor {neighbours[4]} timers connect 2
 neighbor {neighbours[4]} advertisement-interval 0
 neighbor {neighbours[6]} remote-as 6500{peer}
 neighbor {neighbours[6]} timers connect 2
 neighbor {neighbours[6]} advertisement-interval 0
 address-family ipv4 unicast
  neighbor {neighbours[4]} activate
  network {NET[end][4]}
{more} exit-address-family
 address-family ipv6 unicast
  neighbor {neighbours[6]} activate
  network {NET[end][6]}
 exit-address-family
exit
"""


CONFIGURATION = {"OSPF": ospf, "BGP": bgp}


def place(name, end):
    """Where an end's FRR has its sockets."""
    return f"{end.folder if name == 'a' else '/run'}/frr"


def start(run, name, protocol):
    """FRR at one end; [process]."""
    end = run.ends[name]
    # Where we write and it reads, and where its sockets are, which are those of a user of their own.
    written, read = (end.folder,) * 2 if name == "a" else (end.guest.share, "/host")
    at = place(name, end)
    # A socket of the last row's zebra would look as if there were one already. Who connects in vain tries again after ten
    # seconds, and a bgpd that has a neighbour before it has heard of interfaces refuses the IPv6 routes of that one for good.
    status, text = end.gateway(f"rm -rf {at} && mkdir -p {at} && chown frr:frr {at}")
    if status:
        raise Failed(text)
    processes = []
    zebra = "hostname frr\nno zebra nexthop kernel enable\n"
    for daemon, text in (("zebra", zebra), *CONFIGURATION[protocol](name)):
        with open(os.path.join(written, f"{daemon}.conf"), "w") as file:
            file.write(text)
        processes.append(end.daemon(daemon, f"{FRR}/{daemon} -f {read}/{daemon}.conf -i {at}/{daemon}.pid "
                                            f"-z {at}/zserv.api --vty_socket {at}"))
        if daemon == "zebra":
            wait_until(60, f"zebra at {name}", lambda: end.gateway(f"test -S {at}/zserv.api")[0] == 0)
    return processes


def known(run):
    """What FRR beside Ironlane knows of its neighbours, routes and nexthops. In the machine vtysh has no PAM."""
    ask = " ".join(f"-c 'show {what}'" for what in (
        "interface brief", "bgp summary", "bgp ipv4", "bgp ipv6", "bgp nexthop", "ip ospf neighbor", "ipv6 ospf6 neighbor",
        "ip route", "ipv6 route"))
    end = run.ends["a"]
    return end.gateway(f"vtysh --vty_socket {place('a', end)} {ask} 2>&1; tail -n 20 {place('a', end)}/../*.out")[1]


def by_tunnel(end, prefix):
    family = "-6" if ":" in prefix else "-4"
    return "dev ipsec0 " in end.gateway(f"ip {family} route show {prefix}")[1] + " "


def routed(protocol):
    """The context of a row: interfaces, FRR at both ends, all routes learnt; at its end all is undone."""
    @contextlib.contextmanager
    def act(run, row):
        linux = run.ends["b"]
        status, text = linux.gateway(
            f"ip link add ipsec0 type xfrm dev pf0 if_id {IF_ID} && ip addr add {TUNNEL['b'][4]}/30 dev ipsec0 && "
            f"ip addr add {TUNNEL['b'][6]}/64 dev ipsec0 nodad && ip link set ipsec0 mtu 1400 up")
        processes = []
        try:
            if status:
                raise Failed(text)
            for name in "ab":
                processes += start(run, name, protocol)
            try:
                for name in "ab":
                    for prefix in NET[OTHER[name]].values():
                        wait_until(120, f"{protocol} brings {prefix} to {name}", lambda: by_tunnel(run.ends[name], prefix))
            except Failed as why:
                raise Failed(f"{why}; {known(run)}") from why
            yield
        finally:
            # All of it: the next FRR is not to meet what this one has yet to take back.
            for process in reversed(processes):
                process.terminate()
                process.wait(LONG_S)
            linux.gateway("ip link del ipsec0")
            wait_until(60, "the routes go with FRR",
                       lambda: not any(by_tunnel(run.ends["a"], prefix) for prefix in NET["b"].values()))
    return act


def comes_and_goes(run, row):
    """A network more behind Linux is reached through the tunnel, and gone when it is gone."""
    linux, ironlane = run.ends["b"], run.ends["a"]
    address = MORE.replace(".0/", ".1/")
    for line, there in ((f"ip addr add {address} dev in0", True), (f"ip addr del {address} dev in0", False)):
        status, text = linux.gateway(line)
        if status:
            raise Failed(text)
        wait_until(120, f"{MORE} {'comes' if there else 'goes'}", lambda: by_tunnel(ironlane, MORE) == there)
        if there:
            answers = lambda: ironlane.command("ip", "netns", "exec", ironlane.host, "ping", "-n", "-c", "1", "-W", "5",
                                               MORE.replace(".0/24", ".1"))[0] == 0
            wait_until(60, "an answer from there", answers)
            verdicts = [o["verdict"] for o in objects(ironlane.show("route", "get", "10.5.0.1")) if "verdict" in o]
            if verdicts != ["ipsec"]:
                raise Failed(f"Ironlane routes it so: {verdicts}")
    return "a network came and went"


def over(protocol, *algorithm, **options):
    return Row("routing", *algorithm, if_id=IF_ID, note=f"{protocol} over an XFRM interface", within=routed(protocol),
               extra=comes_and_goes, **options)


ROWS = [
    over("OSPF", "aes128gcm16", "aes-gcm-16 128"),
    over("BGP", "aes256-sha256-esn", "aes-cbc/hmac-sha256-128 256", initiator="b"),
    over("BGP", "chacha20poly1305-esn", "chacha20-poly1305 256", outer=6, inner=6),
    over("OSPF", "aes256gcm16-esn", "aes-gcm-16 256", outer=6, inner=4, initiator="b"),
]
