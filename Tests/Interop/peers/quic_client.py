"""A raw QUIC client of aioquic for the application of `application.py`.

Runs the exchanges, prints one line `result KEY=VALUE ...` and exits with 0 when all of them were right.
"""

import argparse
import asyncio
import pickle
import sys
from pathlib import Path
from typing import Any

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import NetworkAddress, QuicConnection
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
    StreamDataReceived,
    StreamReset,
)
from aioquic.quic.packet import QuicProtocolVersion
from aioquic.tls import SessionTicket

from application import ALPN, CIPHERS, Receiver, Watcher, request
from udp_nat import parse_address

WINDOW = 8 << 20
# Seconds that a ticket may take after the exchanges are over.
TICKET_LIMIT = 2.0


class OtherSocket(asyncio.DatagramProtocol):
    """A second socket of the same connection."""

    def __init__(self, peer: "Peer") -> None:
        self.peer = peer

    def datagram_received(self, data: bytes, addr: NetworkAddress) -> None:
        self.peer.datagram_received(data, addr)


class Peer(QuicConnectionProtocol):
    """The connection."""

    arguments: argparse.Namespace

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.watcher = Watcher(self._quic)
        self.receivers: dict[int, Receiver] = {}
        self.done = asyncio.Event()
        self.key_update_after = self.arguments.key_update_after
        self.change_connection_id_after = self.arguments.change_connection_id_after
        self.rebind_after = self.arguments.rebind_after
        self.rebinding: asyncio.Task[None] | None = None

    def datagram_received(self, data: bytes | str, addr: NetworkAddress) -> None:
        super().datagram_received(data, addr)
        self.watcher.look()

    def quic_event_received(self, event: QuicEvent) -> None:
        self.watcher.note(event)
        match event:
            case HandshakeCompleted():
                self.start()
            case StreamDataReceived(stream_id=stream_id, data=data, end_stream=ended):
                self.stream_data_received(stream_id, data, ended)
            case StreamReset(stream_id=stream_id, error_code=code):
                self.watcher.report.error = f"stream_{stream_id}_reset_with_{code:#x}"
                self.done.set()
            case ConnectionTerminated(error_code=code):
                if code == 0 and self.open_streams:
                    self.watcher.report.error = "closed_before_the_end"
                self.done.set()

    @property
    def open_streams(self) -> int:
        """Exchanges that are not complete."""
        streams: int = self.arguments.streams
        return streams - self.watcher.report.streams

    def start(self) -> None:
        """Opens all streams."""
        if not self.open_streams:
            self.done.set()
        for _ in range(self.arguments.streams):
            stream_id = self._quic.get_next_available_stream_id()
            self.receivers[stream_id] = Receiver(1)
            data = request(self.arguments.bytes_up, self.arguments.bytes_down)
            self._quic.send_stream_data(stream_id, data, end_stream=True)
            self.watcher.report.bytes_out += self.arguments.bytes_up

    def stream_data_received(self, stream_id: int, data: bytes, ended: bool) -> None:
        """Checks an answer, and does in the middle of it what was asked for."""
        report = self.watcher.report
        receiver = self.receivers[stream_id]
        before = receiver.checker.count
        receiver.feed(data)
        report.bytes_in += receiver.checker.count - before
        if self.key_update_after is not None and report.bytes_in >= self.key_update_after:
            self.key_update_after = None
            self._quic.request_key_update()
        if self.change_connection_id_after is not None and report.bytes_in >= self.change_connection_id_after:
            self.change_connection_id_after = None
            if not self._quic._peer_cid_available:
                report.error = "the_peer_gave_no_spare_connection_ID"
            self._quic.change_connection_id()
        if self.rebind_after is not None and report.bytes_in >= self.rebind_after:
            self.rebind_after = None
            self.rebinding = asyncio.create_task(self.rebind())
        if ended:
            fault = receiver.fault(self.arguments.bytes_down)
            report.streams += fault is None
            if fault is not None:
                report.error = fault
            if not self.open_streams or fault is not None:
                self.done.set()

    async def rebind(self) -> None:
        """Goes on from another socket, under another connection ID (RFC 9000 section 9.5)."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: OtherSocket(self), local_addr=("127.0.0.1", 0)
        )
        old, self._transport = self._transport, transport
        self.watcher.report.rebindings += 1
        self.change_connection_id()
        if old is not None:
            old.close()


async def run(arguments: argparse.Namespace) -> int:
    """One connection; the exit code."""
    configuration = QuicConfiguration(
        alpn_protocols=[arguments.alpn],
        server_name=arguments.server_name,
        cafile=arguments.anchor,
        max_data=WINDOW,
        max_stream_data=WINDOW,
    )
    if arguments.cipher:
        configuration.cipher_suites = [CIPHERS[arguments.cipher]]
    if arguments.initial_version:
        configuration.original_version = arguments.initial_version
        configuration.supported_versions = [arguments.initial_version, QuicProtocolVersion.VERSION_1]
    if arguments.key_log:
        configuration.secrets_log_file = arguments.key_log.open("a")
    if arguments.ticket and arguments.ticket.exists():
        # The file is one that this program wrote.
        configuration.session_ticket = pickle.loads(arguments.ticket.read_bytes())
    Peer.arguments = arguments
    ticket_received = asyncio.Event()

    def keep(ticket: SessionTicket) -> None:
        if arguments.ticket:
            arguments.ticket.write_bytes(pickle.dumps(ticket))
        ticket_received.set()

    quic = QuicConnection(configuration=configuration, session_ticket_handler=keep)
    loop = asyncio.get_running_loop()
    _, peer = await loop.create_datagram_endpoint(
        lambda: Peer(quic), local_addr=("127.0.0.1", 0)
    )
    peer.connect(arguments.connect)
    report = peer.watcher.report
    try:
        await asyncio.wait_for(peer.done.wait(), arguments.timeout)
        if arguments.ticket and report.error == "none":
            await asyncio.wait_for(ticket_received.wait(), TICKET_LIMIT)
    except TimeoutError:
        report.error = "time_ran_out"
    peer.close()
    if peer._transport is not None:
        peer._transport.close()
    print(f"result {report}", flush=True)
    return int(report.error != "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connect", type=parse_address, required=True)
    parser.add_argument("--anchor", required=True, help="PEM file of certificates to trust")
    parser.add_argument("--server-name", default="localhost")
    parser.add_argument("--alpn", default=ALPN)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--bytes-up", type=int, default=0)
    parser.add_argument("--bytes-down", type=int, default=0)
    parser.add_argument("--cipher", choices=CIPHERS)
    parser.add_argument("--initial-version", type=lambda text: int(text, 16))
    parser.add_argument("--ticket", type=Path, help="resume from it if it exists; keep a new ticket in it")
    parser.add_argument("--key-update-after", type=int, metavar="BYTES", help="of payload received")
    parser.add_argument("--change-connection-id-after", type=int, metavar="BYTES", help="of payload received")
    parser.add_argument("--rebind-after", type=int, metavar="BYTES", help="of payload received")
    parser.add_argument("--key-log", type=Path, help="append the secrets there, for Wireshark")
    parser.add_argument("--timeout", type=float, default=60.0)
    sys.exit(asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
