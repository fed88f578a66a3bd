#!/usr/bin/env python3
"""Checks that every dependency may be used in an Apache-2.0 program.

usage: licences.py [--list]     --list prints all of them

A licence expression passes if its OR and AND lead to allowed licences. Folders of plugins/ link GPL
programs and are no part of this workspace: each must have its own LICENSE, name it in each source file,
and be used by no crate.
"""

import json
import pathlib
import re
import subprocess
import sys

# Permissive licences; GPL and friends would bind the whole program.
ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}
# "A WITH exception" counts as A only for exceptions that add permissions.
EXCEPTIONS = {"LLVM-exception"}


def allowed(expression):
    """Evaluates an SPDX expression; the old form "MIT/Apache-2.0" means OR."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def either():
        good = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            good = both() or good
        return good

    def both():
        good = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            good = one() and good
        return good

    def one():
        token = tokens.pop(0)
        if token == "(":
            good = either()
            tokens.pop(0)
            return good
        good = token in ALLOWED
        if tokens and tokens[0] == "WITH":
            tokens.pop(0)
            good = tokens.pop(0) in EXCEPTIONS and good
        return good

    return either()


def plugins(root, members):
    """What is wrong with the folders of plugins/."""
    for folder in sorted(p for p in (root / "plugins").iterdir() if p.is_dir()):
        licence = folder / "LICENSE"
        if not licence.is_file() or "GNU GENERAL PUBLIC LICENSE" not in licence.read_text():
            yield f"{folder}: its LICENSE should be the GNU General Public License"
        for source in sorted(folder.rglob("*.[ch]")):
            if "GNU\n * General Public License" not in source.read_text()[:800]:
                yield f"{source}: it does not name its licence at the top"
    for package in members:
        at = pathlib.Path(package["manifest_path"]).parent
        if root / "plugins" in [at, *at.parents]:
            yield f"{at}: a folder of plugins/ must not be a crate of the workspace"
        for source in at.rglob("*.rs"):
            if "target" not in source.parts and re.search(r"include[^\n]*plugins/\w+/src", source.read_text()):
                yield f"{source}: it includes what is in plugins/"


def main():
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    ours = set(metadata["workspace_members"])
    packages = [p for p in metadata["packages"] if p["id"] not in ours]
    refused = []
    for package in sorted(packages, key=lambda p: p["name"]):
        licence = package["license"]
        if "--list" in sys.argv:
            print(f"{package['name']} {package['version']}: {licence}")
        if not licence or not allowed(licence):
            refused.append(f"{package['name']} {package['version']}: {licence or 'no licence given'}")
    for package in metadata["packages"]:
        if package["id"] in ours and package["license"] != "Apache-2.0":
            refused.append(f"{package['name']} is ours and should be Apache-2.0")
    members = [p for p in metadata["packages"] if p["id"] in ours]
    refused.extend(plugins(pathlib.Path(metadata["workspace_root"]), members))
    for line in refused:
        print(f"licences: not allowed: {line}", file=sys.stderr)
    print(f"licences: {len(packages)} dependencies checked, {len(refused)} refused")
    sys.exit(1 if refused else 0)


main()
