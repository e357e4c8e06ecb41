"""A network address translator on loopback: relays UDP and changes its outer port or address when told to.

    udp_nat.py --to 127.0.0.1:4433 [--listen 127.0.0.1:0] [--rebind-after BYTES]... [--readdress-after BYTES]...

Prints `listening HOST:PORT`, then one line for each rebinding. Every inner address has one outer socket, the mapping.
A rebinding closes the outer sockets and opens others: what is under way to the old ones is lost, as it is with a real
translator. SIGUSR1 changes the port, SIGUSR2 the port and the address (127.0.0.1 <-> 127.0.0.2). Bytes are counted in
both directions together.

Datagrams are passed on in the batches that the kernel hands out (UDP_GRO in, UDP_SEGMENT out), and with their ECN
marks, so that the translator is no bottleneck for a gigabyte and no obstacle to ECN.
"""

import argparse
import errno
import select
import signal
import socket
import struct
import sys

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
                target, address = self.outer_of.get(sender) or self.open_mapping(sender), self.server
            else:
                target, address = self.inner, self.inner_of[source]
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
    arguments = parser.parse_args()
    schedule = [(count, False) for count in arguments.rebind_after]
    schedule += [(count, True) for count in arguments.readdress_after]
    translator = Translator(arguments.listen, arguments.to, arguments.largest, schedule)
    # Python hands signals to the interpreter only between calls: a pipe wakes the loop up.
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno())
    translator.selector.register(reader.fileno(), select.EPOLLIN | select.EPOLLET)
    signal.signal(signal.SIGUSR1, lambda *_: translator.wanted.append(False))
    signal.signal(signal.SIGUSR2, lambda *_: translator.wanted.append(True))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host, port = translator.inner.getsockname()
    print(f"listening {host}:{port}", flush=True)
    translator.run()


if __name__ == "__main__":
    main()
