"""A server of one file that every replica of a name has: GET, one range, If-Range; or one that lies about it.

    replica.py --port PORT [--host ADDRESS] [--rate BYTES] [--lie LIE]

Any path that is a number is a file of so many bytes, those of `pattern`; /chunked/NUMBER sends it in chunks. `--rate` bounds the bytes
per second of each connection. It prints `ready` once it listens, and each request's path and Range.
"""

import argparse
import contextlib
import http.server
import socketserver
import time

from pattern import BLOCK_LENGTH, pattern

# Bytes in one write; a rate is kept over so many.
PIECE = 64 << 10
# What is sent is cut out of so many bytes: the pattern repeats itself.
STOCK = memoryview(pattern(0, BLOCK_LENGTH * 64 + PIECE))
LIES = ("other-etag", "weak-etag", "ignores-range", "wrong-content-range", "other-length")


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = 0
    disable_nagle_algorithm = True
    rate = 0
    lie = ""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keeps standard error for errors."""

    def do_GET(self) -> None:  # noqa: N802
        path = self.path.strip("/")
        print(f"GET {path} {self.headers.get('Range', '-')}", flush=True)
        if path == "health":
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        size = int(path.rpartition("/")[2])
        tag = '"1"'
        if self.lie == "other-etag":
            tag = '"2"'
        elif self.lie == "weak-etag":
            tag = 'W/"1"'
        first = self.first_byte(size)
        partial = first is not None and self.lie != "ignores-range"
        first = first if partial and first is not None else 0
        self.send_response(206 if partial else 200)
        if partial:
            shift = 1 if self.lie == "wrong-content-range" else 0
            complete = size + 1 if self.lie == "other-length" else size
            self.send_header("Content-Range", f"bytes {first + shift}-{size - 1}/{complete}")
            first += shift
        self.send_header("ETag", tag)
        if path.startswith("chunked/"):
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(size - first))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.send_content(first, size, path.startswith("chunked/"))

    def first_byte(self, size: int) -> int | None:
        """Where the part begins that is asked for."""
        text = self.headers.get("Range", "")
        if not text.startswith("bytes="):
            return None
        first, _, last = text[len("bytes=") :].partition("-")
        return int(first) if not last or int(last) == size - 1 else None

    def send_content(self, offset: int, end: int, chunked: bool) -> None:
        began, origin = time.monotonic(), offset
        while offset < end:
            count = min(PIECE, end - offset)
            place = offset % BLOCK_LENGTH
            piece = STOCK[place : place + count]
            if chunked:
                self.wfile.write(b"%x\r\n" % count + bytes(piece) + b"\r\n")
            else:
                self.wfile.write(piece)
            offset += count
            if self.rate:
                ahead = (offset - origin) / self.rate - (time.monotonic() - began)
                if ahead > 0:
                    time.sleep(ahead)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """One thread a connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that is gone is no news."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=int, default=0)
    parser.add_argument("--lie", choices=LIES, default="")
    options = parser.parse_args()
    Handler.rate = options.rate
    Handler.lie = options.lie
    server = Server((options.host, options.port), Handler)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
