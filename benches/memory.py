"""Is the runner's memory what the system says of the same process? Compares memory launches with `/usr/bin/time` (Debian: time).

    python3 benches/memory.py AGENT LAUNCHES MODEL.onnx...

AGENT is `citronade-agent`. `process_peak` is the largest resident set that the runner saw while the model ran; `time` says the largest since the kernel's
figure was last reset, which the runner does right before. `running`, of which the objective is made, is `process_peak` without the pages of files, printed
beside it. Medians over LAUNCHES. Standard library only; the runner must find ONNX Runtime (ORT_DYLIB_PATH).
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile


def launch(agent, runtime, model):
    """Figures of one launch in megabytes, the runner's and the system's."""
    task = {"model": model, "runtime": runtime, "threads": 1, "runs": 3}
    with tempfile.NamedTemporaryFile("r") as told:
        command = ["/usr/bin/time", "-f", "%M", "-o", told.name, agent]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            # The runner ends when its input does, also without an answer.
            print(json.dumps({"protocol": 1, "id": 1, "task": {"memory": task}}), file=process.stdin, flush=True)
            answer = json.loads(process.stdout.readline())["answer"]
            process.stdin.close()
        if "memory" not in answer:
            sys.exit(f"{runtime}: {answer['refused']['reason']}")
        return {"time": 1024 * int(told.read()) / 1e6, **{name: count / 1e6 for name, count in answer["memory"].items()}}


def main(agent, launches, *models):
    for runtime in ("tract", "ort"):
        for model in (None, *models):
            found = [launch(agent, runtime, model) for _ in range(int(launches))]
            ours, time, running = (statistics.median(f[name] for f in found) for name in ("process_peak", "time", "running"))
            name = pathlib.Path(model).name if model else "the tiny model"
            print(f"{name}, {runtime}: process_peak {ours:.2f} MB (of it anonymous: {running:.2f}), time {time:.2f} MB, ratio {ours / time:.4f}", flush=True)


main(*sys.argv[1:])
