"""What a process spends its time on: shares of the kernel, the ciphers, libraries and the rooms of Sources.

    perf report --no-children --sort dso,symbol -F overhead,dso,symbol -g none -i FILE | profile.py NAME

prints a row of a table for each kind, largest first, those below half a per cent together.
"""

import collections
import re
import sys

# A Swift symbol says its module, behind its length.
SWIFT = re.compile(r"^\$s(\d+)(\w+)")
# A line of the report: share, object, where the symbol is from, symbol.
LINE = re.compile(r"^\s*([\d.]+)%\s+(\S+)\s+\[(.)\]\s+(.+)$")
CIPHERS = ("libIPSec_MB", "libcrypto")


def kind(place: str, level: str, symbol: str) -> str:
    """What a symbol belongs to."""
    if level == "k":
        return "kernel"
    if place.startswith(CIPHERS):
        return "cipher"
    if match := SWIFT.match(symbol):
        length = int(match[1])
        return match[2][:length]
    if place.startswith("lib"):
        return "C library" if place.startswith("libc.") else place.split(".so")[0]
    if symbol.startswith("gw_"):
        return "EventLoop"
    return "Swift's library"


def main() -> None:
    shares: collections.Counter[str] = collections.Counter()
    for line in sys.stdin:
        if match := LINE.match(line):
            shares[kind(match[2], match[3], match[4])] += float(match[1])
    small = sum(share for share in shares.values() if share < 0.5)
    rows = [f"{name} {share:.1f} %" for name, share in shares.most_common() if share >= 0.5]
    print(f"| {sys.argv[1]} | {', '.join(rows)}, the rest {small:.1f} % |")


if __name__ == "__main__":
    main()
