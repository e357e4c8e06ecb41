"""Prints COUNT different ports of 127.0.0.1 that are free for TCP and for UDP."""

import socket
import sys


def main() -> None:
    count = int(sys.argv[1])
    taken: list[socket.socket] = []
    ports: list[int] = []
    while len(ports) < count:
        stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        stream.bind(("127.0.0.1", 0))
        taken.append(stream)
        datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        taken.append(datagram)
        try:
            datagram.bind(("127.0.0.1", stream.getsockname()[1]))
        except OSError:
            continue
        ports.append(stream.getsockname()[1])
    print(*ports)


if __name__ == "__main__":
    main()
