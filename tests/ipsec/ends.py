"""The end of the tunnel that is here: Ironlane with a charon. What both ends have in common, too."""

import json
import os
import re
import subprocess
import sys
import time

import swan
from clock import Deadline, watch
from plan import Failed

CHARON = "/usr/lib/ipsec/charon"
# Of a command. It ends by itself in less; the machine may be busy.
LONG_S = 600


def spawn(owned, *command, **options):
    """A process that ends with the run, whatever happens: tests/topology/lib.sh reads the file `owned`."""
    options.setdefault("stdin", subprocess.DEVNULL)
    process = subprocess.Popen(command, **options)
    own(owned, process.pid)
    watch(process.pid)
    return process


def own(owned, pid):
    """This process ends with the run, too."""
    with open(f"/proc/{pid}/stat") as stat, open(owned, "a") as file:
        born = stat.read().rpartition(")")[2].split()[19]
        file.write(f"pid {pid} {born}\n")


def wait_until(seconds, what, true):
    """Waits for `true()`; Failed if that takes longer."""
    deadline = Deadline(seconds)
    while not (result := true()):
        if deadline.passed():
            raise Failed(f"waited {seconds} s in vain: {what}")
        time.sleep(0.1)
    return result


class Charon:
    """IKE by strongSwan. An end says how its swanctl is run, and where swanctl.conf is written and read."""

    def configure(self, row):
        with open(self.conf_written, "w") as file:
            file.write(swan.connection(row, self.name))
        return self.swanctl(f"--load-all --clear --noprompt --file {self.conf_read}")

    def initiate(self):
        return self.swanctl("--initiate --child c --timeout 90", timeout=LONG_S)

    def terminate(self):
        return self.swanctl("--terminate --ike c --force --timeout 10", timeout=LONG_S)

    def rekey(self, what):
        """`what` is child or ike."""
        return self.swanctl(f"--rekey --{what} c", timeout=LONG_S)

    def version(self):
        return self.swanctl("--version")[1].split()[-1]


class Ironlane(Charon):
    """Ironlane runs already; this starts its charon, with the plugin."""

    name = "a"

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
        self.conf_written = self.conf_read = os.path.join(self.folder, "swanctl", "row.conf")
        with open(self.conf, "w") as file:
            file.write(swan.daemon(self.folder, self.vici, "kernel-ironlane kernel-netlink", settings))
        self.environment = dict(os.environ, STRONGSWAN_CONF=self.conf, SWANCTL_DIR=f"{self.folder}/swanctl")
        in_mounts = f"mount -t tmpfs none /run && mount --bind {plugins} /usr/lib/ipsec/plugins && exec {CHARON}"
        with open(os.path.join(self.folder, "charon.out"), "w") as out:
            spawn(self.owned, "ip", "netns", "exec", namespace, "unshare", "-m", "sh", "-c", in_mounts,
                  env=self.environment, stdout=out, stderr=out)
        wait_until(60, "charon beside Ironlane", lambda: os.path.exists(self.vici))
        for where in namespace, host:
            spawn(self.owned, "ip", "netns", "exec", where, sys.executable, self.program("echo.py"), "serve", "7")

    @staticmethod
    def program(name):
        return os.path.join(os.path.dirname(os.path.abspath(__file__)), name)

    def command(self, *command, timeout=LONG_S):
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout + done.stderr

    def swanctl(self, line, timeout=LONG_S):
        return self.command("swanctl", *line.split(), "--uri", f"unix://{self.vici}", timeout=timeout)

    def talker(self, line, transport):
        """The command of echo.py at the host, or at the gateway itself."""
        where = self.namespace if transport else self.host
        return ["ip", "netns", "exec", where, sys.executable, self.program("echo.py"), *line.split()]

    def talk(self, line, transport, timeout=LONG_S):
        return self.command(*self.talker(line, transport), timeout=timeout)

    def daemon(self, name, command):
        """Starts a program beside Ironlane that runs until `process.terminate()`, or the end of the run."""
        with open(os.path.join(self.folder, f"{name}.out"), "w") as out:
            return spawn(self.owned, "ip", "netns", "exec", self.namespace, *command.split(), stdout=out, stderr=out)

    def gateway(self, line, timeout=LONG_S):
        return self.command("ip", "netns", "exec", self.namespace, "sh", "-c", line, timeout=timeout)

    def refusals(self):
        """What Ironlane's log says that it refused to charon, of algorithms and modes."""
        with open(os.path.join(os.path.dirname(self.folder), "ironlane.log")) as log:
            return re.findall(r"charon: refused: (\w+ algorithm \d+|the SA is refused: .*)", log.read())

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
