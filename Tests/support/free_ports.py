"""Prints COUNT different ports of 127.0.0.1 that are free for TCP and for UDP.

They are below those that the system gives to whoever asks for any. Cases that run at once have different numbers in CASE_SLOT,
and with that different ports.
"""

import os
import random
import socket
import sys

FIRST = 12_000
# Ports of a slot, and slots that there are.
PORTS = 500
SLOTS = 40


def is_free(port: int) -> bool:
    """Whether nobody has it."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def main() -> None:
    count = int(sys.argv[1])
    first = FIRST + int(os.environ.get("CASE_SLOT", "0")) % SLOTS * PORTS
    # Not the same each time: a port that was in use just now may be closing still.
    candidates = random.sample(range(first, first + PORTS), PORTS)
    free = (port for port in candidates if is_free(port))
    ports = [port for port, _ in zip(free, range(count))]
    if len(ports) < count:
        raise SystemExit(f"only {len(ports)} of {count} ports from {first} to {first + PORTS} are free")
    print(*ports)


if __name__ == "__main__":
    main()
