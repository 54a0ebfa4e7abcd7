"""Checks exported models with ONNX's own checker and ONNX Runtime.

    check_onnx.py DIRECTORY

For each NAME.onnx in DIRECTORY there is a NAME.json with `input` and `output`: flat lists of
values for one run. Exits with 1 and names the model if the checker refuses it, if inferred
shapes contradict the declared ones, or if ONNX Runtime computes something else.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

TOLERANCE = 1e-4  # Of the largest output: sums of a few hundred products in another order.


def run(model: bytes, values: list[float]) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (declared,) = session.get_inputs()
    sizes = [-1 if isinstance(size, str) else size for size in declared.shape]
    image = np.array(values, dtype=np.float32).reshape(sizes)
    (output,) = session.run(None, {declared.name: image})
    return output


def check(path: Path) -> float:
    """Largest difference to what was expected, relative to the largest output."""
    model = path.read_bytes()
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    case = json.loads(path.with_suffix(".json").read_text())
    expected = np.array(case["output"], dtype=np.float32)
    found = run(model, case["input"]).ravel()
    if found.shape != expected.shape:
        raise ValueError(f"{found.size} values instead of {expected.size}")
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-3))


def main() -> int:
    models = sorted(Path(sys.argv[1]).glob("*.onnx"))
    failures, largest = 0, 0.0
    for path in models:
        try:
            gap = check(path)
        except Exception as error:  # Whatever the tools say, the model is named.
            print(f"{path.name}: {error}", file=sys.stderr)
            failures += 1
            continue
        largest = max(largest, gap)
        if not gap < TOLERANCE:
            print(f"{path.name}: outputs differ by {gap}", file=sys.stderr)
            failures += 1
    print(f"{len(models)} models, largest difference {largest:.1e}")
    return 1 if failures or not models else 0


sys.exit(main())
