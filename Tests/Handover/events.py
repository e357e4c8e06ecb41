"""What happens to the networks of the mobile machine, and what its applications may feel of it.

Each event begins with both applications running over the links in `links` and ends `watch` seconds after its last step.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import mobile
from mobile import lab


@dataclass
class Play:
    """What an event tells while it is played."""

    # When it began, in seconds since 1970.
    began: float = 0.0
    # How long nothing could get through at all, in seconds.
    outage: float = 0.0
    # What the link to be used offered, as (from, to, bits a second); to is infinite for the last.
    offered: list[tuple[float, float, float]] = field(default_factory=list)
    # The same of the fastest link that was up. It is another one while a link that came back must prove itself.
    fastest: list[tuple[float, float, float]] = field(default_factory=list)

    def begin(self) -> None:
        """The event begins now."""
        self.began = time.time()

    def now_on(self, name: str) -> None:
        """From now on this link is to be used."""
        follow(self.offered, name)
        self.now_fastest(name)

    def now_fastest(self, name: str) -> None:
        """From now on no link that is up is faster than this one."""
        follow(self.fastest, name)


def follow(offers: list[tuple[float, float, float]], name: str) -> None:
    """From now on the offer is that of this link."""
    now = time.time()
    if offers:
        start, _, rate = offers[-1]
        offers[-1] = (start, now, rate)
    offers.append((now, float("inf"), mobile.LINKS[name].rate))


@dataclass
class Event:
    """An event, and the longest stall that it may cause beyond its outage, in seconds."""

    name: str
    goal: float
    steps: Callable[[Play], None]
    links: tuple[str, ...] = ("wifi", "cell")
    # Seconds for which its consequences are watched.
    watch: float = 3.0
    # Seconds that its steps take.
    lasts: float = 0.0
    # Whether a download runs besides the messages.
    load: bool = True
    # What is done before the applications start.
    before: tuple[str, ...] = ()
    # The least share of what the links offered that must arrive, from one second after the event on.
    share: float | None = None


def interface_down(play: Play) -> None:
    play.begin()
    mobile.down("wifi")
    play.now_on("cell")


def other_family(play: Play) -> None:
    """The next network has IPv6 only."""
    mobile.up6(mobile.CELL6)
    time.sleep(1)
    interface_down(play)


def address_removed(play: Play) -> None:
    play.begin()
    mobile.remove_address("wifi")
    play.now_on("cell")


def silent_death(play: Play) -> None:
    play.begin()
    lab("blackhole wifi")
    play.now_on("cell")


def new_address(play: Play) -> None:
    play.begin()
    mobile.readdress("wifi", "192.168.1.77")
    play.now_on("wifi")


def rebinding(kind: str) -> Callable[[Play], None]:
    def steps(play: Play) -> None:
        play.begin()
        lab(f"rebind wifi {kind}")
        play.now_on("wifi")

    return steps


def make_before_break(play: Play) -> None:
    """Walking away from the access point: over two seconds the loss grows to 30 % and the round trip to 300 ms."""
    play.begin()
    mobile.up("cell")
    time.sleep(1)
    for step in range(1, 21):
        lab(f"set wifi loss {0.015 * step:.3f} delay {10 + 7 * step}ms")
        time.sleep(0.1)
    time.sleep(1)
    lab("blackhole wifi")
    play.now_on("cell")


def abrupt_degradation(play: Play) -> None:
    play.begin()
    lab("set wifi loss 0.3 delay 150ms")
    play.now_on("cell")


def ten_switches(play: Play) -> None:
    play.begin()
    play.now_on("wifi")
    here, there = "wifi", "cell"
    for _ in range(10):
        mobile.down(here)
        play.now_on(there)
        time.sleep(1.2)
        mobile.up(here)
        if here == "wifi":
            play.now_fastest("wifi")
        time.sleep(0.8)
        here, there = there, here


def outage(seconds: float) -> Callable[[Play], None]:
    def steps(play: Play) -> None:
        play.begin()
        lab("blackhole wifi")
        lab("blackhole cell")
        silent = time.time()
        time.sleep(seconds)
        lab("heal wifi")
        play.outage = time.time() - silent
        lab("heal cell")
        play.now_on("wifi")

    return steps


def path_mtu(tells: str) -> Callable[[Play], None]:
    def steps(play: Play) -> None:
        lab(f"set cell mtu 1280 icmp {tells}")
        interface_down(play)

    return steps


def corruption(play: Play) -> None:
    interface_down(play)
    time.sleep(5)
    mobile.up("wifi")


def random_schedule(seconds: float, seed: int, say: Callable[[str], None]) -> Callable[[Play], None]:
    """Everything above in an order that the seed decides, each event healed before the next."""
    generator = random.Random(seed)

    def heal() -> None:
        lab("restore wifi")
        lab("restore cell")
        mobile.up("wifi")
        mobile.up("cell")

    def steps(play: Play) -> None:
        play.begin()
        play.now_on("wifi")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            link = generator.choice(["wifi", "wifi", "cell"])
            pause = generator.uniform(0.5, 6)
            choice = generator.choice(list(actions))
            say(f"{choice} {link}")
            actions[choice](link, generator)
            time.sleep(pause)
            heal()
            time.sleep(generator.uniform(1, 5))

    return steps


def both_silent(_: str, generator: random.Random) -> None:
    lab("blackhole wifi")
    lab("blackhole cell")
    time.sleep(generator.uniform(0.2, 5))


actions: dict[str, Callable[[str, random.Random], None]] = {
    "interface down": lambda link, _: mobile.down(link),
    "address removed": lambda link, _: mobile.remove_address(link),
    "carrier lost": lambda link, _: lab(f"down {link}") and None,
    "silent death": lambda link, _: lab(f"blackhole {link}") and None,
    "new address": lambda link, g: mobile.readdress(
        link, mobile.LINKS[link].address.rsplit(".", 1)[0] + f".{g.randrange(30, 250)}"),
    "port rebinding": lambda link, _: lab(f"rebind {link} port") and None,
    "address rebinding": lambda link, _: lab(f"rebind {link} address") and None,
    "degradation": lambda link, _: lab(f"set {link} loss 0.3 delay 150ms") and None,
    "burst loss": lambda link, _: lab(f"set {link} burst 0.01/0.2") and None,
    "reordering": lambda link, _: lab(f"set {link} reorder 0.02/8ms") and None,
    "smaller MTU": lambda link, g: lab(f"set {link} mtu 1280 icmp {g.choice(['on', 'off'])}") and None,
    "corruption": lambda link, _: lab(f"set {link} corrupt 0.001") and None,
    "both silent": both_silent,
}

CORRUPT = ("set wifi corrupt 0.0005", "set cell corrupt 0.0005")
ALL = {
    event.name: event
    for event in [
        Event("interface down", 0.090, interface_down, share=0.8),
        Event("address removed", 0.090, address_removed, share=0.8),
        Event("down, IPv6 only elsewhere", 0.090, other_family, links=("wifi",), share=0.8),
        Event("silent death under load", 0.250, silent_death, share=0.8),
        Event("silent death, messages only", 0.350, silent_death, load=False),
        Event("new address on the link", 0.060, new_address, links=("wifi",), share=0.8),
        Event("NAT rebinding, port", 0.035, rebinding("port"), share=0.8),
        Event("NAT rebinding, address", 0.035, rebinding("address"), share=0.8),
        Event("make before break", 0.100, make_before_break, links=("wifi",), lasts=4),
        Event("abrupt degradation", 0.400, abrupt_degradation),
        Event("ten switches in 20 s", 0.150, ten_switches, watch=0.5, lasts=20, share=0.8),
        Event("both links silent for 5 s", 0.400, outage(5), lasts=5, share=0.8),
        Event("both links silent for 90 s", 0.300, outage(90), lasts=90, share=0.8),
        Event("MTU 1280 with the switch, ICMP", 0.400, path_mtu("on")),
        Event("MTU 1280 with the switch, no ICMP", 0.400, path_mtu("off")),
        Event("0.05 % corruption and a switch", 0.400, corruption, watch=8, lasts=5, before=CORRUPT),
    ]
}
