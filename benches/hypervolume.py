"""Reads the stores of `ablation.sh` or `strategies.sh` and prints hypervolume against time: tables and SVGs for each data set.

Twice: in all four objectives, as the search itself sees it, and in error and latency alone, from the fronts the search
was told of, because with logarithmic costs a third of the former comes from networks of a kilobyte that nobody wants.
Each store gets a `.csv` beside it, from which all is drawn: a folder of those alone will do (`docs/ablation`).
Uses the standard library only. The factor is the time that the runner-up needs for its final mean hypervolume, divided
by the time that the best strategy needs for the same.
"""

import glob
import json
import math
import os
import re
import sqlite3
import sys

# Okabe and Ito, Color Universal Design, 2008; past eight, the same with dashes.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31"]
FIRST = ["lemonade", "no-inherit", "random"]


def searches(folder, data):
    """Files of traces by the search's name, in the order of colours; those of a search by their seed."""
    found = {}
    for path in glob.glob(os.path.join(folder, f"{data}-*.csv")):
        if named := re.fullmatch(rf"{data}-(.+)-(\d+)\.csv", os.path.basename(path)):
            found.setdefault(named[1], []).append((int(named[2]), path))
    order = sorted(found, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    return {name: [path for _, path in sorted(found[name])] for name in order}


def plane(front, reference):
    """Hypervolume in error (linear) and latency (logarithmic), as a part of the box from the ideal to the reference."""
    (_, fastest), (worst, slowest) = reference["ideal"][:2], reference["reference"][:2]
    points = [(math.log(max(latency, fastest) / fastest) / math.log(slowest / fastest), error / worst) for error, latency in front]
    area, lowest = 0.0, 1.0
    for cost, error in sorted(point for point in points if max(point) < 1):
        if error < lowest:
            area += (1 - cost) * (lowest - error)
            lowest = error
    return area


def write_trace(store):
    """Beside the store: seconds and both hypervolumes after each generation of its newest run."""
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    run, reference = connection.execute(
        "select id, reference_json from run join device on run = id and position = 0 order by created_unix_s desc limit 1"
    ).fetchone() or (None, None)
    if reference is None:
        print(f"{store}: nothing was measured yet", file=sys.stderr)
        return
    reference = json.loads(reference)
    rows = connection.execute(
        "select at_s, hypervolume, members_json from told join front using (run, generation) where run = ? and device = 0 order by seq",
        (run,),
    )
    with open(store[:-3] + ".csv", "w") as file:
        file.write("seconds,all_objectives,error_and_latency\n")
        for second, volume, front in rows:
            area = plane([member["values"][:2] for member in json.loads(front)], reference)
            file.write(f"{second:.1f},{volume:.5f},{area:.5f}\n")


def trace(path, objectives):
    """(seconds, hypervolume) after each generation."""
    with open(path) as file:
        rows = [[float(value) for value in line.split(",")] for line in file.readlines()[1:]]
    return [(row[0], row[1 if objectives == 4 else 2]) for row in rows]


def at(points, seconds):
    """Hypervolume known at a time."""
    before = [volume for second, volume in points if second <= seconds]
    return before[-1] if before else 0.0


def mean(values):
    return sum(values) / len(values)


def reach(traces, volume, grid):
    """First time of the grid at which the mean over seeds is at least `volume`; None if never."""
    for second in grid:
        if mean([at(points, second) for points in traces]) >= volume:
            return second
    return None


def picture(curves, grid, path):
    width, height, left, bottom, right = 900, 400, 60, 40, 190
    # What is reached in the first twentieth of the time would squeeze the rest.
    most = max(max(values) for values in curves.values())
    # Nor does who finds next to nothing.
    early = min(values[len(grid) // 20] for values in curves.values() if values[-1] > most / 2)
    span = most - early or 1.0
    low, top = max(early - 0.1 * span, 0.0), most + 0.05 * span
    x = lambda s: left + (width - left - right) * s / grid[-1]
    y = lambda v: height - bottom - (height - bottom - 20) * (max(v, low) - low) / (top - low)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>',
           f'<path d="M{left},20V{height - bottom}H{width - right}" fill="none" stroke="#444"/>']
    for part in range(6):
        v, s = low + (top - low) * part / 5, grid[-1] * part / 5
        out.append(f'<text x="{left - 6}" y="{y(v) + 4}" text-anchor="end">{v:.3f}</text>')
        out.append(f'<text x="{x(s)}" y="{height - bottom + 16}" text-anchor="middle">{s:.0f} s</text>')
    for number, (name, values) in enumerate(curves.items()):
        line = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in zip(grid, values))
        colour, dashes = COLOURS[number % len(COLOURS)], "6 3" if number >= len(COLOURS) else "none"
        beside, level = width - right + 14, 30 + 17 * number
        swatch = f"{beside},{level - 4} {beside + 24},{level - 4}"
        for points in (line, swatch):
            out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>')
        out.append(f'<text x="{beside + 30}" y="{level}" fill="{colour}">{name}</text>')
    out.append("</svg>")
    with open(path, "w") as file:
        file.write("\n".join(out))


def main(folder):
    for store in glob.glob(os.path.join(folder, "*.db")):
        if re.search(r"-\d+\.db$", store):
            write_trace(store)
    for data, objectives in [("digits", 4), ("digits", 2), ("fashion", 4), ("fashion", 2)]:
        traces = {name: [trace(path, objectives) for path in paths] for name, paths in searches(folder, data).items()}
        traces = {name: runs for name, runs in traces.items() if all(runs)}
        if not traces:
            continue
        end = max(points[-1][0] for runs in traces.values() for points in runs)
        grid = [end * step / 600 for step in range(601)]
        curves = {name: [mean([at(points, s) for points in runs]) for s in grid] for name, runs in traces.items()}
        finals = sorted(((values[-1], name) for name, values in curves.items()), reverse=True)
        named = "error and latency" if objectives == 2 else "all objectives"
        print(f"\n{data}, {named}: mean hypervolume over the seeds, and of each at the end")
        moments = [end * part / 10 for part in (1, 2, 4, 6, 8, 10)]
        print(" " * 24 + "".join(f"{second:7.0f} s" for second in moments))
        for _, name in finals:
            means = "".join(f"{mean([at(points, s) for points in traces[name]]):9.4f}" for s in moments)
            print(f"  {name:<22}{means}   ({', '.join(f'{points[-1][1]:.4f}' for points in traces[name])})")
        if len(finals) > 1:
            (_, best), (volume, second) = finals[:2]
            fast, slow = reach(traces[best], volume, grid), reach(traces[second], volume, grid)
            if fast:
                print(f"  {best} reaches {volume:.4f} after {fast:.0f} s, {second} after {slow:.0f} s: {slow / fast:.1f} times as fast")
        picture(curves, grid, os.path.join(folder, f"{data}-{objectives}-hypervolume.svg"))


main(sys.argv[1] if len(sys.argv) > 1 else ".")
