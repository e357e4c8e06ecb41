"""The application that the raw QUIC peers of the interoperability tests speak, ALPN `godwit-interop`.

Every bidirectional stream that the client opens carries one exchange:

    client  N (8 bytes, big-endian), M (8 bytes), N bytes of the pattern, FIN
    server  M (8 bytes), M bytes of the pattern, FIN

The server starts as soon as it has both numbers; its FIN also says that it has got and checked all of the request.
A server that gets anything else resets the stream with error 1. What ran is said in one line of
`key=value` pairs (`Report`), the same for peers of every make.
"""

from dataclasses import dataclass, fields

from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionIdRetired,
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
)
from aioquic.tls import CipherSuite, Epoch

from pattern import PatternChecker, pattern

ALPN = "godwit-interop"
WRONG_BYTES = 1
LENGTH_SIZE = 8

CIPHERS = {
    "aes-128-gcm": CipherSuite.AES_128_GCM_SHA256,
    "aes-256-gcm": CipherSuite.AES_256_GCM_SHA384,
    "chacha20-poly1305": CipherSuite.CHACHA20_POLY1305_SHA256,
}


@dataclass
class Report:
    """What one side saw of a connection."""

    version: str = "none"  # Of QUIC, as hexadecimal number.
    alpn: str = "none"
    cipher: str = "none"
    resumed: int = 0  # 1: by a session ticket.
    retry: int = 0  # 1: after a Retry packet.
    negotiated: int = 0  # 1: after a Version Negotiation packet.
    key_updates: int = 0  # Changes of the key phase, whoever began them.
    rebindings: int = 0  # Changes of the peer's address (server), of the own socket (client).
    ids_retired: int = 0  # Connection IDs of this side that the peer has given up.
    streams: int = 0  # Exchanges that were completed.
    bytes_in: int = 0  # Payload, without the numbers in front.
    bytes_out: int = 0
    error: str = "none"

    def __str__(self) -> str:
        return " ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))


class Watcher:
    """Fills a report from a connection of aioquic; look after every datagram and event."""

    def __init__(self, quic: QuicConnection) -> None:
        self.quic = quic
        self.report = Report()
        self._key_phase = 0
        self._address: object = None

    def look(self) -> None:
        """Notes changes that have no event."""
        crypto = self.quic._cryptos.get(Epoch.ONE_RTT)
        if crypto is not None and crypto.key_phase != self._key_phase:
            self._key_phase = crypto.key_phase
            self.report.key_updates += 1
        address = self.quic._network_paths[0].addr if self.quic._network_paths else None
        if address != self._address and self._address is not None:
            self.report.rebindings += 1
        self._address = address

    def note(self, event: QuicEvent) -> None:
        """Notes an event."""
        match event:
            case HandshakeCompleted(alpn_protocol=alpn, session_resumed=resumed):
                self.report.alpn = alpn or "none"
                self.report.resumed = int(resumed)
                self.report.version = f"{self.quic._version:#x}"
                self.report.retry = int(
                    self.quic._retry_source_connection_id is not None or self.quic._retry_count > 0
                )
                self.report.negotiated = int(self.quic._version_negotiated_incompatible)
                schedule = self.quic.tls.key_schedule
                suite = schedule.cipher_suite if schedule is not None else None
                self.report.cipher = next(name for name, value in CIPHERS.items() if value == suite)
            case ConnectionIdRetired():
                self.report.ids_retired += 1
            case ConnectionTerminated(error_code=code, reason_phrase=reason) if code != 0:
                words = reason.replace(" ", "_") or "no_reason"
                self.report.error = f"{code:#x}:{words}"


class Receiver:
    """Takes one direction of an exchange apart: `count` numbers, then pattern bytes."""

    def __init__(self, count: int) -> None:
        self._needed = count * LENGTH_SIZE
        self._head = b""
        self.numbers: list[int] = []
        self.checker = PatternChecker()

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the stream."""
        missing = self._needed - len(self._head)
        if missing > 0:
            self._head += data[:missing]
            data = data[missing:]
            if len(self._head) == self._needed:
                self.numbers = [
                    int.from_bytes(self._head[start : start + LENGTH_SIZE])
                    for start in range(0, self._needed, LENGTH_SIZE)
                ]
        if data:
            self.checker.feed(data)

    def fault(self, expected: int) -> str | None:
        """What is wrong with a finished direction, if anything."""
        if len(self._head) < self._needed:
            return "the_stream_ended_before_its_payload"
        if self.checker.first_difference is not None:
            return f"wrong_byte_at_{self.checker.first_difference}"
        if self.checker.count != expected:
            return f"{self.checker.count}_bytes_instead_of_{expected}"
        return None


def request(bytes_up: int, bytes_down: int) -> bytes:
    """What a client sends on a stream."""
    return bytes_up.to_bytes(LENGTH_SIZE) + bytes_down.to_bytes(LENGTH_SIZE) + pattern(0, bytes_up)


def response(bytes_down: int) -> bytes:
    """What a server sends on a stream."""
    return bytes_down.to_bytes(LENGTH_SIZE) + pattern(0, bytes_down)
