"""Many TCP connections of all kinds at once, every byte of which is checked.

    load.py --http PORT --echo PORT --sink PORT [--tunnels N] [--seconds S] [--rate BYTES] [--seed N]
            [--heavy N] [--heavy-rate BYTES] [--patience SECONDS]

A quarter of the connections downloads, one uploads, one downloads after its own end was sent, one is a dialogue of
small messages, as a shell has them. One that is done is followed by another one; each moves at most RATE bytes a
second, the first of them HEAVY-RATE, and does not catch up with what it missed: 200 that do would measure this program. Commands come on standard input, a line each: `mark NAME` prints the longest stall since the mark before, `hit
TIME` tells that a process is killed at that time (seconds since 1970), `away TIME` and `back TIME` that the gateway cannot
be reached in between, `stop` ends it after the transfers that are under way.

Prints `mark NAME stall MS of KIND, moved BYTES`, and at the end `moved BYTES in COUNT connections, FAILURES failed,
REFUSED refused`; what failed and how goes to standard error. Exits with 1 if any did. Refused is a connection that is
reset after a hit which found its tunnel less than a tenth of a second old, or not open yet: that is how soon a tunnel is
protected; and one that was opened while the gateway was away: programs do not wait for it without end.

A stall is the longest time for which a connection that waits for bytes got none, or a dialogue no answer.
"""

import argparse
import collections
import contextlib
import hashlib
import os
import random
import selectors
import socket
import sys
import time

from pattern import PatternChecker, pattern

# Bytes in one read or write.
CHUNK = 64 << 10
# Bytes of the smallest transfer, and seconds that the largest one takes: connections begin and end all the time.
SMALLEST = 20_000
LONGEST = 15
# Seconds between two messages of a dialogue, bytes of one, and messages in a dialogue.
MESSAGE_INTERVAL = 0.02
MESSAGE_BYTES = 48
MESSAGES = 400
# Seconds whose bytes may be moved at once.
BURST = 0.25
# Seconds between two looks at the clock for those that have nothing to do but wait for their rate.
TICK = 0.01
# Seconds after which a tunnel is protected, and seconds that it takes to open one at most: an upload hears nothing of it.
PROTECTED = 0.1
OPENING = 1.0
# Hits that are remembered: what came before a reset waits in the system until the rate allows this program to read it.
HITS = 64
# Failures after which there is no point in going on.
MOST_FAILURES = 20


class Failure(Exception):
    """A connection did not bring what it should."""


class Transfer:
    """One connection; subclasses know what is to be sent and what is to come."""

    kind = ""

    def __init__(self, load: "Load", port: int, generator: random.Random, place: int, rate: int) -> None:
        self.load = load
        self.generator = generator
        self.rate = rate
        self.size = SMALLEST + generator.randrange(rate * LONGEST)
        self.began = time.monotonic()
        # Since when it waits for something to come; None while nothing has to.
        self.waiting: float | None = self.began
        self.moved = 0
        # Bytes that may be moved now, as of `credited`.
        self.credit = 0.0
        self.credited = self.began
        self.outgoing = b""
        self.ends_writing = False
        # When the first byte came.
        self.heard: float | None = None
        # What the selector waits for, and which of the connections at once this is.
        self.watched = 0
        self.place = place
        self.is_connected = False
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(BlockingIOError):
            self.sock.connect(("127.0.0.1", port))

    def begin(self) -> None:
        """The connection is up."""

    def received(self, data: bytes) -> None:
        """Bytes have come."""

    def ended(self) -> bool:
        """The other end has ended; true if that is as it should be."""
        return False

    def tick(self, now: float) -> None:
        """Time passes."""

    def earn(self, now: float) -> None:
        """Counts what the rate allows by now."""
        self.credit = min(self.credit + self.rate * (now - self.credited), self.rate * BURST)
        self.credited = now

    # Input and output ------------------------------------------------------------------------------------------------

    def interest(self, now: float) -> int:
        """What to wait for."""
        mask = 0
        if not self.is_connected or self.outgoing:
            mask |= selectors.EVENT_WRITE
        if self.is_connected and self.credit >= 0:
            mask |= selectors.EVENT_READ
        elif self.is_connected and self.waiting is not None:
            # It is this end that waits, with bytes to read perhaps.
            self.waiting = now
        return mask

    def write(self) -> None:
        if not self.is_connected:
            error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
            self.is_connected = True
            self.begin()
        if self.outgoing:
            with contextlib.suppress(BlockingIOError):
                count = self.sock.send(self.outgoing[:CHUNK])
                self.outgoing = self.outgoing[count:]
        if self.ends_writing and not self.outgoing:
            self.ends_writing = False
            self.sock.shutdown(socket.SHUT_WR)

    def read(self, now: float) -> bool:
        """False when the connection is over."""
        try:
            data = self.sock.recv(CHUNK)
        except BlockingIOError:
            return True
        self.note(now)
        self.heard = self.heard or now
        if data:
            self.moved += len(data)
            self.credit -= len(data)
            self.load.moved += len(data)
            self.received(data)
            return True
        if not self.ended():
            raise Failure(f"ended early, after {self.moved} bytes")
        return False

    def note(self, now: float) -> None:
        """Something came: how long was it waited for?"""
        if self.waiting is not None:
            self.load.stalled(now - self.waiting, self.kind)
            self.waiting = now


