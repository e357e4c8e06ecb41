"""Measures the emulated links themselves: links.py, in the scene of ./run without Godwit.

UDP through both links, from the mobile machine to a process in the server's namespace: round trips of single packets on
an idle link, then what arrives of more than the link carries. Prints one line; exits with 1 and a sentence when a link
is not what it claims to be.
"""

import os
import socket
import subprocess
import sys
import time

from mobile import LINKS, Link, lab

SERVER = ("198.51.100.1", 9_000)
ROUND_TRIPS = 60
# Seconds of a flood, and bytes of its packets' payload.
FLOOD = 1.5
PAYLOAD = 1_400
HEADERS = 28
# How the measuring programs are started: the links are measured, not what else this machine does.
AHEAD = ["chrt", "--fifo", "5"]
# What the machine may add to a round trip, in seconds, and take from the rate; more where it does other things too.
TOLERANCE = float(os.environ.get("TOLERANCE", "1"))
ADDED = 0.002 * TOLERANCE
LEAST_SHARE = 1 - 0.05 * TOLERANCE


def serve() -> None:
    """Answers short packets and counts long ones; tells the count when asked."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind(SERVER)
    print("ready", flush=True)
    count, first, last = 0, 0.0, 0.0
    while True:
        data, sender = sock.recvfrom(2_048)
        if data == b"count":
            span = max(last - first, 1e-9)
            sock.sendto(f"{(count - 1) * (PAYLOAD + HEADERS) * 8 / span}".encode(), sender)
            count = 0
        elif len(data) < PAYLOAD:
            sock.sendto(data, sender)
        else:
            last = time.time()
            first = last if count == 0 else first
            count += 1


def round_trips(link: Link) -> list[float]:
    """Of single packets, in seconds."""
    times = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((link.address, 0))
        sock.settimeout(2)
        for number in range(ROUND_TRIPS):
            begin = time.perf_counter()
            sock.sendto(str(number).encode(), SERVER)
            sock.recv(2_048)
            times.append(time.perf_counter() - begin)
            time.sleep(0.005)
    return times


def flood(link: Link) -> tuple[float, float]:
    """Bits a second of IP packets that arrive when 1.5 times as many are sent, and what a slow machine did send."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((link.address, 0))
        sock.settimeout(3)
        begin = time.monotonic()
        sent = 0
        while (elapsed := time.monotonic() - begin) < FLOOD:
            while sent * (PAYLOAD + HEADERS) * 8 < elapsed * link.rate * 1.5:
                sock.sendto(bytes(PAYLOAD), SERVER)
                sent += 1
            time.sleep(0.001)
        time.sleep(0.5)
        sock.sendto(b"count", SERVER)
        return float(sock.recv(2_048)), sent * (PAYLOAD + HEADERS) * 8 / FLOOD


def measure() -> int:
    """Both links, one after the other."""
    faults, figures = [], []
    for link in LINKS.values():
        lab("status")
        times = sorted(round_trips(link))
        # The quicker half's middle: the rest is what other programs on this machine take.
        middle = times[len(times) // 4]
        rate, sent = flood(link)
        late = dict(pair.split("=") for pair in lab(f"status {link.name}").split() if "=" in pair)
        figures.append(
            f"{link.name} {middle * 1000:.2f} ms (99 %: {times[-1] * 1000:.2f}), {rate / 1e6:.1f} Mbit/s, "
            f"late {late['late_mean_us']} us, worst {late['late_worst_us']}")
        if not link.round_trip <= middle <= link.round_trip + ADDED:
            faults.append(f"{link.name} takes {middle * 1000:.2f} ms instead of {link.round_trip * 1000:.0f}")
        if not LEAST_SHARE * min(link.rate, sent) <= rate <= 1.02 * link.rate:
            faults.append(f"{link.name} carries {rate / 1e6:.1f} Mbit/s instead of {link.rate / 1e6:.0f}")
    print("; ".join(faults or figures))
    return 1 if faults else 0


def main() -> int:
    if sys.argv[1:] == ["serve"]:
        serve()
    if sys.argv[1:] == ["measure"]:
        return measure()
    server_namespace = os.environ["MOBILE"].replace("mobile", "server")
    server = subprocess.Popen(
        ["ip", "netns", "exec", server_namespace, *AHEAD, sys.executable, __file__, "serve"], stdout=subprocess.PIPE)
    try:
        server.stdout.readline()
        return subprocess.call(
            ["ip", "netns", "exec", os.environ["MOBILE"], *AHEAD, sys.executable, __file__, "measure"])
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
