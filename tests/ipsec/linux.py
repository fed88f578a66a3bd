"""The end of the tunnel that is Linux, in the emulated machine, whoever does IKE there."""

import os
import re

from ends import LONG_S, Charon, wait_until


class Linux:
    """The emulated machine, driven by the rig's agent."""

    name = "b"

    def __init__(self, guest):
        self.guest = guest

    def gateway(self, line, timeout=LONG_S):
        return self.guest.sh(line, timeout=timeout, check=False)

    def daemon(self, name, command):
        """Starts a program that runs until `terminate()` of what is returned, or the end of the machine."""
        pid = self.gateway(f"{command} >/run/{name}.out 2>&1 & echo $!")[1].strip()
        return Daemon(self, pid)

    def look(self):
        """SAs as of Ironlane, from `ip xfrm state`; and counters of the kernel's errors that are not zero."""
        _, text = self.gateway("ip -s xfrm state; echo ===; cat /proc/net/xfrm_stat")
        states, _, counters = text.rpartition("===\n")
        counters = (line.split() for line in counters.splitlines())
        sas = [parse_state(block) for block in re.split(r"^(?=src )", states, flags=re.M) if "proto" in block]
        return sas, {name: int(value) for name, value in counters if int(value)}

    def sas(self):
        return self.look()[0]

    def errors(self):
        return self.look()[1]


class Daemon:
    def __init__(self, linux, pid):
        self.linux, self.pid = linux, pid

    def terminate(self):
        self.linux.gateway(f"kill {self.pid}")

    def wait(self, seconds):
        """Until it has ended; a shell that is no more leaves nobody to wait for it, so it is a zombie at most."""
        running = f"grep -q '^State:.[^Z]' /proc/{self.pid}/status"
        wait_until(seconds, f"process {self.pid} ends", lambda: self.linux.gateway(running)[0] != 0)


class Strongswan(Charon, Linux):
    """Linux with a charon, as guest.sh starts it."""

    conf_read = "/host/swanctl/row.conf"

    def __init__(self, guest):
        super().__init__(guest)
        self.conf_written = os.path.join(guest.share, "swanctl", "row.conf")

    def swanctl(self, line, timeout=LONG_S):
        return self.gateway("STRONGSWAN_CONF=/host/strongswan.conf SWANCTL_DIR=/host/swanctl "
                            f"swanctl {line} --uri unix:///run/vici", timeout)


def parse_state(block):
    """An SA of Linux. Its algorithm is as the kernel names it, without the key but with its length in bits."""
    field = lambda pattern: (re.search(pattern, block) or [None, "0"])[1]
    algorithms = []
    for kind, name, key, bits in re.findall(r"^\s(aead|enc|auth-trunc|auth) (\S+) ?(0x\w*)? ?(\d*)", block, re.M):
        key_bits = (len(key) - 2) * 4 if key else 0
        if kind != "auth":
            algorithms.append(f"{name} key {key_bits}" + f" icv {bits}" * bool(bits))
    return dict(spi=int(field(r"spi (0x\w+)"), 16), source=field(r"^src (\S+)"), destination=field(r" dst (\S+)"),
                mode=field(r"mode (\w+)"),
                packets=int(field(r"lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)")),
                esn=bool(re.search(r"^\s.*\bflag .*\besn\b", block, re.M)), algorithm=" + ".join(sorted(algorithms)),
                encap="encap" in block,
                errors={name: int(count) for name, count in re.findall(r"(replay-window|replay|failed) (\d+)",
                        block.rpartition("stats:")[2]) if int(count)})