class Download(Transfer):
    """A GET whose body is checked byte by byte."""

    kind = "download"

    def begin(self) -> None:
        self.offset = self.generator.randrange(1 << 30)
        self.head: bytes | None = b""
        self.checker = PatternChecker(self.offset)
        self.left = self.size
        self.outgoing = (
            f"GET /bytes/{self.size}/{self.offset} HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n".encode()
        )

    def received(self, data: bytes) -> None:
        if self.head is not None:
            self.head += data
            head, mark, data = self.head.partition(b"\r\n\r\n")
            if not mark:
                return
            if b" 200 " not in head.split(b"\r\n")[0]:
                raise Failure(f"answered {head[:40]!r}")
            self.head = None
        if not data:
            return
        self.left -= len(data)
        self.checker.feed(data)
        if self.left < 0 or self.checker.first_difference is not None:
            raise Failure(f"a wrong byte at {self.checker.first_difference}")

    def ended(self) -> bool:
        return self.left == 0


class HalfClosedDownload(Download):
    """The same, when this end has nothing more to say."""

    kind = "half-closed download"

    def begin(self) -> None:
        super().begin()
        self.ends_writing = True


class Upload(Transfer):
    """Bytes, an end, and the answer that says what arrived."""

    kind = "upload"

    def begin(self) -> None:
        self.offset = self.generator.randrange(1 << 30)
        self.left = self.size
        self.digest = hashlib.sha256()
        self.answer = b""
        self.waiting = None

    def tick(self, now: float) -> None:
        if not self.is_connected or len(self.outgoing) > CHUNK or self.left == 0:
            return
        count = min(self.left, CHUNK, int(self.credit))
        if count <= 0:
            return
        self.credit -= count
        data = pattern(self.offset + self.size - self.left, count)
        self.digest.update(data)
        self.left -= count
        self.load.moved += count
        self.outgoing += data
        if self.left == 0:
            self.ends_writing = True

    def received(self, data: bytes) -> None:
        self.answer += data

    def ended(self) -> bool:
        return self.answer.decode(errors="replace").strip() == f"{self.size} {self.digest.hexdigest()}"


class Dialogue(Transfer):
    """Small messages, each of which comes back."""

    kind = "dialogue"

    def begin(self) -> None:
        self.sent = 0
        self.expected = b""
        self.waiting = None
        self.next_message = time.monotonic()
        self.asked: list[tuple[int, float]] = []
        self.total = 0

    def tick(self, now: float) -> None:
        if not self.is_connected or now < self.next_message or self.sent == MESSAGES:
            return
        self.next_message = max(self.next_message + MESSAGE_INTERVAL, now)
        message = self.generator.randbytes(MESSAGE_BYTES)
        self.outgoing += message
        self.expected += message
        self.sent += 1
        self.total += MESSAGE_BYTES
        self.asked.append((self.total, now))
        if self.sent == MESSAGES:
            self.ends_writing = True

    def received(self, data: bytes) -> None:
        if not self.expected.startswith(data):
            raise Failure("another answer than what was sent")
        self.expected = self.expected[len(data) :]
        now = time.monotonic()
        while self.asked and self.asked[0][0] <= self.moved:
            self.load.stalled(now - self.asked.pop(0)[1], self.kind)

    def ended(self) -> bool:
        return self.sent == MESSAGES and not self.expected


def moment(text: str) -> float:
    """What `time.monotonic` said at a time in seconds since 1970."""
    return time.monotonic() - (time.time() - float(text))


