#!/usr/bin/env python3
"""Instructions that the hot loops take, counted by callgrind, against those in perf/cost.json. They need no
quiet machine: a rise is a change of the code (or of the compiler), never of the weather.

usage: cost.py [--bless]      (--bless writes perf/cost.json anew; say in the commit why it rose)

valgrind has AVX2 and no AVX-512, so what is counted are the paths that the program chooses without AVX-512.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
KEPT = os.path.join(HERE, "cost.json")
ROUNDS = 60
# Percent by which a figure may rise. Another compiler lays code out in its own way.
BOUND, BOUND_OTHER_COMPILER = 3, 15
UNITS = {"cost_lookup4": "a lookup", "cost_lookup6": "a lookup", "cost_insert": "a route"}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(command[:3])}: {done.stderr.strip()[-600:]}")
    return done.stdout


def counted():
    """{function: instructions for each of what it handled}."""
    perf = os.path.join(TARGET, "release", "ironlane-perf")
    with tempfile.TemporaryDirectory() as work:
        out = os.path.join(work, "callgrind.out")
        handled = run("valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}",
                      "--toggle-collect=*cost::cost_*", perf, "cost", "--rounds", str(ROUNDS))
        listed = run("callgrind_annotate", "--inclusive=yes", "--threshold=100", out)
    counts = {}
    for match in re.finditer(r"^ *([\d,]+) .*?:ironlane_perf::cost::(cost_\w+)(?:::h[0-9a-f]+)?(?: \[|$)", listed, re.M):
        number, name = int(match[1].replace(",", "")), match[2]
        counts[name] = max(number, counts.get(name, 0))
    figures = {}
    for line in handled.splitlines():
        name, _, times = line.partition(" ")
        if not name.startswith("cost_"):
            continue
        if name not in counts:
            sys.exit(f"error: callgrind saw no {name}")
        figures[name] = round(counts[name] / int(times), 2)
    return figures


def main():
    if shutil.which("valgrind") is None:
        print("SKIP cost: no valgrind; run scripts/setup.sh")
        return 0
    run("cargo", "build", "--release", "--quiet", "--locked", "--manifest-path", os.path.join(HERE, "Cargo.toml"))
    compiler = run("rustc", "--version").strip()
    dpdk = run("pkg-config", "--modversion", "libdpdk").strip()
    figures = counted()
    kept = {}
    if os.path.exists(KEPT):
        with open(KEPT) as file:
            kept = json.load(file)
    if "--bless" in sys.argv[1:]:
        with open(KEPT, "w") as file:
            json.dump({"what": "instructions by callgrind for each packet, lookup or route; see perf/cost.py", "bound_pct": BOUND,
                       "compiler": compiler, "dpdk": dpdk, "figures": figures}, file, indent=1)
            file.write("\n")
    same = kept.get("compiler") == compiler
    bound = kept.get("bound_pct", BOUND) if same else BOUND_OTHER_COMPILER
    if kept and not same:
        print(f"other compiler: {compiler}, not {kept['compiler']}; a rise of {bound} % is let pass")
    worse = []
    for name, figure in figures.items():
        before = kept.get("figures", {}).get(name)
        change = f"{100 * (figure / before - 1):+6.1f} %" if before else "     new"
        print(f"{name:<14} {figure:8.2f} instructions {UNITS.get(name, 'a packet'):<9} {change}")
        if before is None or figure > before * (1 + bound / 100):
            worse.append(name)
    if worse and "--bless" not in sys.argv[1:]:
        print(f"risen by more than {bound} %, or new: {', '.join(worse)}. If it must be: perf/cost.py --bless")
        return 1
    return 0


sys.exit(main())
