"""The two ends of the tunnel: Ironlane with a charon here, Linux with a charon in the emulated machine."""

import json
import os
import re
import subprocess
import sys
import time

import swan
from plan import Failed

CHARON = "/usr/lib/ipsec/charon"


def spawn(owned, *command, **options):
    """A process that ends with the run, whatever happens: tests/topology/lib.sh reads the file `owned`."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    with open(f"/proc/{process.pid}/stat") as stat, open(owned, "a") as file:
        born = stat.read().rpartition(")")[2].split()[19]
        file.write(f"pid {process.pid} {born}\n")
    return process


def wait_until(seconds, what, true):
    """Waits for `true()`; Failed if that takes longer."""
    end = time.monotonic() + seconds
    while not (result := true()):
        if time.monotonic() > end:
            raise Failed(f"waited {seconds} s in vain: {what}")
        time.sleep(0.1)
    return result


class Ironlane:
    """Ironlane runs already; this starts its charon, with the plugin."""

    def __init__(self, run_dir, namespace, host, ironlane, plugin):
        self.namespace, self.host, self.ironlane = namespace, host, ironlane
        self.folder = os.path.join(run_dir, "a")
        self.owned = os.path.join(run_dir, "owned")
        plugins = os.path.join(self.folder, "plugins")
        os.makedirs(plugins)
        os.makedirs(os.path.join(self.folder, "swanctl"), exist_ok=True)
        subprocess.run(f"cp /usr/lib/ipsec/plugins/*.so {plugin} {plugins}", shell=True, check=True)
        settings = f"kernel-ironlane {{\n            socket = {run_dir}/a.ipsec\n        }}"
        self.conf = os.path.join(self.folder, "strongswan.conf")
        self.vici = os.path.join(self.folder, "vici")
        with open(self.conf, "w") as file:
            file.write(swan.daemon(self.folder, self.vici, "kernel-ironlane kernel-netlink", settings))
        self.environment = dict(os.environ, STRONGSWAN_CONF=self.conf, SWANCTL_DIR=f"{self.folder}/swanctl")
        in_mounts = f"mount -t tmpfs none /run && mount --bind {plugins} /usr/lib/ipsec/plugins && exec {CHARON}"
        with open(os.path.join(self.folder, "charon.out"), "w") as out:
            spawn(self.owned, "ip", "netns", "exec", namespace, "unshare", "-m", "sh", "-c", in_mounts,
                  env=self.environment, stdout=out, stderr=out)
        wait_until(15, "charon beside Ironlane", lambda: os.path.exists(self.vici))
        for where in namespace, host:
            spawn(self.owned, "ip", "netns", "exec", where, sys.executable, self.program("echo.py"), "serve", "7")

    @staticmethod
    def program(name):
        return os.path.join(os.path.dirname(os.path.abspath(__file__)), name)

    def command(self, *command, timeout=60):
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout + done.stderr

    def swanctl(self, line, timeout=60):
        return self.command("swanctl", *line.split(), "--uri", f"unix://{self.vici}", timeout=timeout)

    def configure(self, text):
        with open(path := os.path.join(self.folder, "swanctl", "row.conf"), "w") as file:
            file.write(text)
        return self.swanctl(f"--load-all --clear --noprompt --file {path}")

    def talk(self, line, transport, timeout=60):
        """echo.py of the host, or of the gateway itself."""
        where = self.namespace if transport else self.host
        return self.command("ip", "netns", "exec", where, sys.executable, self.program("echo.py"), *line.split(),
                            timeout=timeout)

    def gateway(self, line, timeout=60):
        return self.command("ip", "netns", "exec", self.namespace, "sh", "-c", line, timeout=timeout)

    def refusals(self):
        """What Ironlane's log says that it refused to charon, of algorithms."""
        with open(os.path.join(os.path.dirname(self.folder), "ironlane.log")) as log:
            return re.findall(r"charon: refused: (\w+ algorithm \d+)", log.read())

    def show(self, *words):
        status, text = self.command(self.ironlane, *words, "--json")
        if status:
            raise Failed(f"ironlane {' '.join(words)}: {text}")
        return json.loads(text)

    def sas(self):
        """[SA]: SPI, direction, algorithm, mode, packets, and drops with their reasons."""
        return [dict(spi=int(sa["spi"], 16), out=sa["direction"] == "out", packets=int(sa.get("packets", 0)),
                     mode=sa["mode"], esn=sa.get("extended_sequence_numbers", False), window=sa.get("replay_window", 0),
                     sequence=int(sa.get("sequence", 0)), algorithm=f'{sa["algorithm"]} {sa.get("key_bits", 0)}',
                     errors={d["reason"]: int(d["packets"]) for d in sa.get("drops", [])})
                for sa in objects(self.show("ipsec", "sa", "show")) if "spi" in sa]


def packets_of(sas, spis):
    """Packets of those SAs that are among `spis`."""
    return {sa["spi"]: sa["packets"] for sa in sas if sa["spi"] in spis}


def objects(value):
    """All objects of an answer in JSON, however deep."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from objects(inner)


class Linux:
    """The emulated machine, driven by the rig's agent."""

    def __init__(self, guest):
        self.guest = guest

    def gateway(self, line, timeout=60):
        return self.guest.sh(line, timeout=timeout, check=False)

    def swanctl(self, line, timeout=60):
        return self.gateway("STRONGSWAN_CONF=/host/strongswan.conf SWANCTL_DIR=/host/swanctl "
                            f"swanctl {line} --uri unix:///run/vici", timeout)

    def configure(self, text):
        with open(os.path.join(self.guest.share, "swanctl", "row.conf"), "w") as file:
            file.write(text)
        return self.swanctl("--load-all --clear --noprompt --file /host/swanctl/row.conf")

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
                esn="flag" in block and "esn" in block, algorithm=" + ".join(sorted(algorithms)),
                encap="encap" in block,
                errors={name: int(count) for name, count in re.findall(r"(replay-window|replay|failed) (\d+)",
                        block.rpartition("stats:")[2]) if int(count)})
