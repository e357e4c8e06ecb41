"""Plays an event, measures what the applications felt of it, and says whether that is within its goal.

    play.py EVENT WORK                        one event; files go to the directory WORK
    play.py --random SECONDS SEED WORK        a random schedule
    play.py --list                            the events, each behind the seconds that it may take
    play.py --idle SECONDS WORK               no event: how many packets an idle tunnel costs

Prints one line of KEY=VALUE; exits with 1 and one more line, a sentence, when a goal is missed.
TOLERANCE multiplies the goals: 1 where it is quiet, more on a machine that does other things too.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import events
import mobile
from mobile import lab

# Seconds that a download gets to find its rate before an event.
SETTLE = 3.0
# Seconds before an event whose gaps tell what is normal.
CALM = 1.5
# Seconds after an event that belong to it alone.
AT_ONCE = 0.5
# The random schedule's goal: no stall beyond its longest outage, 5 s and 400 ms, with some air for two in a row.
RANDOM_GOAL = 12.0
# Packets each way that an idle tunnel may cost in an hour.
IDLE_PACKETS_AN_HOUR = 150
# The exit code when every byte came and only a goal was missed, as ../lib.sh knows it.
MISSED_TIME = 76


class Application:
    """A running traffic.py."""

    def __init__(self, kind: str, port: str, work: Path) -> None:
        self.kind = kind
        self.log = work / f"{kind}.json"
        self.output = (work / f"{kind}.out").open("wb")
        script = Path(__file__).with_name("traffic.py")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", os.environ["MOBILE"], "nice", "-n", "-10", sys.executable, str(script), kind, port,
             str(self.log)],
            stdout=self.output, stderr=subprocess.STDOUT)

    def end(self) -> dict:
        """Ends it and reads what it noted."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        if not self.log.exists():
            raise SystemExit(f"the {self.kind} wrote no log")
        return json.loads(self.log.read_text())


def longest_gap(record: dict, start: float, end: float) -> tuple[float, float]:
    """The longest time without a byte that lies, wholly or in part, between two times, and when it began."""
    longest, began = 0.0, start
    before = None
    for moment in [*record["times"], end]:
        if before is not None and moment > start and before < end and moment - before > longest:
            longest, began = moment - before, before
        before = moment
    return longest, began


def bytes_between(record: dict, start: float, end: float) -> int:
    """Bytes that came in a time."""
    low = high = 0
    for moment, count in zip(record["times"], record["counts"]):
        if moment <= start:
            low = count
        if moment <= end:
            high = count
    return high - low


def share_of(offers: list[tuple[float, float, float]], record: dict, end: float) -> float:
    """What came, as a share of what links could have carried, from one second after the event on."""
    came = could = 0.0
    for start, until, rate in offers:
        # One switch: the second after it is its own. Several: everything counts.
        begin = start + 1 if len(offers) == 1 else start
        finish = min(until, end)
        came += bytes_between(record, begin, finish) * 8
        could += rate * max(0.0, finish - begin)
    return came / could if could else 0.0


def run(event: events.Event, work: Path) -> tuple[events.Play, dict[str, dict], float]:
    """Plays it; returns what it told, what the applications noted and when the watching ended."""
    for name in event.links:
        mobile.up(name)
    for command in event.before:
        lab(command)
    kinds = [("echo", os.environ["ECHO_PORT"])]
    if event.load:
        kinds.append(("download", os.environ["DOWNLOAD_PORT"]))
    applications = [Application(kind, port, work) for kind, port in kinds]
    time.sleep(SETTLE)
    lab("status")
    play = events.Play()
    event.steps(play)
    time.sleep(event.watch)
    end = time.time()
    return play, {application.kind: application.end() for application in applications}, end


