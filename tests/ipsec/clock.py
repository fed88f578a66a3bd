"""Deadlines on a machine that others use, too.

A deadline counts only time in which what is tested could run: while a thread of it stands ready and has no CPU, the
clock stands still (/proc/PID/task/TID/schedstat). So a busy machine makes a row slow, not wrong, and a condition that
never comes true still ends the wait, as nobody waits for a CPU then.
"""

import glob
import time

_processes = set()


def watch(pid):
    """From now on the clock stands still while this process waits for a CPU."""
    _processes.add(int(pid))


def _waited():
    """{thread: seconds that it has stood ready without a CPU}."""
    waited = {}
    for pid in _processes:
        for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            try:
                with open(path) as file:
                    waited[path] = int(file.read().split()[1]) / 1e9
            except (OSError, IndexError):
                pass  # it has ended
    return waited


class Deadline:
    """`seconds` from now, of which those do not count that the most starved of the threads waited."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds
        self.before = _waited()

    def passed(self):
        if time.monotonic() <= self.end:
            return False
        starved = max((now - self.before.get(thread, 0.0) for thread, now in _waited().items()), default=0.0)
        return time.monotonic() > self.end + starved
