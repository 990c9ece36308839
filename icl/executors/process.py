"""The main program of a worker process: told what to do through a socket, until that closes."""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
from multiprocessing.connection import Connection

from icl.executors.contract import Event, packed
from icl.executors.worker import Worker, forward_log


def main(descriptor: int, number: int) -> None:
    """descriptor: of the socket, whose other end the driver holds; number: of the worker."""
    connection = Connection(descriptor)
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    lock = threading.Lock()

    def tell(event: Event) -> None:
        try:
            with lock:
                connection.send_bytes(packed(event))
        except OSError:
            os._exit(0)

    def listen() -> None:
        """Ends the process at once where the driver is gone, whatever it is computing."""
        try:
            while True:
                inbox.put(connection.recv_bytes())  # unpacked elsewhere: what waits here is the end alone
        except (EOFError, OSError):
            os._exit(0)

    worker = Worker(number, pickle.loads(connection.recv_bytes()), tell)
    forward_log(number, tell)
    threading.Thread(target=listen, daemon=True).start()
    while True:
        act, given = pickle.loads(inbox.get())
        if act == "open":
            worker.open(given)
        else:
            worker.take(given)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
