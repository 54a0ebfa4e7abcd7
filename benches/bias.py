"""Does the runner measure what a plain loop takes? One thread, launches of both in the order A B B A, so that drift cancels.

    python3 benches/bias.py AGENT PLAIN_LOOP REPEATS MODEL.onnx...

AGENT is `citronade-agent`, PLAIN_LOOP the program that `cargo bench --bench plain_loop --no-run` names: tract in a loop of a few lines. ONNX Runtime's
plain loop is this file with Python's own `onnxruntime`, inputs and outputs bound, whose library the runner loads too; each of its runs includes what
the call from Python takes, which is measured with a model that does nothing, both ways, and printed. Each launch is a fresh process: warm-up, then half a
second of runs, whose median counts. Prints, for each model and runtime, the median over REPEATS of the ratio runner / plain loop, and the standard
deviation of a repeat. Needs numpy, onnx and onnxruntime.
"""

import glob
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

SECONDS = 0.5
WARM = 30


def library():
    import onnxruntime
    found = glob.glob(os.path.join(os.path.dirname(onnxruntime.__file__), "capi", "libonnxruntime.so*"))
    return sorted(found)[0]


def by_agent(agent, runtime, model):
    task = {"model": model, "runtime": runtime, "threads": 1,
            "warmup": {"min_runs": WARM, "max_runs": 200, "tolerance": 0.02, "max_us": 1e6},
            "sampling": {"min": 3, "max": 20000, "max_us": SECONDS * 1e6, "enough": 1, "min_us": SECONDS * 1e6}}
    if runtime == "ort":
        task["library"] = library()
    with subprocess.Popen([agent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        # The runner ends when its input does, also without an answer.
        print(json.dumps({"protocol": 1, "id": 1, "task": {"time": task}}), file=process.stdin, flush=True)
        answer = json.loads(process.stdout.readline())["answer"]
        process.stdin.close()
    assert "timed" in answer, answer
    return statistics.median(answer["timed"]["samples_us"])


def by_plain_loop(program, runtime, model):
    command = [program, model, str(SECONDS)] if runtime == "tract" else [sys.executable, __file__, "--loop", model]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return statistics.median(map(float, done.stdout.split()))


def inputs(session):
    """The runner's inputs: the golden-ratio sequence, open dimensions as 1."""
    import numpy
    kinds = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(uint8)": "uint8", "tensor(int8)": "int8",
             "tensor(int32)": "int32", "tensor(int64)": "int64", "tensor(bool)": "bool"}
    for wanted in session.get_inputs():
        shape = [d if isinstance(d, int) else 1 for d in wanted.shape]
        values = numpy.modf(numpy.arange(numpy.prod(shape, dtype=int)) * 0.618033988749895)[0]
        if "float" not in wanted.type and "double" not in wanted.type:
            values = numpy.floor(2 * values)
        yield wanted.name, values.reshape(shape).astype(kinds[wanted.type])


def loop(model):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for name, values in inputs(session):
        binding.bind_cpu_input(name, values)
    for output in session.get_outputs():
        binding.bind_output(output.name)
    run, now = session.run_with_iobinding, time.perf_counter_ns
    for _ in range(WARM):
        run(binding)
    runs = []
    until = now() + SECONDS * 1e9
    while now() < until:
        start = now()
        run(binding)
        runs.append(now() - start)
    print("\n".join(str(ns / 1e3) for ns in runs))


def nothing(folder):
    """A model that hands one number on."""
    from onnx import TensorProto, helper
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path = str(pathlib.Path(folder) / "nothing.onnx")
    pathlib.Path(path).write_bytes(model.SerializeToString())
    return path


def main(agent, program, repeats, *models):
    with tempfile.TemporaryDirectory() as folder:
        empty = nothing(folder)
        for runtime in ("tract", "ort"):
            calls = by_agent(agent, runtime, empty), by_plain_loop(program, runtime, empty)
            print(f"a model that does nothing, {runtime}: runner {calls[0]:.1f} µs, plain loop {calls[1]:.1f} µs", flush=True)
            for model in models:
                ratios, plain = [], []
                for _ in range(int(repeats)):
                    a1, b1 = by_agent(agent, runtime, model), by_plain_loop(program, runtime, model)
                    b2, a2 = by_plain_loop(program, runtime, model), by_agent(agent, runtime, model)
                    ratios.append(((a1 * a2) / (b1 * b2)) ** 0.5)
                    plain += [b1, b2]
                deviation = statistics.stdev(ratios) if len(ratios) > 1 else float("nan")
                us = statistics.median(plain)
                print(f"{pathlib.Path(model).name}, {runtime}: {statistics.median(ratios):.4f} (deviation {deviation:.4f}, {len(ratios)} repeats) "
                      f"of {us:.1f} µs; less what the empty call takes: {statistics.median(ratios) * us - calls[0]:.1f} of {us - calls[1]:.1f} µs", flush=True)


if sys.argv[1] == "--loop":
    loop(sys.argv[2])
else:
    main(*sys.argv[1:])
