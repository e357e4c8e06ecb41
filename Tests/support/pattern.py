"""Bytes that both ends of a test can compute: the byte at an offset depends on the offset alone.

One block of a prime length is repeated, so that a piece put in the wrong place shows for every packet and buffer size.
The block is the upper bytes of a linear congruential generator: x = x * 1103515245 + 12345 mod 2^31, starting from
x = 1, and byte = (x >> 16) & 255 after each step.
"""

BLOCK_LENGTH = 65_521


def _block() -> bytes:
    state = 1
    block = bytearray()
    for _ in range(BLOCK_LENGTH):
        state = (state * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
        block.append((state >> 16) & 0xFF)
    return bytes(block)


_BLOCK = _block()
_TWO_BLOCKS = _BLOCK * 2


def pattern(offset: int, length: int) -> bytes:
    """The bytes from `offset` on."""
    start = offset % BLOCK_LENGTH
    if length <= BLOCK_LENGTH:
        return _TWO_BLOCKS[start : start + length]
    head = _TWO_BLOCKS[start : start + BLOCK_LENGTH]
    return (head * (length // BLOCK_LENGTH + 1))[:length]


class PatternChecker:
    """Takes bytes in order and remembers where they first differ from the pattern."""

    def __init__(self, offset: int = 0) -> None:
        self.start = offset
        self.count = 0
        self.first_difference: int | None = None

    def feed(self, data: bytes) -> None:
        """Takes the next bytes."""
        if self.first_difference is None and data != pattern(self.start + self.count, len(data)):
            expected = pattern(self.start + self.count, len(data))
            index = next(index for index, byte in enumerate(data) if byte != expected[index])
            self.first_difference = self.count + index
        self.count += len(data)
