"""An HTTP/3 client of aioquic that opens a tunnel through a gateway.

    http3_client.py --connect HOST:PORT --anchor FILE [--token TOKEN] [--form FORM] --to HOST:PORT ACTION

ACTION is one of

    echo N    sends N bytes of the pattern and a half-close; expects them back, and the end
    fetch N   asks the HTTP origin for N bytes through the tunnel, expects them and nothing else
    abort N   asks the origin for a connection that is reset after N bytes; expects H3_CONNECT_ERROR
    status    reads the answer only
    root      `GET /` instead of a tunnel

and FORM is `classic` (RFC 9114 section 4.4) or a `:protocol` of `capsules.py`. Prints `result KEY=VALUE ...`: the
status, the Proxy-Status and challenge fields, payload bytes in both directions, how the tunnel ended (`end` is `fin`,
`reset:CODE` or `none`) and the error; exits with 0 when the error is `none`.
"""

import argparse
import asyncio
import sys
from dataclasses import dataclass, fields

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import ErrorCode, H3Connection, Setting
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StreamReset

from capsules import GREASE, TYPES, CapsuleReader, encode
from pattern import PatternChecker, pattern
from udp_nat import parse_address

CLASSIC = "classic"
# Bytes in one capsule or DATA frame.
PIECE = 16_000
# How long a gateway may take to confirm the handshake and to send its settings, in seconds.
SETTINGS_LIMIT = 10.0


@dataclass
class Outcome:
    """What came back."""

    status: int = 0
    proxy_status: str = "none"
    challenge: str = "none"
    capsule_protocol: str = "none"
    extended_connect: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    end: str = "none"
    error: str = "none"

    def __str__(self) -> str:
        return " ".join(f"{field.name}={str(getattr(self, field.name)).replace(' ', '_')}" for field in fields(self))


