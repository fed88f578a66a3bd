"""What all parts use: paths, running programs, progress, and the figures of one reading."""
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
PERF = os.path.join(TARGET, "release", "ironlane-perf")
DAEMON = os.path.join(TARGET, "release", "ironlane")
WORK = os.path.join(TARGET, "bench")
SHARED = os.environ.get("IRONLANE_SHARED", os.path.join(ROOT, "..", "shared"))
# In the chroot of a later Debian, its name.
SUITE = os.environ.get("IRONLANE_SUITE", "")
MAIN, WORKER = os.environ.get("MAIN", "0"), os.environ.get("WORKER", "1")


class Failed(Exception):
    """A measurement that does not count, with the reason."""


def prefer():
    """In the child: before the rest of this machine, on any CPU."""
    os.sched_setaffinity(0, range(os.cpu_count()))
    try:
        os.nice(-10)
    except OSError:
        pass


def run(*command, timeout=600):
    """Standard output of a program; Failed with its words if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                              preexec_fn=prefer, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(command[:4])} took longer than {timeout} s")
    except OSError as error:
        raise Failed(str(error))
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}")
        raise Failed(words.splitlines()[-1][-300:])
    return done.stdout


def perf(*arguments, **options):
    return run(PERF, *map(str, arguments), **options)


class Progress:
    """Says on standard error what runs and about how long it will take yet."""

    def __init__(self, steps):
        self.steps, self.done, self.begin = steps, 0, time.monotonic()
        self.tty = sys.stderr.isatty()

    def now(self, what):
        spent = time.monotonic() - self.begin
        left = f", about {spent / self.done * (self.steps - self.done):.0f} s left" if self.done else ""
        if self.tty:
            bar = "#" * (20 * self.done // max(1, self.steps))
            print(f"\r\033[K[{bar:<20}] {what}{left}", end="", file=sys.stderr, flush=True)

    def step(self, what):
        self.done += 1
        start = "\r\033[K" if self.tty else ""
        print(f"{start}[{self.done:3}/{self.steps}] {what}", file=sys.stderr, flush=True)


def complete(row):
    """Adds to a row with `mpps`: the net rate, and cycles a packet."""
    taken = (row.get("steal_pct", 0) + row.get("wait_pct", 0)) / 100
    if taken > 0.9:
        raise Failed(f"the core was somebody else's for {100 * taken:.0f} % of the time: no figure")
    row["net_mpps"] = row["mpps"] / (1 - taken)
    row["cycles"] = row.get("tsc_mhz", tsc_mhz()) / row["net_mpps"]
    return row


def tsc_mhz(known=[]):
    """Frequency of the time stamp counter, as DPDK sees it (the mean of the CPUs' clock if it has not
    been asked yet)."""
    if not known:
        with open("/proc/cpuinfo") as file:
            clocks = [float(line.split(":")[1]) for line in file if line.startswith("cpu MHz")]
        known.append(statistics.mean(clocks) if clocks else 0)
    return known[0]


def learn_tsc(mhz):
    known = tsc_mhz.__defaults__[0]
    known[:] = [mhz]


def spread(values):
    """Interquartile range in percent of the median."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return 100 * (high - low) / statistics.median(values)


def order(contenders, number):
    """As given; turned round in every second round, so that a drift favours nobody."""
    return contenders if number % 2 == 0 else contenders[::-1]


def table(family, quick=False):
    """File of the full table of the family: the real one if it is at hand, else made up."""
    os.makedirs(WORK, exist_ok=True)
    real = os.path.join(SHARED, "data", "rib", f"v{family}-20260511.txt.xz")
    kind = "real" if os.path.exists(real) else "made-up"
    path = os.path.join(WORK, f"table{family}-{kind}.txt")
    if not os.path.exists(path):
        more = ["--from", real, "--routes", 10_000_000] if kind == "real" else [
            "--routes", 1_000_000 if family == 4 else 200_000]
        perf("table", "--out", path + ".part", *more, *(["--v6"] if family == 6 else []))
        os.replace(path + ".part", path)
    return path


def table_arguments(scene):
    """For scenes that need the full tables."""
    text = json.dumps(scene)
    return [word for family in (4, 6) if f"table{family}" in text
            for word in (f"--table{family}", table(family))]


def scenes():
    with open(os.path.join(HERE, "..", "profiles", "scenes.json")) as file:
        return {scene["name"]: scene for scene in json.load(file)["scenes"]}


def pcaps(scene):
    """Files of the frames of a scene, one for each port, made anew each time: they must be those of this build."""
    paths = []
    for port in range(scene.get("ports", 1)):
        paths.append(os.path.join(WORK, f"{scene['name']}-{port}.pcap"))
        perf("frames", "--scene", scene["name"], "--out", paths[-1], "--port", port, *table_arguments(scene))
    return paths


def machine():
    """What the figures were taken on. No names of hosts or people."""
    facts, flags = {}, set()
    with open("/proc/cpuinfo") as file:
        for line in file:
            key, _, value = line.partition(":")
            facts.setdefault(key.strip(), value.strip())
    flags = set(facts.get("flags", "").split())
    vectors = [name for name in ("avx2", "avx512f", "avx512_vbmi") if name in flags]
    with open("/proc/meminfo") as file:
        memory = dict(line.split(":") for line in file)
    return {
        "cpu": facts.get("model name", platform.machine()),
        "family": facts.get("cpu family", ""), "model": facts.get("model", ""),
        "cpus": os.cpu_count(), "vectors": vectors,
        "virtual": "hypervisor" in flags,
        "memory_gib": round(int(memory["MemTotal"].split()[0]) / 2**20),
        "hugepages": int(memory.get("HugePages_Total", "0").split()[0]),
        "kernel": platform.release(), "load": os.getloadavg()[0],
    }


def results_folder(facts):
    slug = re.sub(r"[^a-z0-9]+", "-", facts["cpu"].lower()).strip("-")
    vectors = "avx512" if "avx512f" in facts["vectors"] else "avx2" if facts["vectors"] else "plain"
    day = datetime.date.today().isoformat()
    suite = f"-{SUITE}" if SUITE else ""
    name = f"{day}-{slug}-{facts['family']}-{facts['model']}-{vectors}{suite}"
    return os.path.join(ROOT, "perf", "results", name)


def dpdk_version(*inside):
    """Of this system's DPDK; of another's, if `inside` is how a command is run there."""
    try:
        done = subprocess.run([*inside, "pkg-config", "--modversion", "libdpdk"], capture_output=True, text=True)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
