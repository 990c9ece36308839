"""Keeps a server for as long as its test lives: `python keeper.py SECONDS COMMAND...`.

The command runs in a process group of its own, which is ended when standard input closes (the test is done,
or has died), when the seconds are over, or when the command ends by itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

PATIENCE = 5.0
"""Seconds between asking the group to end and ending it."""


def main(seconds: float, command: list[str]) -> int:
    """Exit status: 0 where the command was ended from outside."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    closed = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), closed.set()), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: closed.set())
    until = time.monotonic() + seconds
    while child.poll() is None and not closed.is_set() and time.monotonic() < until:
        closed.wait(0.1)
    ended = child.poll()
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
            with suppress(subprocess.TimeoutExpired):
                child.wait(PATIENCE)
    return 0 if ended is None else ended


if __name__ == "__main__":
    # a thread may still wait for standard input
    os._exit(main(float(sys.argv[1]), sys.argv[2:]))
