"""Prints the table of what play.py measured: table.py FILE, with one line of KEY=VALUE a run.

Stalls in milliseconds, as the median of an event's runs and the worst; beyond the outage where both links were silent.
"""

import statistics
import sys

from events import ALL


def column(runs: list[dict[str, str]], key: str) -> str:
    """Median and worst of a figure."""
    values = [float(run[key]) for run in runs if key in run]
    return f"{statistics.median(values):.0f} / {max(values):.0f}" if values else "–"


def share(runs: list[dict[str, str]]) -> str:
    """The median of what came of what the link to be used offered; and the fastest one, where that is not the same."""
    medians = [
        f"{statistics.median(values):.0%}"
        for key in ("share", "share_of_fastest")
        if (values := [float(run[key]) for run in runs if key in run])
    ]
    return " / ".join(dict.fromkeys(medians)) or "–"


def main() -> None:
    runs: dict[str, list[dict[str, str]]] = {}
    with open(sys.argv[1], encoding="utf-8") as file:
        for line in file:
            figures = dict(pair.split("=", 1) for pair in line.split())
            runs.setdefault(figures["event"].replace("_", " "), []).append(figures)
    print("| event | goal, ms | download: median / worst, ms | messages: median / worst, ms | of the rate | bytes |")
    print("|---|---|---|---|---|---|")
    for name, event in ALL.items():
        if name not in runs:
            continue
        faults = sum(1 for run in runs[name] if run["whole"] != "yes")
        whole = "all whole" if faults == 0 else f"broken in {faults} of {len(runs[name])} runs"
        print(
            f"| {name} | {event.goal * 1000:.0f} | {column(runs[name], 'download_ms')} "
            f"| {column(runs[name], 'echo_ms')} | {share(runs[name])} | {whole} |")


if __name__ == "__main__":
    main()
