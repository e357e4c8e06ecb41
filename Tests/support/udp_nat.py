"""A network address translator on loopback: relays UDP and changes its outer port or address when told to.

    udp_nat.py --to 127.0.0.1:4433 [--listen 127.0.0.1:0] [--rebind-after BYTES]... [--readdress-after BYTES]...
               [--largest BYTES] [--capture FILE]

Prints `listening HOST:PORT`, then `mapping COUNT of HOST:PORT` for each inner address and `rebinding COUNT after BYTES
to HOST:PORT` for each rebinding. Every inner address has one outer socket, the mapping.
A rebinding closes the outer sockets and opens others: what is under way to the old ones is lost, as it is with a real
translator. SIGUSR1 changes the port, SIGUSR2 the port and the address (127.0.0.1 <-> 127.0.0.2). Bytes are counted in
both directions together.

--capture writes what passes to a file for Wireshark, as between the inner address and the server, one record a
datagram: a capture on the loopback interface would show batches instead of datagrams. Not for bulk.

Datagrams are passed on in the batches that the kernel hands out (UDP_GRO in, UDP_SEGMENT out), and with their ECN
marks, so that the translator is no bottleneck for a gigabyte and no obstacle to ECN.
"""

import argparse
import errno
import select
import signal
import socket
import struct
import time
from typing import BinaryIO

UDP_SEGMENT = 103
UDP_GRO = 104
ECN_MASK = 0x03
# Largest UDP payload that a batch holds; the kernel never hands out more in one call.
LARGEST_BATCH = 65_535
# Bytes of ancillary data: the segment size and the type of service.
ANCILLARY_SPACE = socket.CMSG_SPACE(4) * 2
# Bytes of a socket buffer: a burst of a fast sender fits in, the system's limit permitting.
SOCKET_BUFFER = 4 << 20
# Batches taken from one socket before the others have their turn.
BATCHES_PER_TURN = 16
# An unreachable port on one side is not the translator's business.
PASSING_ERRORS = frozenset(
    {
        errno.EAGAIN,
        errno.ECONNREFUSED,
        errno.EPERM,
        errno.EMSGSIZE,
        errno.ENOBUFS,
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
    }
)

Address = tuple[str, int]


def parse_address(text: str) -> Address:
    """HOST:PORT with an IPv4 address."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def open_socket(address: Address) -> socket.socket:
    """A bound UDP socket that receives batches with their ECN marks."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    try:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    except OSError:
        pass  # Older kernels: every batch is one datagram.
    sock.bind(address)
    return sock


