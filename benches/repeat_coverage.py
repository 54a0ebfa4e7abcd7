"""Measures every member of a front again and counts how many lie in the interval that the front states.

    python3 benches/repeat_coverage.py CITRONADE STORE [LEVEL]

CITRONADE is the program, STORE the store of a finished search; its exported front lies beside it. Standard library only.
"""

import json
import pathlib
import subprocess
import sys


def call(*arguments):
    return json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)


def main(program, store, level="search"):
    front = call(program, "front", "--json", "--store", store)
    folder = pathlib.Path(store).with_suffix(".front")
    inside = 0
    for member in front["members"]:
        model = str(folder / f"candidate-{member['id']}.onnx")
        again = call(program, "measure", model, "--level", level, "--json")
        latency, (low, high) = again["latency_us"]["p50"], member["latency_interval_us"]
        if low <= latency <= high:
            inside += 1
        else:
            print(f"candidate {member['id']}: {latency:.2f} µs, not {low:.2f} to {high:.2f}")
    n = len(front["members"])
    print(f"{inside} of {n} members ({100 * inside / n:.0f} %) inside")


main(*sys.argv[1:])