class Load:
    """All connections."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.generator = random.Random(options.seed)
        self.kinds = [
            (Download, options.http),
            (Upload, options.sink),
            (HalfClosedDownload, options.http),
            (Dialogue, options.echo),
        ]
        self.selector = selectors.DefaultSelector()
        self.transfers: dict[socket.socket, Transfer] = {}
        self.moved = 0
        self.count = 0
        self.failures = 0
        self.refused = 0
        self.worst = (0.0, "nothing")
        self.is_ending = False
        self.has_commands = True
        # When the gateway was killed, as `time.monotonic` tells it.
        self.hits: collections.deque[float] = collections.deque(maxlen=HITS)
        # When the gateway could not be reached.
        self.absences: list[tuple[float, float]] = []

    def stalled(self, seconds: float, kind: str) -> None:
        self.worst = max(self.worst, (seconds, kind))

    def open(self, place: int) -> None:
        kind, port = self.kinds[place % len(self.kinds)]
        rate = self.options.heavy_rate if place < self.options.heavy else self.options.rate
        transfer = kind(self, port, random.Random(self.generator.getrandbits(64)), place, rate)
        self.transfers[transfer.sock] = transfer
        self.watch(transfer, selectors.EVENT_WRITE)
        self.count += 1

    def close(self, transfer: Transfer) -> None:
        self.watch(transfer, 0)
        del self.transfers[transfer.sock]
        transfer.sock.close()
        if not self.is_ending:
            self.open(transfer.place)

    def fail(self, transfer: Transfer, error: Exception) -> None:
        self.failures += 1
        self.is_ending = self.is_ending or self.failures >= MOST_FAILURES
        now = time.monotonic()
        heard = "nothing heard" if transfer.heard is None else f"first byte {now - transfer.heard:.3f} s ago"
        hits = ", ".join(f"{now - hit:.3f}" for hit in self.hits if hit > transfer.began - OPENING)
        print(
            f"{transfer.kind} of {transfer.size} bytes, {now - transfer.began:.3f} s old, {heard}, hits {hits or 'none'}"
            f"{' s ago' if hits else ''}: {error}", file=sys.stderr, flush=True)
        self.close(transfer)

    def listen(self) -> None:
        """Takes the commands that have come by now."""
        with contextlib.suppress(BlockingIOError):
            data = os.read(0, 4096).decode()
            for line in data.splitlines():
                self.command(line)
            if not data:
                self.selector.unregister(0)
                self.has_commands = False

    def reset(self, transfer: Transfer, error: OSError) -> None:
        # The hit was told before it was done.
        if self.has_commands:
            self.listen()
        if transfer.heard is None:
            # An upload, or one that was opened while nobody was there.
            first, last = transfer.began - OPENING, transfer.began + OPENING
        else:
            first, last = transfer.began, transfer.heard
        is_hit = any(first < hit < last + PROTECTED for hit in self.hits)
        is_late = transfer.heard is None and any(
            away - OPENING < transfer.began < back + OPENING for away, back in self.absences)
        if not is_hit and not is_late:
            return self.fail(transfer, error)
        self.refused += 1
        return self.close(transfer)

    def serve(self, transfer: Transfer, mask: int, now: float) -> None:
        try:
            if mask & selectors.EVENT_WRITE:
                transfer.write()
            if mask & selectors.EVENT_READ:
                if not transfer.read(now):
                    self.close(transfer)
                elif transfer.credit < 0:
                    self.watch(transfer, transfer.interest(now))
        except Failure as error:
            self.fail(transfer, error)
        except OSError as error:
            self.reset(transfer, error)

    def tick(self, now: float) -> None:
        for transfer in list(self.transfers.values()):
            transfer.earn(now)
            transfer.tick(now)
            if now - (transfer.waiting or now) > self.options.patience:
                self.fail(transfer, Failure("hangs"))
                continue
            self.watch(transfer, transfer.interest(now))

    def watch(self, transfer: Transfer, mask: int) -> None:
        if mask == transfer.watched:
            return
        if not mask:
            self.selector.unregister(transfer.sock)
        elif not transfer.watched:
            self.selector.register(transfer.sock, mask)
        else:
            self.selector.modify(transfer.sock, mask)
        transfer.watched = mask

    def command(self, line: str) -> None:
        words = line.split()
        if words[:1] == ["mark"]:
            seconds, kind = self.worst
            for transfer in self.transfers.values():
                if transfer.waiting is not None:
                    seconds, kind = max((seconds, kind), (time.monotonic() - transfer.waiting, transfer.kind))
            print(f"mark {words[1]} stall {seconds * 1000:.0f} ms of {kind}, moved {self.moved}", flush=True)
            self.worst = (0.0, "nothing")
        elif words[:1] == ["hit"]:
            self.hits.append(moment(words[1]))
        elif words[:1] == ["away"]:
            self.absences.append((moment(words[1]), float("inf")))
        elif words[:1] == ["back"]:
            self.absences[-1] = (self.absences[-1][0], moment(words[1]))
        elif words[:1] == ["stop"]:
            self.is_ending = True

    def run(self) -> int:
        os.set_blocking(0, False)
        self.selector.register(0, selectors.EVENT_READ)
        for place in range(self.options.tunnels):
            self.open(place)
        end = time.monotonic() + self.options.seconds
        next_tick = 0.0
        while self.transfers:
            now = time.monotonic()
            self.is_ending = self.is_ending or now > end
            if now >= next_tick:
                self.tick(now)
                next_tick = now + TICK
            for key, mask in self.selector.select(TICK):
                if key.fileobj == 0:
                    self.listen()
                elif key.fileobj in self.transfers:
                    self.serve(self.transfers[key.fileobj], mask, time.monotonic())  # type: ignore[index]
        sum_of_all = f"moved {self.moved} in {self.count} connections"
        print(f"{sum_of_all}, {self.failures} failed, {self.refused} refused", flush=True)
        return 1 if self.failures else 0


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("http", "echo", "sink"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--tunnels", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--rate", type=int, default=200_000)
    parser.add_argument("--heavy", type=int, default=0)
    parser.add_argument("--heavy-rate", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=1)
    # Seconds without progress after which a connection counts as hanging.
    parser.add_argument("--patience", type=float, default=200)
    return Load(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
