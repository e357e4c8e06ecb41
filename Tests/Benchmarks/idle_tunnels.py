"""Both ends of very many tunnels that are open and not used.

    idle_tunnels.py origin          listens on a port of 127.0.0.1 and sends back what it gets; prints `origin PORT`
    idle_tunnels.py hold N SECONDS PORT...
                                    opens N connections to each port, sends a byte there and back through each, and prints
                                    `held COUNT`; so many seconds later the same again, and prints `answered COUNT`
"""

import selectors
import socket
import sys
import time

# Seconds in which a byte must come back.
PATIENCE = 10
# Connections that wait to be accepted.
BACKLOG = 4096


def origin() -> None:
    """Never ends. One thread for all: as many as there are connections would cost more than what is measured."""
    ready = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    ready.register(listener, selectors.EVENT_READ)
    print("origin", listener.getsockname()[1], flush=True)
    while True:
        for key, _ in ready.select():
            if key.fileobj is listener:
                ready.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            connection = key.fileobj
            try:
                data = connection.recv(64)
            except OSError:
                data = b""
            if data:
                connection.sendall(data)
            else:
                ready.unregister(connection)
                connection.close()


def exchange(connections: list[socket.socket], byte: bytes) -> int:
    """Sends a byte through every connection; returns how many brought it back."""
    for connection in connections:
        connection.sendall(byte)
    answered = 0
    for connection in connections:
        try:
            answered += connection.recv(1) == byte
        except OSError:
            pass
    return answered


def hold(count: int, rest: int, ports: list[int]) -> None:
    """`rest` in seconds."""
    connections: list[socket.socket] = []
    answered = 0
    for _ in range(count):
        new = [socket.create_connection(("127.0.0.1", port), PATIENCE) for port in ports]
        answered += exchange(new, b"x")
        connections += new
    print("held", answered, flush=True)
    time.sleep(rest)
    print("answered", exchange(connections, b"y"), flush=True)


if sys.argv[1] == "origin":
    origin()
else:
    hold(int(sys.argv[2]), int(sys.argv[3]), [int(port) for port in sys.argv[4:]])
