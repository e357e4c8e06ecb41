"""An HTTP/3 gateway of aioquic: classic CONNECT and connect-tcp to TCP origins, for clients under test.

Prints `listening HOST:PORT`, then one line for each request, when its tunnel is over:
`tunnel form=FORM to=HOST:PORT status=STATUS bytes_up=N bytes_down=M end=HOW`. Its way of refusing is that of Godwit's
own gateway: 401 or 407 without the token, 404 for a plain GET, 502 with Proxy-Status for a refused connection.
"""

import argparse
import asyncio
import socket
import struct
from typing import Any
from urllib.parse import unquote

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.h3.connection import ErrorCode, H3Connection, Setting
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StopSendingReceived, StreamReset
from aioquic.tls import SessionTicket

from capsules import TYPES, CapsuleReader, encode
from udp_nat import parse_address

CLASSIC = "classic"
PIECE = 16_000
# Bytes for a tunnel that the client has not acknowledged; above it the origin is not read.
MOST_UNSENT = 1 << 20
Headers = list[tuple[bytes, bytes]]


class HTTP3WithoutExtendedConnect(H3Connection):
    """One that does not announce extended CONNECT (RFC 9220 section 3)."""

    def _get_local_settings(self) -> dict[int, int]:
        settings = super()._get_local_settings()
        del settings[Setting.ENABLE_CONNECT_PROTOCOL]
        return settings


