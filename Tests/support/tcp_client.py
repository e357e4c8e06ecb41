"""A TCP client that says how a connection ended, which curl and nc do not.

    tcp_client.py HOST PORT end [TEXT]        sends TEXT (\\r and \\n are understood), reads to the end
    tcp_client.py HOST PORT half-close N      sends N bytes of the pattern and a half-close, then reads to the end
    tcp_client.py HOST PORT reset N           sends N bytes, waits a moment for them to leave, resets the connection
    tcp_client.py HOST PORT stall TEXT        sends TEXT, reads one byte, then nothing until it is ended
    tcp_client.py HOST PORT echo COUNT        COUNT round trips of one byte, one after the other

Prints `eof COUNT LAST_LINE` or `reset COUNT` for the first two, `sent N` for the third, `stalled` for the fourth, and
`median MILLISECONDS 99% MILLISECONDS worst MILLISECONDS` for the last.
"""

import socket
import statistics
import struct
import sys
import time

from pattern import pattern

CHUNK = 1 << 20
# Seconds without a byte after which a connection counts as hanging.
SILENCE_LIMIT = 90.0


def read_to_end(sock: socket.socket) -> str:
    """How the connection ends."""
    count = 0
    tail = b""
    try:
        while data := sock.recv(CHUNK):
            count += len(data)
            tail = (tail + data)[-200:]
    except ConnectionResetError:
        return f"reset {count}"
    except TimeoutError:
        return f"silence {count}"
    lines = tail.decode(errors="replace").strip().splitlines() or [""]
    return f"eof {count} {lines[-1]}"


def measure(sock: socket.socket, count: int) -> str:
    """Round trips of a byte."""
    times: list[float] = []
    for number in range(count):
        begin = time.perf_counter()
        sock.sendall(bytes([number & 0xFF]))
        if sock.recv(1) != bytes([number & 0xFF]):
            raise SystemExit("a wrong byte came back")
        times.append((time.perf_counter() - begin) * 1_000)
    times.sort()
    high = times[min(len(times) - 1, len(times) * 99 // 100)]
    return f"median {statistics.median(times):.2f} ms, 99% {high:.2f} ms, worst {times[-1]:.2f} ms"


def main() -> None:
    host, port, action = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    argument = sys.argv[4] if len(sys.argv) > 4 else ""
    try:
        sock = socket.create_connection((host, port), SILENCE_LIMIT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        text = argument.encode().decode("unicode_escape").encode()
        match action:
            case "end":
                sock.sendall(text)
                print(read_to_end(sock))
            case "half-close":
                sock.sendall(pattern(0, int(argument)))
                sock.shutdown(socket.SHUT_WR)
                print(read_to_end(sock))
            case "reset":
                sock.sendall(pattern(0, int(argument)))
                time.sleep(0.5)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
                print(f"sent {argument}")
            case "stall":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
                sock.sendall(text)
                sock.recv(1)
                print("stalled", flush=True)
                time.sleep(3_600)
            case "echo":
                print(measure(sock, int(argument)))
            case _:
                raise SystemExit(__doc__)
    except ConnectionResetError:
        print("reset 0")


if __name__ == "__main__":
    main()
