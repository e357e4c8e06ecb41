"""Prints a table of repeated measurements: the median and the worst of each beside its goal. Exits with 1 if a median misses its goal.

    medians.py FILE

A line of the file has the fields CASE, WHAT, VALUE, UNIT, SIDE and GOAL with tabs between them. SIDE says whether the goal is the
`most` or the `least` that is wanted.
"""

import statistics
import sys


def main() -> int:
    values: dict[tuple[str, ...], list[int]] = {}
    try:
        with open(sys.argv[1]) as lines:
            for line in lines:
                case, what, value, unit, side, goal = line.rstrip("\n").split("\t")
                values.setdefault((case, what, unit, side, goal), []).append(int(value))
    except FileNotFoundError:
        return 0
    missed = 0
    print("| case | figure | goal | median | worst | runs |\n|---|---|---|---|---|---|")
    for (case, what, unit, side, goal), found in values.items():
        median = statistics.median(found)
        is_most = side == "most"
        reached = median <= int(goal) if is_most else median >= int(goal)
        missed += not reached
        sign = "\N{LESS-THAN OR EQUAL TO}" if is_most else "\N{GREATER-THAN OR EQUAL TO}"
        worst = max(found) if is_most else min(found)
        print(
            f"| {case} | {what} | {sign} {goal} {unit} | {median:g}{'' if reached else ' (missed)'} | {worst} |"
            f" {len(found)} |")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
