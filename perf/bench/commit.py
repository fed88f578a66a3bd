"""Which code is measured: the commit, and whether anything but results differs from it. Printed, for where there is no git."""
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def name():
    told = os.environ.get("IRONLANE_COMMIT")
    if told:
        return told
    git = lambda *words: subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True).stdout.strip()
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!perf/results")
    return (git("describe", "--always") or "unknown") + ("-dirty" if changed else "")


if __name__ == "__main__":
    print(name())