def report(event: events.Event, tolerance: float, work: Path) -> int:
    """Plays it, prints the figures and what is wrong with them, and returns the exit code."""
    play, records, end = run(event, work)
    late = [int(word.split("=")[1]) for word in lab("status").split() if word.startswith("late_worst_us=")]
    figures: dict[str, str] = {}
    faults = [record["fault"] for record in records.values() if record["fault"]]
    misses = []
    stalls = {}
    for kind, record in records.items():
        if not record["times"]:
            faults.append(f"no byte came to the {kind}")
            continue
        calm, _ = longest_gap(record, play.began - CALM, play.began)
        gap, began = longest_gap(record, play.began, end)
        stalls[kind] = gap
        figures[f"{kind}_ms"] = f"{(gap - play.outage) * 1000:.0f}"
        figures[f"{kind}_calm_ms"] = f"{calm * 1000:.0f}"
        figures[f"{kind}_stalled_after_ms"] = f"{(began - play.began) * 1000:.0f}"
        # Apart from what comes later, such as the losses with which a sender finds the new link's rate.
        at_once, _ = longest_gap(record, play.began, play.began + play.outage + AT_ONCE)
        figures[f"{kind}_at_once_ms"] = f"{(at_once - play.outage) * 1000:.0f}"
    if event.share is not None and play.offered and "download" in records:
        share = share_of(play.offered, records["download"], end)
        figures["share"] = f"{share:.2f}"
        figures["share_of_fastest"] = f"{share_of(play.fastest, records['download'], end):.2f}"
        if share < event.share / tolerance:
            misses.append(f"{share:.0%} of what the links offered, of {event.share:.0%}")
    figures["whole"] = "no" if any(record["fault"] for record in records.values()) else "yes"
    figures["late_worst_us"] = str(max(late))
    judged = "download" if event.load else "echo"
    if judged in stalls and stalls[judged] - play.outage > event.goal * tolerance:
        beyond = " beyond the outage" if play.outage else ""
        misses.append(f"{figures[f'{judged}_ms']} ms without a byte{beyond}, goal {event.goal * 1000:.0f}")
    print(f"event={event.name.replace(' ', '_')}", *(f"{key}={value}" for key, value in figures.items()))
    if faults or misses:
        print("; ".join(faults + misses))
    return 1 if faults else MISSED_TIME if misses else 0


def sent_packets() -> tuple[int, int]:
    """Packets that entered all links so far, from the mobile machine and to it."""
    counts = {"up": 0, "down": 0}
    for line in lab("status").splitlines():
        words = line.split()
        if words[1] in counts:
            counts[words[1]] += int(words[2].removeprefix("offered="))
    return counts["up"], counts["down"]


def idle(seconds: float, tolerance: float, work: Path) -> int:
    """Counts the packets of open tunnels over which nothing is sent."""
    mobile.up("wifi")
    mobile.up("cell")
    application = Application("hold", os.environ["ECHO_PORT"], work)
    time.sleep(SETTLE)
    before = sent_packets()
    time.sleep(seconds)
    after = sent_packets()
    fault = application.end()["fault"]
    hourly = [round((late - early) * 3600 / seconds) for early, late in zip(before, after)]
    print(f"event=idle up_an_hour={hourly[0]} down_an_hour={hourly[1]} seconds={seconds:.0f}")
    if fault:
        print(fault)
    elif max(hourly) > IDLE_PACKETS_AN_HOUR * tolerance:
        print(f"{max(hourly)} packets an hour one way, goal {IDLE_PACKETS_AN_HOUR}")
    return 1 if fault or max(hourly) > IDLE_PACKETS_AN_HOUR * tolerance else 0


def main() -> int:
    tolerance = float(os.environ.get("TOLERANCE", "1"))
    match sys.argv[1:]:
        case ["--random", seconds, seed, work]:
            began = time.time()

            def say(text: str) -> None:
                print(f"{time.time() - began:8.3f} {text}", file=sys.stderr, flush=True)

            steps = events.random_schedule(float(seconds), int(seed), say)
            return report(events.Event("random schedule", RANDOM_GOAL, steps, watch=8), 1, Path(work))
        case ["--idle", seconds, work]:
            return idle(float(seconds), tolerance, Path(work))
        case ["--list"]:
            for event in events.ALL.values():
                print(f"{event.lasts + 60:.0f}\t{event.name}")
            return 0
        case [name, work] if name in events.ALL:
            return report(events.ALL[name], tolerance, Path(work))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    sys.exit(main())
