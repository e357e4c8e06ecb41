"""A raw QUIC server of aioquic for the application of `application.py`.

Prints `listening HOST:PORT`, then one line `connection KEY=VALUE ...` at the end of each connection.
"""

import argparse
import asyncio
from typing import Any

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import NetworkAddress
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StreamDataReceived
from aioquic.tls import SessionTicket

from application import ALPN, CIPHERS, WRONG_BYTES, Receiver, Watcher, response
from udp_nat import parse_address

WINDOW = 8 << 20


class Peer(QuicConnectionProtocol):
    """One connection."""

    key_update_after: int | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.watcher = Watcher(self._quic)
        self.receivers: dict[int, Receiver] = {}
        self.answered: set[int] = set()

    def datagram_received(self, data: bytes | str, addr: NetworkAddress) -> None:
        super().datagram_received(data, addr)
        self.watcher.look()

    def quic_event_received(self, event: QuicEvent) -> None:
        self.watcher.note(event)
        match event:
            case StreamDataReceived(stream_id=stream_id, data=data, end_stream=ended):
                self.stream_data_received(stream_id, data, ended)
            case ConnectionTerminated():
                print(f"connection {self.watcher.report}", flush=True)

    def stream_data_received(self, stream_id: int, data: bytes, ended: bool) -> None:
        """Answers a request as soon as its numbers are known, and checks it at its end."""
        report = self.watcher.report
        receiver = self.receivers.setdefault(stream_id, Receiver(2))
        before = receiver.checker.count
        receiver.feed(data)
        report.bytes_in += receiver.checker.count - before
        if receiver.numbers and stream_id not in self.answered:
            self.answered.add(stream_id)
            report.bytes_out += receiver.numbers[1]
            self._quic.send_stream_data(stream_id, response(receiver.numbers[1]))
        if self.key_update_after is not None and report.bytes_in >= self.key_update_after:
            self.key_update_after = None
            self._quic.request_key_update()
        if ended:
            fault = receiver.fault(receiver.numbers[0] if receiver.numbers else 0)
            if fault is None:
                report.streams += 1
                self._quic.send_stream_data(stream_id, b"", end_stream=True)
            else:
                report.error = fault
                self._quic.reset_stream(stream_id, WRONG_BYTES)


async def serve(arguments: argparse.Namespace) -> None:
    """Serves until the process is ended."""
    configuration = QuicConfiguration(
        is_client=False, alpn_protocols=[arguments.alpn], max_data=WINDOW, max_stream_data=WINDOW
    )
    configuration.load_cert_chain(arguments.certificate, arguments.key)
    if arguments.cipher:
        configuration.cipher_suites = [CIPHERS[arguments.cipher]]
    if arguments.version:
        configuration.supported_versions = [arguments.version]
    Peer.key_update_after = arguments.key_update_after
    tickets: dict[bytes, SessionTicket] = {}
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: QuicServer(
            configuration=configuration,
            create_protocol=Peer,
            retry=arguments.retry,
            session_ticket_fetcher=lambda label: tickets.pop(label, None),
            session_ticket_handler=lambda ticket: tickets.update({ticket.ticket: ticket}),
        ),
        local_addr=arguments.listen,
    )
    host, port = transport.get_extra_info("sockname")
    print(f"listening {host}:{port}", flush=True)
    await asyncio.get_running_loop().create_future()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", type=parse_address, default=("127.0.0.1", 0))
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--alpn", default=ALPN)
    parser.add_argument("--retry", action="store_true", help="ask every client for an address token")
    parser.add_argument("--cipher", choices=CIPHERS)
    parser.add_argument("--version", type=lambda text: int(text, 16), help="the only version that is spoken")
    parser.add_argument("--key-update-after", type=int, metavar="BYTES", help="of payload received")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
