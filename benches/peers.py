"""What public optimisers reach on the table that `citronade bench` plays on, by the same definition of regret (docs/strategies.md).

    python3 -m venv peers && peers/bin/pip install pymoo==0.6.2 optuna==5.0.0
    peers/bin/python benches/peers.py TABLE.csv DEVICE,DEVICE… SEEDS [METHOD…]

Latency is learnt: what is asked for returns error and latency, nothing is known before. An architecture that is asked for again is answered
and not counted. Each method is as its library has it, with one choice for each operation. Prints a line for each method, the mean over seeds for
each device after 50, 100 and 200 distinct queries, and the mean of the devices with half a 95 % interval.
"""

import csv
import math
import statistics
import sys

BUDGETS = (50, 100, 200)


def hypervolume(points, corner):
    volume, lowest = 0.0, corner[1]
    for x, y in sorted(points):
        if x < corner[0] and y < lowest:
            volume += (corner[0] - x) * (lowest - y)
            lowest = y
    return volume


class Enough(Exception):
    pass


class Game:
    """Answers queries of one seed on one device and counts the distinct ones."""

    def __init__(self, table, device):
        self.values = {r["ops"]: (100 - float(r["acc12_c10_val"]), math.log(float(r["lat_" + device]))) for r in table}
        self.corner = (60.0, max(latency for _, latency in self.values.values()) + 0.1)
        self.best = hypervolume(self.values.values(), self.corner)
        self.asked = {}
        self.calls = 0

    def query(self, choices):
        ops = "".join(str(int(c)) for c in choices)
        self.calls += 1
        if ops not in self.asked and len(self.asked) == BUDGETS[-1] or self.calls > 100 * BUDGETS[-1]:
            raise Enough
        self.asked.setdefault(ops, self.values[ops])
        return self.values[ops]

    def regret(self, queries):
        assert len(self.asked) >= queries, f"it asked for {len(self.asked)} architectures only"
        return 100 * (1 - hypervolume(list(self.asked.values())[:queries], self.corner) / self.best)


def pymoo_nsga2(game, seed):
    import numpy
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    class Cells(ElementwiseProblem):
        def __init__(self):
            super().__init__(n_var=6, n_obj=2, xl=numpy.zeros(6), xu=numpy.full(6, 4), vtype=int)

        def _evaluate(self, x, out, *args, **kwargs):
            out["F"] = game.query(x)

    rounding = RoundingRepair()
    algorithm = NSGA2(
        pop_size=20, sampling=IntegerRandomSampling(), eliminate_duplicates=True,
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=rounding), mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=rounding))
    minimize(Cells(), algorithm, ("n_gen", 10_000), seed=seed)


def optuna_with(sampler):
    def play(game, seed):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler(optuna.samplers, seed))
        study.optimize(lambda t: game.query([t.suggest_categorical(f"edge{i}", range(5)) for i in range(6)]))

    return play


METHODS = {
    "pymoo-nsga2": pymoo_nsga2,
    "optuna-nsga2": optuna_with(lambda samplers, seed: samplers.NSGAIISampler(population_size=20, seed=seed)),
    "optuna-tpe": optuna_with(lambda samplers, seed: samplers.TPESampler(seed=seed)),
    "optuna-tpe-multivariate": optuna_with(lambda samplers, seed: samplers.TPESampler(multivariate=True, seed=seed)),
}


def main(path, devices, seeds, *methods):
    import warnings

    warnings.simplefilter("ignore")
    with open(path, newline="") as file:
        table = list(csv.DictReader(file))
    for method in methods or METHODS:
        games = {}
        for device in devices.split(","):
            games[device] = [Game(table, device) for _ in range(int(seeds))]
            for seed, game in enumerate(games[device]):
                try:
                    METHODS[method](game, seed)
                except Enough:
                    pass
        cells = []
        for device in games:
            cells.append(" / ".join(f"{statistics.mean(g.regret(q) for g in games[device]):.2f}" for q in BUDGETS))
        ends = [statistics.mean(game.regret(BUDGETS[-1]) for game in beside) for beside in zip(*games.values())]
        means = [statistics.mean(g.regret(q) for beside in games.values() for g in beside) for q in BUDGETS]
        spread = 1.96 * statistics.stdev(ends) / math.sqrt(len(ends)) if len(ends) > 1 else math.nan
        print(f"| `{method}` ({seeds}) | {' | '.join(cells)} | **{' / '.join(f'{m:.2f}' for m in means)}** | ± {spread:.2f}", flush=True)


main(*sys.argv[1:])
