"""Is a model as fast over another transport as on this machine? Measures in the order A B B A, so that drift cancels.

    python3 benches/transports.py CITRONADE DEVICE ROUNDS MODEL.onnx...

DEVICE is this very machine by another way, e.g. `ssh:localhost`, or the tests' phone, which is this machine behind the real `adb`:

    cargo bench --bench test_phone -- python3 benches/transports.py CITRONADE PHONE ROUNDS MODEL.onnx...

Both ways have the same runner (`--agent`, beside CITRONADE). Prints, for each model and runtime,
the ratio of the medians (DEVICE / local) with the least and the largest of the rounds, and what a whole `citronade measure` at `screen` level takes
beyond its timed runs and loading: push, lock, five launches, those for memory, outputs here and there. Standard library only.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import time


def measure(program, device, model, runtime, level):
    agent = str(pathlib.Path(program).with_name("citronade-agent"))
    began = time.monotonic()
    done = subprocess.run(
        [program, "measure", model, "--device", device, "--agent", agent, "--runtime", runtime, "--level", level, "--json"],
        check=True, capture_output=True, text=True)
    took = time.monotonic() - began
    found = json.loads(done.stdout)
    assert found["runtime"] == runtime, found["runtime"]
    own = [launch["timed"].get("timed_us", 0) + launch["timed"]["load_us"] for launch in found["launches"]]
    return found["latency_us"]["p50"], took - sum(own) / 1e6


def main(program, device, rounds, *models):
    for model in models:
        for runtime in ("tract", "ort"):
            ratios, beyond = [], []
            for _ in range(int(rounds)):
                a1, b1, b2, a2 = (measure(program, d, model, runtime, "search")[0] for d in ("local", device, device, "local"))
                ratios.append(((b1 * b2) / (a1 * a2)) ** 0.5)
            for _ in range(3):
                beyond.append(measure(program, device, model, runtime, "screen")[1])
            name = pathlib.Path(model).name
            print(f"{name}, {runtime}: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}); "
                  f"{statistics.median(beyond):.2f} s beyond timed runs and loading", flush=True)


main(*sys.argv[1:])