class Tunnel:
    """One request, and the TCP connection it asks for."""

    def __init__(self, peer: "Peer", stream_id: int, headers: dict[bytes, bytes]) -> None:
        self.peer = peer
        self.stream_id = stream_id
        self.headers = headers
        self.form = headers.get(b":protocol", CLASSIC.encode()).decode()
        self.capsules = CapsuleReader() if self.form != CLASSIC else None
        self.incoming: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.task = asyncio.create_task(self.run())
        self.to = "none"
        self.status = 0
        self.bytes_up = 0
        self.bytes_down = 0
        self.end = "fin"
        self.writer: asyncio.StreamWriter | None = None

    # What the connection reports.

    def data_received(self, data: bytes, ended: bool) -> None:
        """A piece from the client."""
        if self.capsules is not None:
            was_final = self.capsules.is_final
            data = self.capsules.feed(data)
            if ended and not self.capsules.is_final:
                self.reset_received(ErrorCode.H3_CONNECT_ERROR)
                return
            # The end of the stream may come with FINAL_DATA, later or never.
            ended = self.capsules.is_final and not was_final
        if data:
            self.incoming.put_nowait(data)
        if ended:
            self.incoming.put_nowait(None)

    def reset_received(self, code: int) -> None:
        """The client gave the tunnel up: the origin gets a TCP reset."""
        self.end = f"client_reset:{code:#x}"
        self.reset_origin()
        self.task.cancel()

    # The tunnel.

    async def run(self) -> None:
        """From the request to the end of both directions."""
        try:
            streams = await self.open()
            if streams is not None:
                reader, self.writer = streams
                up = asyncio.create_task(self.relay_up(self.writer))
                try:
                    await self.relay_down(reader)
                    await up
                finally:
                    up.cancel()
        except (ConnectionError, TimeoutError):
            self.end = "origin_reset"
            self.peer.reset(self.stream_id, ErrorCode.H3_CONNECT_ERROR)
        except asyncio.CancelledError:
            self.end = self.end if self.end != "fin" else "connection_closed"
            self.peer.reset(self.stream_id, ErrorCode.H3_CONNECT_ERROR)
        finally:
            if self.writer is not None:
                self.writer.close()
            print(
                f"tunnel form={self.form} to={self.to} status={self.status} bytes_up={self.bytes_up} "
                f"bytes_down={self.bytes_down} end={self.end}",
                flush=True,
            )

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Answers the request; the connection to the origin if it is up."""
        if self.headers[b":method"] != b"CONNECT":
            self.refuse(404)
            return None
        is_classic = self.form == CLASSIC
        field = b"proxy-authorization" if is_classic else b"authorization"
        if self.headers.get(field) != f"Bearer {self.peer.arguments.token}".encode():
            challenge = b"proxy-authenticate" if is_classic else b"www-authenticate"
            self.refuse(407 if is_classic else 401, [(challenge, b"Bearer")])
            return None
        if is_classic:
            self.to = self.headers[b":authority"].decode()
            host, _, port = self.to.rpartition(":")
        else:
            host, port = (unquote(part) for part in self.headers[b":path"].decode().split("/")[4:6])
            self.to = f"{host}:{port}"
        try:
            streams = await asyncio.open_connection(host.strip("[]"), int(port))
        except socket.gaierror:
            self.refuse(502, [(b"proxy-status", b"gateway; error=dns_error")])
            return None
        except OSError:
            self.refuse(502, [(b"proxy-status", b"gateway; error=connection_refused")])
            return None
        extra = [(b"capsule-protocol", b"?1")] if self.capsules is not None else []
        self.answer(200, extra, end_stream=False)
        return streams

    def answer(self, status: int, extra: Headers, *, end_stream: bool) -> None:
        """The head of the answer."""
        self.status = status
        headers = [(b":status", str(status).encode()), *extra]
        self.peer.http.send_headers(self.stream_id, headers, end_stream=end_stream)
        self.peer.transmit()

    def refuse(self, status: int, extra: Headers | None = None) -> None:
        """An answer without a tunnel."""
        self.answer(status, extra or [], end_stream=True)

    async def relay_up(self, writer: asyncio.StreamWriter) -> None:
        """From the client to the origin."""
        while (data := await self.incoming.get()) is not None:
            writer.write(data)
            self.bytes_up += len(data)
            await writer.drain()
        writer.write_eof()

    async def relay_down(self, reader: asyncio.StreamReader) -> None:
        """From the origin to the client."""
        http = self.peer.http
        while data := await reader.read(PIECE):
            self.bytes_down += len(data)
            if self.capsules is not None:
                data = encode(TYPES[self.form][0], data)
            http.send_data(self.stream_id, data, end_stream=False)
            self.peer.transmit()
            while self.peer.unsent(self.stream_id) > MOST_UNSENT:
                await asyncio.sleep(0.002)
        final = encode(TYPES[self.form][1], b"") if self.capsules is not None else b""
        http.send_data(self.stream_id, final, end_stream=True)
        self.peer.transmit()

    def reset_origin(self) -> None:
        """Makes the end of the TCP connection a reset."""
        if self.writer is not None:
            sock = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()


class Peer(QuicConnectionProtocol):
    """One connection."""

    arguments: argparse.Namespace

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        make = HTTP3WithoutExtendedConnect if self.arguments.classic_only else H3Connection
        self.http = make(self._quic)
        self.tunnels: dict[int, Tunnel] = {}

    def quic_event_received(self, event: QuicEvent) -> None:
        match event:
            case StreamReset(stream_id=stream_id, error_code=code) if stream_id in self.tunnels:
                self.tunnels[stream_id].reset_received(code)
            case StopSendingReceived(stream_id=stream_id, error_code=code) if stream_id in self.tunnels:
                self.tunnels[stream_id].reset_received(code)
            case ConnectionTerminated():
                for tunnel in self.tunnels.values():
                    tunnel.task.cancel()
        for http_event in self.http.handle_event(event):
            match http_event:
                case HeadersReceived(stream_id=stream_id, headers=headers, stream_ended=ended):
                    self.tunnels[stream_id] = Tunnel(self, stream_id, dict(headers))
                    if ended:
                        self.tunnels[stream_id].data_received(b"", ended)
                case DataReceived(stream_id=stream_id, data=data, stream_ended=ended):
                    self.tunnels[stream_id].data_received(data, ended)

    def reset(self, stream_id: int, code: int) -> None:
        """Ends a stream abruptly."""
        self._quic.reset_stream(stream_id, code)
        self.transmit()

    def unsent(self, stream_id: int) -> int:
        """Bytes of a stream that the client has not acknowledged."""
        stream = self._quic._streams.get(stream_id)
        return len(stream.sender._buffer) if stream is not None else 0


async def serve(arguments: argparse.Namespace) -> None:
    """Serves until the process is ended."""
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3"])
    configuration.load_cert_chain(arguments.certificate, arguments.key)
    Peer.arguments = arguments
    tickets: dict[bytes, SessionTicket] = {}
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: QuicServer(
            configuration=configuration,
            create_protocol=Peer,
            session_ticket_fetcher=lambda label: tickets.pop(label, None),
            session_ticket_handler=lambda ticket: tickets.update({ticket.ticket: ticket}),
        ),
        local_addr=arguments.listen,
    )
    host, port = transport.get_extra_info("sockname")
    print(f"listening {host}:{port}", flush=True)
    await loop.create_future()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", type=parse_address, default=("127.0.0.1", 0))
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--classic-only", action="store_true", help="do not announce extended CONNECT")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