class Capture:
    """A file of datagrams in the format of libpcap."""

    # Magic, version 2.4, time zone, accuracy, largest record, link type 101: bare IP.
    HEADER = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 101)
    IP_HEADER_SIZE = 20
    UDP_HEADER_SIZE = 8

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        file.write(self.HEADER)

    def write(self, source: Address, target: Address, batch: memoryview, segment: int, ecn: int) -> None:
        """Writes the datagrams of a batch."""
        seconds, microseconds = divmod(time.time_ns() // 1_000, 1_000_000)
        for start in range(0, len(batch), segment or len(batch)):
            payload = batch[start:start + (segment or len(batch))]
            udp_length = self.UDP_HEADER_SIZE + len(payload)
            length = self.IP_HEADER_SIZE + udp_length
            self.file.write(struct.pack("=IIII", seconds, microseconds, length, length))
            hosts = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
            self.file.write(struct.pack("!BBHHHBBH", 0x45, ecn, length, 0, 0, 64, socket.IPPROTO_UDP, 0) + hosts)
            self.file.write(struct.pack("!HHHH", source[1], target[1], udp_length, 0))
            self.file.write(payload)
        self.file.flush()


class Translator:
    """Inner addresses on one side, one outer socket for each of them on the other."""

    def __init__(self, listen: Address, server: Address, largest: int, every: list[tuple[int, bool]]) -> None:
        self.inner = open_socket(listen)
        self.server = server
        self.largest = largest
        self.schedule = sorted(every)
        self.outer_host = "127.0.0.1"
        self.outer_of: dict[Address, socket.socket] = {}
        self.inner_of: dict[socket.socket, Address] = {}
        self.bytes_relayed = 0
        self.rebindings = 0
        self.wanted: list[bool] = []  # One entry a rebinding that is due; true when the address changes too.
        self.selector = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.watch(self.inner)
        self.batch = bytearray(LARGEST_BATCH)
        self.capture: Capture | None = None
        self.mappings = 0

    def watch(self, sock: socket.socket) -> None:
        """Adds a socket to those that are read."""
        self.sockets[sock.fileno()] = sock
        self.selector.register(sock.fileno(), select.EPOLLIN)

    def open_mapping(self, inner: Address) -> socket.socket:
        """An outer socket for an inner address."""
        sock = open_socket((self.outer_host, 0))
        self.outer_of[inner] = sock
        self.inner_of[sock] = inner
        self.watch(sock)
        return sock

    def new_mapping(self, inner: Address) -> socket.socket:
        """The outer socket of an inner address that was not seen before."""
        self.mappings += 1
        print(f"mapping {self.mappings} of {inner[0]}:{inner[1]}", flush=True)
        return self.open_mapping(inner)

    def rebind(self, *, change_address: bool) -> None:
        """Moves every mapping to a new outer port, and to another outer address if asked for."""
        if change_address:
            self.outer_host = "127.0.0.2" if self.outer_host == "127.0.0.1" else "127.0.0.1"
        old_sockets = list(self.inner_of)
        inners = list(self.outer_of)
        self.inner_of.clear()
        self.outer_of.clear()
        names = [self.open_mapping(inner).getsockname() for inner in inners]
        # Closed only now: a new socket must not get the old port.
        for sock in old_sockets:
            self.selector.unregister(sock.fileno())
            del self.sockets[sock.fileno()]
            sock.close()
        self.rebindings += 1
        ports = " ".join(f"{host}:{port}" for host, port in names)
        print(f"rebinding {self.rebindings} after {self.bytes_relayed} bytes to {ports}", flush=True)

    def relay(self, source: socket.socket) -> None:
        """Passes on what a socket has, up to a bound."""
        for _ in range(BATCHES_PER_TURN):
            try:
                count, ancillary, _, sender = source.recvmsg_into([self.batch], ANCILLARY_SPACE)
            except OSError as error:
                if error.errno in PASSING_ERRORS:
                    return
                raise
            segment, ecn = 0, 0
            for level, kind, data in ancillary:
                if level == socket.IPPROTO_UDP and kind == UDP_GRO:
                    segment = struct.unpack("=i", data[:4])[0]
                elif level == socket.IPPROTO_IP and kind == socket.IP_TOS:
                    ecn = data[0] & ECN_MASK
            # A batch ends with its shortest datagram: the first one tells whether any is too large for the link.
            if min(segment or count, count) > self.largest:
                continue
            if source is self.inner:
                target, address = self.outer_of.get(sender) or self.new_mapping(sender), self.server
            else:
                target, address = self.inner, self.inner_of[source]
            if self.capture is not None:
                source_end, target_end = (sender, address) if source is self.inner else (self.server, address)
                self.capture.write(source_end, target_end, memoryview(self.batch)[:count], segment, ecn)
            self.send(target, address, count, segment, ecn)
            self.bytes_relayed += count

    def send(self, target: socket.socket, address: Address, count: int, segment: int, ecn: int) -> None:
        """Sends the batch on; a full socket buffer drops it, as a queue does."""
        ancillary: list[tuple[int, int, bytes]] = []
        if 0 < segment < count:
            ancillary.append((socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", segment)))
        if ecn:
            ancillary.append((socket.IPPROTO_IP, socket.IP_TOS, struct.pack("=i", ecn)))
        try:
            target.sendmsg([memoryview(self.batch)[:count]], ancillary, 0, address)
        except OSError as error:
            if error.errno not in PASSING_ERRORS:
                raise

    def run(self) -> None:
        """Relays until the process is ended."""
        while True:
            try:
                ready = self.selector.poll()
            except InterruptedError:
                ready = []
            for descriptor, _ in ready:
                sock = self.sockets.get(descriptor)
                if sock is not None:
                    self.relay(sock)
            while self.schedule and self.bytes_relayed >= self.schedule[0][0]:
                self.rebind(change_address=self.schedule.pop(0)[1])
            while self.wanted:
                self.rebind(change_address=self.wanted.pop(0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", type=parse_address, default=("127.0.0.1", 0))
    parser.add_argument("--to", type=parse_address, required=True)
    parser.add_argument("--rebind-after", type=int, action="append", default=[], metavar="BYTES")
    parser.add_argument("--readdress-after", type=int, action="append", default=[], metavar="BYTES")
    parser.add_argument("--largest", type=int, default=LARGEST_BATCH, help="drop larger datagrams: 1472 is Ethernet's")
    parser.add_argument("--capture", metavar="FILE")
    arguments = parser.parse_args()
    schedule = [(count, False) for count in arguments.rebind_after]
    schedule += [(count, True) for count in arguments.readdress_after]
    translator = Translator(arguments.listen, arguments.to, arguments.largest, schedule)
    if arguments.capture:
        translator.capture = Capture(open(arguments.capture, "wb"))
    # Python hands signals to the interpreter only between calls: a pipe wakes the loop up.
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    translator.selector.register(reader.fileno(), select.EPOLLIN | select.EPOLLET)
    signal.signal(signal.SIGUSR1, lambda *_: translator.wanted.append(False))
    signal.signal(signal.SIGUSR2, lambda *_: translator.wanted.append(True))
    host, port = translator.inner.getsockname()
    print(f"listening {host}:{port}", flush=True)
    translator.run()


if __name__ == "__main__":
    main()
