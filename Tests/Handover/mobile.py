"""The mobile machine's networks: what a DHCP client, a modem and the emulated links do to it.

    mobile.py up LINK...       gives the link's interface its address, routes and rule
    mobile.py down LINK...     takes the interface down

The namespace is $MOBILE, the emulator's control socket $LAB_CONTROL.
"""

import os
import subprocess
import sys
from dataclasses import dataclass

from control import ask


@dataclass
class Link:
    """A network of the mobile machine."""

    name: str
    interface: str
    address: str
    router: str
    # Of the default route: the lower one is preferred.
    metric: int
    # Of the routes for packets from the link's own address.
    table: int
    # Round trip in seconds, and bits a second, of the link as it is at first.
    round_trip: float
    rate: float


@dataclass
class Link6(Link):
    """A network with IPv6 only, whose router gives no translation: on a link without Ethernet nobody asks for neighbours."""


LINKS = {
    "wifi": Link("wifi", "wlan0", "192.168.1.23", "192.168.1.1", 600, 101, 0.020, 100e6),
    "cell": Link("cell", "wwan0", "10.64.0.7", "10.64.0.1", 700, 102, 0.060, 40e6),
}
# The cellular network as one that has IPv6 only.
CELL6 = Link6("cell", "wwan0", "2001:db8:64::7", "", 700, 102, 0.060, 40e6)


def ip(*commands: str) -> None:
    """Carries out commands of ip(8) in the mobile machine, in one process; one that fails does not stop the others."""
    subprocess.run(
        ["ip", "-n", os.environ["MOBILE"], "-force", "-batch", "-"],
        input="\n".join(commands).encode(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def lab(command: str) -> str:
    """Tells the emulator something."""
    answer = ask(os.environ["LAB_CONTROL"], command)
    if answer.startswith("error"):
        raise SystemExit(f"{command}: {answer.strip()}")
    return answer


def routes(link: Link) -> list[str]:
    """What a DHCP client, or a router's advertisement, sets up for an address."""
    if isinstance(link, Link6):
        return [
            f"route replace ::/0 dev {link.interface} src {link.address} metric {link.metric}",
            f"route replace ::/0 dev {link.interface} src {link.address} table {link.table}",
            f"rule add from {link.address} lookup {link.table} priority {link.table}",
        ]
    return [
        f"route replace default via {link.router} dev {link.interface} src {link.address} metric {link.metric}",
        f"route replace default via {link.router} dev {link.interface} src {link.address} table {link.table}",
        f"rule add from {link.address} lookup {link.table} priority {link.table}",
    ]


def up(name: str) -> None:
    """The interface comes up and gets its address."""
    link = LINKS[name]
    ip(
        f"rule del priority {link.table}",
        f"addr replace {link.address}/24 dev {link.interface}", f"link set {link.interface} up", *routes(link))


def up6(link: Link6) -> None:
    """The interface comes up and gets its IPv6 address, and no other."""
    ip(f"addr replace {link.address}/64 dev {link.interface} nodad", f"link set {link.interface} up", *routes(link))


def down(name: str) -> None:
    """The interface goes down; the kernel removes its routes, and the address stays."""
    ip(f"link set {LINKS[name].interface} down")


def remove_address(name: str) -> None:
    """The address goes and the interface stays up; the kernel removes the routes."""
    link = LINKS[name]
    ip(f"addr del {link.address}/24 dev {link.interface}", f"rule del priority {link.table}")


def readdress(name: str, address: str) -> None:
    """DHCP gives the interface another address."""
    link = LINKS[name]
    old = link.address
    link.address = address
    ip(
        f"addr del {old}/24 dev {link.interface}", f"rule del priority {link.table}",
        f"addr add {address}/24 dev {link.interface}", *routes(link))


if __name__ == "__main__":
    for each in sys.argv[2:]:
        {"up": up, "down": down}[sys.argv[1]](each)
