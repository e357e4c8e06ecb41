"""Origin servers for tests, on ports of 127.0.0.1, or of the address after --host, that the kernel chooses. What they send is paced
as --congestion says, such as cubic, or as the machine is set up.

Prints one line for each, `http PORT`, `echo PORT`, `sink PORT`, `refused PORT`, then `ready`.

http      GET /bytes/N[/SEED]  N bytes of the pattern from offset SEED on
          GET /file            the file of --file
          GET /abort/N         announces more than N bytes, sends N, resets the connection
          GET /stall/N         announces more than N bytes, sends N, then nothing until the peer goes
          PUT /anything        answers with the SHA-256 of the body, as hexadecimal text
echo      sends back what it gets; passes a half-close on
sink      reads to the end, then prints `sink eof COUNT SHA256` or `sink reset COUNT`; after an end of file it answers
          `COUNT SHA256` and a newline, so that a half-closed connection shows to work in the other direction
refused   a port that nobody listens on, and that nobody is given while this program runs
"""

import argparse
import hashlib
import http.server
import socket
import socketserver
import struct
import threading
import time
from pathlib import Path

from pattern import pattern

# Bytes in one read or write.
CHUNK = 1 << 20
# Seconds that a stalled answer waits for its peer to leave: longer than any test.
STALL_LIMIT = 600


def reset_on_close(sock: socket.socket) -> None:
    """Makes the next close a TCP reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Threads(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """One thread a connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 512


class HTTPHandler(http.server.BaseHTTPRequestHandler):
    """The HTTP origin."""

    protocol_version = "HTTP/1.1"
    file: Path | None = None
    wbufsize = 0
    # A head and a body are two writes: without this the second waits for an acknowledgement.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keeps standard error for errors."""

    def do_GET(self) -> None:  # noqa: N802
        parts = self.path.strip("/").split("/")
        match parts:
            case ["bytes", count]:
                self.send_pattern(int(count), 0)
            case ["bytes", count, seed]:
                self.send_pattern(int(count), int(seed))
            case ["file"] if self.file is not None:
                self.send_file(self.file)
            case ["abort", count]:
                self.send_part(int(count))
                reset_on_close(self.connection)
                self.close_now()
            case ["stall", count]:
                self.send_part(int(count))
                self.connection.settimeout(STALL_LIMIT)
                try:
                    self.connection.recv(1)
                except OSError:
                    pass
                self.close_now()
            case _:
                self.send_error(404)

    def do_PUT(self) -> None:  # noqa: N802
        left = int(self.headers["Content-Length"])
        digest = hashlib.sha256()
        while left > 0:
            data = self.rfile.read(min(left, CHUNK))
            if not data:
                raise ConnectionError("the body ended early")
            digest.update(data)
            left -= len(data)
        answer = digest.hexdigest().encode()
        self.send_head(len(answer))
        self.wfile.write(answer)

    def send_head(self, length: int) -> None:
        """The head of a 200 with a body of `length` bytes."""
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.send_header("Content-Type", "application/octet-stream")
        self.end_headers()

    def send_pattern(self, count: int, seed: int) -> None:
        """A body of the pattern."""
        self.send_head(count)
        for offset in range(0, count, CHUNK):
            self.wfile.write(pattern(seed + offset, min(CHUNK, count - offset)))

    def send_file(self, path: Path) -> None:
        """A body from a file."""
        self.send_head(path.stat().st_size)
        with path.open("rb") as file:
            self.connection.sendfile(file)

    def send_part(self, count: int) -> None:
        """A head that announces more than the `count` bytes that follow."""
        self.send_head(count + CHUNK)
        self.wfile.write(pattern(0, count))

    def close_now(self) -> None:
        """Closes the socket itself; the handler's own way would shut it down in order first."""
        self.close_connection = True
        self.wfile.close()
        self.rfile.close()
        self.connection.close()


class EchoHandler(socketserver.BaseRequestHandler):
    """Sends back what it gets."""

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while data := self.request.recv(CHUNK):
                self.request.sendall(data)
            self.request.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class SinkHandler(socketserver.BaseRequestHandler):
    """Reads to the end and says how it came."""

    def handle(self) -> None:
        digest = hashlib.sha256()
        count = 0
        try:
            while data := self.request.recv(CHUNK):
                digest.update(data)
                count += len(data)
        except ConnectionResetError:
            print(f"sink reset {count}", flush=True)
            return
        print(f"sink eof {count} {digest.hexdigest()}", flush=True)
        try:
            self.request.sendall(f"{count} {digest.hexdigest()}\n".encode())
        except OSError:
            pass


class QuietHTTPServer(Threads):
    """Peers that leave in the middle are part of the tests."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--congestion", default="")
    arguments = parser.parse_args()
    HTTPHandler.file = arguments.file
    # Bound and not listening: the kernel answers with a reset, and gives the port to nobody else.
    refused = socket.socket()
    refused.bind((arguments.host, 0))
    servers = {
        "http": QuietHTTPServer((arguments.host, 0), HTTPHandler),
        "echo": QuietHTTPServer((arguments.host, 0), EchoHandler),
        "sink": QuietHTTPServer((arguments.host, 0), SinkHandler),
    }
    for name, server in servers.items():
        if arguments.congestion:
            # Accepted connections inherit it.
            server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, arguments.congestion.encode())
        threading.Thread(target=server.serve_forever, name=name, daemon=True).start()
        print(f"{name} {server.server_address[1]}", flush=True)
    print(f"refused {refused.getsockname()[1]}\nready", flush=True)
    while True:
        time.sleep(3_600)


if __name__ == "__main__":
    main()
