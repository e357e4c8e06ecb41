"""The applications on the mobile machine, which note when each byte came.

    traffic.py download PORT LOG    reads the pattern from the HTTP origin as fast as it comes
    traffic.py echo PORT LOG        sends 50 messages a second to the echo server
    traffic.py hold PORT LOG        sends one message to it and then nothing

Until SIGTERM; then LOG is written, as JSON: `times` in seconds since 1970 and `counts`, bytes in total by then, and
`fault`, what was wrong with the bytes or the connection, or null. Differing bytes are told apart by where in the pattern
they belong: later means that some were lost, earlier that some came again or in another order, nowhere that they are corrupt.
"""

import json
import signal
import socket
import struct
import sys
import threading
import time

from pattern import BLOCK_LENGTH, pattern

# Bytes read at once.
CHUNK = 1 << 18
# Bytes of the download, more than any test takes.
ENDLESS = 1 << 40
# Seconds between two messages.
MESSAGE_INTERVAL = 0.02
# A message: its number and filler that depends on it.
MESSAGE = struct.Struct("!Q24s")
# Bytes that tell a place in the pattern from all others.
TELLING = 32


class Record:
    """When bytes came, and what was wrong with them."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.times: list[float] = []
        self.counts: list[int] = []
        self.total = 0
        self.fault: str | None = None

    def came(self, count: int) -> None:
        """So many bytes came now."""
        self.total += count
        self.times.append(time.time())
        self.counts.append(self.total)

    def write(self) -> None:
        """Writes the log."""
        with open(self.path, "w", encoding="ascii") as file:
            # The signal may have come between the two.
            count = min(len(self.times), len(self.counts))
            json.dump({"times": self.times[:count], "counts": self.counts[:count], "fault": self.fault}, file)


def difference(offset: int, data: bytes) -> str:
    """What happened to bytes that are not those of the pattern at an offset."""
    expected = pattern(offset, len(data))
    index = next(index for index, byte in enumerate(data) if byte != expected[index])
    place = offset + index
    found = pattern(0, 2 * BLOCK_LENGTH).find(data[index:index + TELLING])
    if found < 0 or len(data) - index < TELLING:
        return f"corrupt bytes at {place}"
    ahead = (found - place) % BLOCK_LENGTH
    if ahead < BLOCK_LENGTH // 2:
        return f"{ahead} bytes lost at {place}"
    return f"bytes repeated or reordered at {place}, {BLOCK_LENGTH - ahead} from before"


def download(sock: socket.socket, record: Record) -> None:
    """Reads the pattern."""
    sock.sendall(f"GET /bytes/{ENDLESS} HTTP/1.1\r\nHost: origin\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += receive(sock)
    body = head.split(b"\r\n\r\n", 1)[1]
    while True:
        if body:
            if record.fault is None and body != pattern(record.total, len(body)):
                record.fault = difference(record.total, body)
            record.came(len(body))
        body = receive(sock)


def receive(sock: socket.socket) -> bytes:
    """The next bytes; the end of the stream is a fault."""
    data = sock.recv(CHUNK)
    if not data:
        raise ConnectionError("the stream ended")
    return data


def message(number: int) -> bytes:
    """The message of a number."""
    return MESSAGE.pack(number, pattern(number * 24, 24))


def send_messages(sock: socket.socket) -> None:
    """Sends a message at each tick of a clock that does not drift."""
    begin = time.monotonic()
    number = 0
    try:
        while True:
            sock.sendall(message(number))
            number += 1
            time.sleep(max(0.0, begin + number * MESSAGE_INTERVAL - time.monotonic()))
    except OSError:
        return


def echo(sock: socket.socket, record: Record) -> None:
    """Sends messages and reads them back."""
    threading.Thread(target=send_messages, args=(sock,), daemon=True).start()
    received = b""
    number = 0
    while True:
        received += receive(sock)
        while len(received) >= MESSAGE.size:
            if record.fault is None and received[:MESSAGE.size] != message(number):
                record.fault = f"message {number} is not what was sent"
            received = received[MESSAGE.size:]
            number += 1
            record.came(MESSAGE.size)


def hold(sock: socket.socket, record: Record) -> None:
    """Keeps a stream open."""
    sock.sendall(message(0))
    while True:
        record.came(len(receive(sock)))


class Ended(Exception):
    """SIGTERM came."""


def end(*_: object) -> None:
    """Ends the waiting for bytes."""
    raise Ended


def main() -> None:
    kind, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    signal.signal(signal.SIGTERM, end)
    record = Record(path)
    try:
        sock = socket.create_connection(("127.0.0.1", port), 30)
        sock.settimeout(None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        {"download": download, "echo": echo, "hold": hold}[kind](sock, record)
    except Ended:
        pass
    except OSError as error:
        record.fault = record.fault or f"{kind} ended after {record.total} bytes: {error}"
    record.write()


if __name__ == "__main__":
    main()
