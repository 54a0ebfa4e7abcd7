"""What `citronade measure` makes of damaged models: real ONNX files, each damaged in one of six ways, as a user would measure them.

    python3 benches/mutants.py CITRONADE COUNT MODEL.onnx...

Prints how they ended, by exit code, with the longest time and the largest resident set of any process, and names each that
took 20 s or 2 GiB, or ended otherwise than with a measurement (0) or a named error (3). Exit code 1 if there is one. Standard library only.
"""

import collections
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

SECONDS, KIB = 20, 2 << 20
GOOD = (0, 3)


def damaged(model, at):
    """Where the structure is dense: most bytes of a real file are weights."""
    def near(length):
        return at.randrange(min(length, 4096) if at.random() < 0.5 else length)

    kind, place = at.randrange(6), near(len(model))
    piece = model[place:place + at.randrange(1, 200)]
    if kind == 0:
        return model[:place]
    if kind == 1:
        return model[:place] + bytes([model[place] ^ 1 << at.randrange(8)]) + model[place + 1:]
    if kind == 2:
        bytes_ = bytearray(model)
        for _ in range(at.randrange(1, 20)):
            bytes_[near(len(bytes_))] = at.randrange(256)
        return bytes(bytes_)
    if kind == 3:
        return model[:place] + model[place + len(piece):]
    if kind == 4:
        to = near(len(model))
        return model[:to] + piece + model[to:]
    # A huge number where a length or a dimension may be.
    return model[:place] + b"\xff\xff\xff\xff\x7f" + model[place:]


def main(program, count, *paths):
    models = [pathlib.Path(path).read_bytes() for path in paths]
    ends, longest, largest, bad = collections.Counter(), 0.0, 0, 0
    at = random.Random(4)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "mutant.onnx"
        for number in range(int(count)):
            file.write_bytes(damaged(models[number % len(models)], at))
            began = time.monotonic()
            # Its own processes' resident sets are in `usage`, since it waits for them.
            process = subprocess.Popen([program, "measure", str(file), "--level", "screen", "--json"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            said = process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
            took, code = time.monotonic() - began, os.waitstatus_to_exitcode(status)
            ends[code] += 1
            longest, largest = max(longest, took), max(largest, usage.ru_maxrss)
            if code not in GOOD or code == 3 and not said.strip() or took >= SECONDS or usage.ru_maxrss >= KIB:
                bad += 1
                kept = pathlib.Path(f"mutant-{number}.onnx")
                kept.write_bytes(file.read_bytes())
                print(f"{kept}: exit code {code}, {took:.1f} s, {usage.ru_maxrss >> 10} MiB: {said.strip()[-300:]}", flush=True)
    print(f"of {count}: " + ", ".join(f"{n} ended with exit code {code}" for code, n in sorted(ends.items()))
          + f"; at most {longest:.1f} s and {largest >> 10} MiB; {bad} as they should not")
    return 1 if bad else 0


sys.exit(main(*sys.argv[1:]))
