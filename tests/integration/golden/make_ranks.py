"""Writes ranks.json beside this file: ranks of dominance and crowding of random populations as pymoo sees them.

Needs `pip install pymoo`; run it only to add cases.
"""

import json
import pathlib

import numpy
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting


def case(d, n, random):
    points = numpy.round(random.random((n, d)), 6)
    fronts = NonDominatedSorting().do(points)
    ranks, crowding = numpy.zeros(n, int), numpy.zeros(n)
    for rank, front in enumerate(fronts):
        ranks[front] = rank
        # pymoo has the mean over the objectives, Deb et al. the sum; infinite is written as -1.
        distance = d * calc_crowding_distance(points[front])
        crowding[front] = numpy.where(numpy.isinf(distance), -1, distance)
    return {"points": points.tolist(), "ranks": ranks.tolist(), "crowding": crowding.tolist()}


random = numpy.random.default_rng(20261129)
cases = [case(d, n, random) for d in (2, 3) for n in (5, 30, 60) for _ in range(2)]
lines = ",\n".join(json.dumps(c) for c in cases)
pathlib.Path(__file__).with_name("ranks.json").write_text(f"[\n{lines}\n]\n")
