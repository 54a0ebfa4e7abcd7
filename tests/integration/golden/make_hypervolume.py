"""Writes hypervolume.json beside this file: fronts and hypervolumes as moocore and pymoo see them.

Needs `pip install moocore pymoo`; run it only to add cases. Both must agree before a case is kept.
"""

import json
import pathlib

import moocore
import numpy
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting


def sphere(random, n, d):
    """Points of which none dominates another."""
    points = numpy.abs(random.standard_normal((n, d)))
    return 1 - points / numpy.linalg.norm(points, axis=1, keepdims=True)


def grid(random, n, d):
    """Points with many ties and duplicates."""
    return random.integers(0, 5, (n, d)) / 4


def uniform(random, n, d):
    return random.random((n, d))


def case(kind, d, n, reference, random):
    # Rounded, so that the file holds exactly what was computed with.
    points = numpy.round(kind(random, n, d), 6)
    front = numpy.flatnonzero(moocore.is_nondominated(points, keep_weakly=True))
    assert set(front) == set(NonDominatedSorting().do(points, only_non_dominated_front=True))
    volume = moocore.hypervolume(points, ref=[reference] * d)
    assert abs(volume - HV(ref_point=numpy.full(d, reference))(points)) < 1e-9
    return {
        "kind": kind.__name__,
        "reference": [reference] * d,
        "points": points.tolist(),
        "front": front.tolist(),
        "hypervolume": volume,
    }


random = numpy.random.default_rng(20261124)
cases = [
    case(kind, d, n, reference, random)
    for d in (2, 3, 4)
    for kind in (uniform, sphere, grid)
    for n in (1, 7, 40)
    for reference in (1.0, 0.8)
]
lines = ",\n".join(json.dumps(c) for c in cases)
pathlib.Path(__file__).with_name("hypervolume.json").write_text(f"[\n{lines}\n]\n")
