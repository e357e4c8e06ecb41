"""Reads a download on standard input to its end and prints `bytes N sha256 H gap G seconds S right R`: the longest time without a
byte after the first one in ms, how long all of it took, and whether what came is the beginning of the pattern.

    curl ... | meter.py [--at BYTES COMMAND]

COMMAND is run by a shell, in the background, when BYTES have come.
"""

import argparse
import hashlib
import os
import subprocess
import time

from pattern import PatternChecker

# Bytes in one read.
PIECE = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", nargs=2, metavar=("BYTES", "COMMAND"))
    options = parser.parse_args()
    mark = int(options.at[0]) if options.at else None
    digest, checker = hashlib.sha256(), PatternChecker()
    began = last = time.monotonic()
    gap, command = 0.0, None
    while data := os.read(0, PIECE):
        now = time.monotonic()
        if checker.count:
            gap = max(gap, now - last)
        else:
            began = now
        digest.update(data)
        checker.feed(data)
        last = time.monotonic()
        if mark is not None and checker.count >= mark:
            mark = None
            command = subprocess.Popen(options.at[1], shell=True)
    if command:
        command.wait()
    right = "no" if checker.first_difference is not None else "yes"
    print(
        f"bytes={checker.count} sha256={digest.hexdigest()} gap={gap * 1000:.0f} seconds={last - began:.2f} right={right}")


if __name__ == "__main__":
    main()