class Peer(QuicConnectionProtocol):
    """The connection and the one tunnel on it."""

    def __init__(self, quic: QuicConnection, arguments: argparse.Namespace) -> None:
        super().__init__(quic)
        self.arguments = arguments
        self.http = H3Connection(quic)
        self.outcome = Outcome()
        self.stream_id = -1
        self.capsules = CapsuleReader() if arguments.form != CLASSIC else None
        self.head = b""
        self.checker = PatternChecker()
        self.answered = asyncio.Event()
        self.ended = asyncio.Event()
        self.settings_received = asyncio.Event()

    # What comes in.

    def quic_event_received(self, event: QuicEvent) -> None:
        match event:
            case StreamReset(stream_id=self.stream_id, error_code=code):
                self.outcome.end = f"reset:{code:#x}"
                self.stop()
            case ConnectionTerminated(error_code=code, reason_phrase=reason):
                if not self.ended.is_set() and code != ErrorCode.H3_NO_ERROR:
                    self.outcome.error = f"connection_closed_with_{code:#x}_{reason}"
                self.stop()
        for http_event in self.http.handle_event(event):
            match http_event:
                case HeadersReceived(headers=headers, stream_ended=ended):
                    self.headers_received(dict(headers))
                    self.data_received(b"", ended)
                case DataReceived(data=data, stream_ended=ended):
                    self.data_received(data, ended)
        if self.http.received_settings is not None:
            self.outcome.extended_connect = self.http.received_settings.get(Setting.ENABLE_CONNECT_PROTOCOL, 0)
            self.settings_received.set()

    def stop(self) -> None:
        """Nothing more will come."""
        for event in (self.answered, self.ended, self.settings_received):
            event.set()

    def headers_received(self, headers: dict[bytes, bytes]) -> None:
        """The answer."""
        outcome = self.outcome
        outcome.status = int(headers[b":status"])
        outcome.proxy_status = headers.get(b"proxy-status", b"none").decode()
        outcome.capsule_protocol = headers.get(b"capsule-protocol", b"none").decode()
        challenge = headers.get(b"www-authenticate") or headers.get(b"proxy-authenticate") or b"none"
        outcome.challenge = challenge.decode()
        self.answered.set()

    def data_received(self, data: bytes, ended: bool) -> None:
        """A piece of the tunnel."""
        is_tunnel = 200 <= self.outcome.status < 300
        if self.capsules is not None and is_tunnel:
            data = self.capsules.feed(data)
        self.outcome.bytes_in += len(data)
        if is_tunnel:
            self.payload_received(data)
        if ended:
            self.outcome.end = "fin"
            if self.capsules is not None and is_tunnel and not self.capsules.is_final:
                self.outcome.error = "the stream ended without FINAL_DATA"
            self.stop()
        elif self.capsules is not None and self.capsules.is_final:
            self.outcome.end = "fin"
            self.ended.set()

    def payload_received(self, data: bytes) -> None:
        """What the origin sent: an HTTP head first if it is an HTTP origin."""
        if self.arguments.action in ("fetch", "abort") and b"\r\n\r\n" not in self.head:
            self.head += data
            _, _, data = self.head.partition(b"\r\n\r\n")
        self.checker.feed(data)

    # What goes out.

    def request_headers(self) -> list[tuple[bytes, bytes]]:
        """The field section of the request."""
        arguments = self.arguments
        authority = arguments.server_name.encode()
        credentials = f"Bearer {arguments.token}".encode() if arguments.token else None
        if arguments.action == "root":
            return [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", authority), (b":path", b"/")]
        if arguments.form == CLASSIC:
            headers = [(b":method", b"CONNECT"), (b":authority", arguments.to.encode())]
            if credentials:
                headers.append((b"proxy-authorization", credentials))
            return headers
        host, _, port = arguments.to.rpartition(":")
        host = host.strip("[]").replace(":", "%3A")
        headers = [
            (b":method", b"CONNECT"),
            (b":protocol", arguments.form.encode()),
            (b":scheme", b"https"),
            (b":authority", authority),
            (b":path", f"/.well-known/masque/tcp/{host}/{port}/".encode()),
            (b"capsule-protocol", b"?1"),
        ]
        if credentials:
            headers.append((b"authorization", credentials))
        return headers

    def send_payload(self, data: bytes, *, half_close: bool) -> None:
        """Sends to the origin, in capsules where the form has them."""
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            if self.capsules is not None:
                piece = encode(TYPES[self.arguments.form][0], piece)
            self.http.send_data(self.stream_id, piece, end_stream=False)
        if half_close:
            final = b""
            if self.capsules is not None:
                final = encode(GREASE, b"skip me") + encode(TYPES[self.arguments.form][1], b"")
            self.http.send_data(self.stream_id, final, end_stream=True)
        self.outcome.bytes_out += len(data)
        self.transmit()

    async def perform(self) -> None:
        """The request and the action."""
        arguments = self.arguments
        if self.capsules is not None and arguments.action != "root":
            await asyncio.wait_for(self.settings_received.wait(), SETTINGS_LIMIT)
            if not self.outcome.extended_connect:
                self.outcome.error = "the gateway does not announce extended CONNECT"
                return
        self.stream_id = self._quic.get_next_available_stream_id()
        self.http.send_headers(self.stream_id, self.request_headers(), end_stream=arguments.action == "root")
        if arguments.optimistic:
            self.send_action()
        self.transmit()
        await self.answered.wait()
        if arguments.action in ("status", "root"):
            return
        if not 200 <= self.outcome.status < 300:
            if self.outcome.error == "none":
                self.outcome.error = f"status {self.outcome.status}"
            return
        if not arguments.optimistic:
            self.send_action()
        await self.ended.wait()
        if arguments.action == "fetch" and self.outcome.error == "none":
            self.send_payload(b"", half_close=True)
        self.judge()

    def send_action(self) -> None:
        """The payload of the action."""
        match self.arguments.action:
            case "echo":
                self.send_payload(pattern(0, self.arguments.count), half_close=True)
            case "fetch":
                head = f"GET /bytes/{self.arguments.count} HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n"
                self.send_payload(head.encode(), half_close=False)
            case "abort":
                head = f"GET /abort/{self.arguments.count} HTTP/1.1\r\nHost: origin\r\n\r\n"
                self.send_payload(head.encode(), half_close=False)

    def judge(self) -> None:
        """Whether all is as it should be."""
        outcome, wanted = self.outcome, self.arguments.count
        if outcome.error != "none":
            return
        expected_end = f"reset:{ErrorCode.H3_CONNECT_ERROR:#x}" if self.arguments.action == "abort" else "fin"
        if self.checker.first_difference is not None:
            outcome.error = f"wrong byte at {self.checker.first_difference}"
        elif self.arguments.action != "abort" and self.checker.count != wanted:
            outcome.error = f"{self.checker.count} bytes instead of {wanted}"
        elif outcome.end != expected_end:
            outcome.error = f"the tunnel ended with {outcome.end} instead of {expected_end}"


async def run(arguments: argparse.Namespace) -> int:
    """One connection; the exit code."""
    configuration = QuicConfiguration(
        alpn_protocols=["h3"], server_name=arguments.server_name, cafile=arguments.anchor
    )
    loop = asyncio.get_running_loop()
    quic = QuicConnection(configuration=configuration)
    transport, peer = await loop.create_datagram_endpoint(
        lambda: Peer(quic, arguments), local_addr=("127.0.0.1", 0)
    )
    peer.connect(arguments.connect)
    try:
        async with asyncio.timeout(arguments.timeout):
            await peer.wait_connected()
            await peer.perform()
    except TimeoutError:
        peer.outcome.error = "time ran out"
    except ConnectionError:
        peer.outcome.error = peer.outcome.error if peer.outcome.error != "none" else "no connection"
    peer.close(ErrorCode.H3_NO_ERROR)
    transport.close()
    print(f"result {peer.outcome}", flush=True)
    return int(peer.outcome.error != "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connect", type=parse_address, required=True)
    parser.add_argument("--anchor", required=True, help="PEM file of certificates to trust")
    parser.add_argument("--server-name", default="localhost")
    parser.add_argument("--token")
    parser.add_argument("--form", choices=[CLASSIC, *TYPES], default=CLASSIC)
    parser.add_argument("--to", default="", metavar="HOST:PORT")
    parser.add_argument("--optimistic", action="store_true", help="send the payload before the answer")
    parser.add_argument("--timeout", type=float, default=60.0)
    parser.add_argument("action", choices=["echo", "fetch", "abort", "status", "root"])
    parser.add_argument("count", type=int, nargs="?", default=0)
    sys.exit(asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
