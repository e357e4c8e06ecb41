"""Downloads and ping-pongs at the same time over one link, and what came of each between two moments.

    link_load.py --from SECONDS --until SECONDS [--download NAME HOST:PORT]... [--echo NAME HOST:PORT]...

Seconds count from the start. A download reads the pattern from the HTTP origin as fast as it comes and prints `NAME rate=R`, in bits of
payload a second. A ping-pong sends a byte to the echo server 50 times a second at most, each when the one before it is back, and
prints `NAME median=M worst=W`, in milliseconds.
"""

import argparse
import socket
import statistics
import sys
import threading
import time

# Bytes read at once.
CHUNK = 1 << 18
# Bytes of a download, more than any comes to.
ENDLESS = 1 << 40
# Seconds between two bytes of a ping-pong at least.
INTERVAL = 0.02
# Seconds that a connection may take.
PATIENCE = 10


class Window:
    """The moments between which something counts, by the monotonic clock."""

    def __init__(self, begin: float, end: float) -> None:
        now = time.monotonic()
        self.begin, self.end = now + begin, now + end

    def has(self, moment: float) -> bool:
        """Whether a moment counts."""
        return self.begin <= moment < self.end


class Load:
    """One connection, used by a thread of its own."""

    def __init__(self, name: str, address: str, window: Window) -> None:
        host, _, port = address.rpartition(":")
        self.name, self.window = name, window
        self.fault: Exception | None = None
        self.socket = socket.create_connection((host, int(port)), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        """Works to the end of the window."""
        try:
            self.work()
        except OSError as error:
            self.fault = error

    def work(self) -> None:
        """What it does."""
        raise NotImplementedError

    def receive(self) -> int:
        """Waits for bytes and returns how many came."""
        if data := self.socket.recv(CHUNK):
            return len(data)
        raise ConnectionError("the connection ended early")


class Download(Load):
    """Reads as fast as it can."""

    count = 0

    def work(self) -> None:
        self.socket.sendall(f"GET /bytes/{ENDLESS} HTTP/1.1\r\nHost: origin\r\n\r\n".encode())
        while time.monotonic() < self.window.end:
            count = self.receive()
            if self.window.has(time.monotonic()):
                self.count += count

    def result(self) -> str:
        """The figure of it."""
        return f"rate={self.count * 8 / (self.window.end - self.window.begin):.0f}"


class PingPong(Load):
    """Waits for the echo of each byte."""

    def __init__(self, name: str, address: str, window: Window) -> None:
        self.times: list[float] = []
        super().__init__(name, address, window)

    def work(self) -> None:
        while (sent := time.monotonic()) < self.window.end:
            self.socket.sendall(b".")
            self.receive()
            taken = time.monotonic() - sent
            if self.window.has(sent):
                self.times.append(taken)
            time.sleep(max(0.0, INTERVAL - taken))

    def result(self) -> str:
        """The figures of it."""
        if not self.times:
            return "median=none worst=none"
        return f"median={statistics.median(self.times) * 1000:.1f} worst={max(self.times) * 1000:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--from", dest="begin", type=float, required=True)
    parser.add_argument("--until", type=float, required=True)
    parser.add_argument("--download", nargs=2, action="append", default=[])
    parser.add_argument("--echo", nargs=2, action="append", default=[])
    options = parser.parse_args()
    window = Window(options.begin, options.until)
    loads: list[Load] = [Download(*pair, window) for pair in options.download]
    loads += [PingPong(*pair, window) for pair in options.echo]
    for load in loads:
        load.thread.start()
    for load in loads:
        load.thread.join(max(0.0, window.end - time.monotonic()) + PATIENCE)
        if load.fault:
            sys.exit(f"{load.name}: {load.fault}")
        print(load.name, load.result())


if __name__ == "__main__":
    main()
