"""Capsules (RFC 9297) of connect-tcp (draft-ietf-httpbis-connect-tcp), whose numbers differ between its drafts."""

from aioquic._buffer import Buffer, BufferReadError
from aioquic.buffer import encode_uint_var

# The `:protocol` of a draft, and its types of DATA and FINAL_DATA.
TYPES = {
    "connect-tcp": (0x2028D7F0, 0x2028D7F1),
    "connect-tcp-12": (0x2028D7F2, 0x2028D7F3),
}
DATA_TYPES = {data for data, _ in TYPES.values()}
FINAL_TYPES = {final for _, final in TYPES.values()}
# A type of the form 41 * N + 23 means nothing and must be skipped (RFC 9297 section 5.4).
GREASE = 41 * 1_000 + 23


def encode(kind: int, payload: bytes) -> bytes:
    """One capsule."""
    return encode_uint_var(kind) + encode_uint_var(len(payload)) + payload


class CapsuleReader:
    """Takes bytes in any pieces; gives the payload and says when it was the last."""

    def __init__(self) -> None:
        self._head = b""
        self._kind: int | None = None
        self._left = 0
        self.is_final = False
        self.skipped = 0

    def feed(self, data: bytes) -> bytes:
        """The payload of DATA and FINAL_DATA capsules; other capsules are skipped."""
        payload = b""
        while data:
            if self._kind is None:
                data = self._read_head(data)
            if self._kind is not None:
                part, data = data[: self._left], data[self._left :]
                self._left -= len(part)
                if self._kind in DATA_TYPES | FINAL_TYPES:
                    payload += part
                if self._left == 0:
                    self._end_capsule()
        return payload

    def _read_head(self, data: bytes) -> bytes:
        """Takes the type and length if they are whole; the bytes behind them."""
        self._head += data
        buffer = Buffer(data=self._head)
        try:
            kind, self._left = buffer.pull_uint_var(), buffer.pull_uint_var()
        except BufferReadError:
            return b""
        if self.is_final:
            raise ValueError("a capsule follows FINAL_DATA")
        rest = self._head[buffer.tell() :]
        self._head = b""
        if self._left == 0:
            self._kind = kind
            self._end_capsule()
        else:
            self._kind = kind
        return rest

    def _end_capsule(self) -> None:
        if self._kind in FINAL_TYPES:
            self.is_final = True
        elif self._kind not in DATA_TYPES:
            self.skipped += 1
        self._kind = None
