"""Writes posterior.json beside this file: Gaussian processes as scikit-learn sees them.

Needs `pip install scikit-learn`; run it only to add cases. Distances are squares of eighths, so that the
single precision in which the program keeps them holds them exactly.
"""

import json
import pathlib

import numpy
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

random = numpy.random.default_rng(20261129)


def case(n, m):
    x = random.integers(-16, 17, (n + m, 2)) / 8
    y = numpy.round(numpy.sin(x[:n, 0]) + 0.5 * x[:n, 1] ** 2 + 0.1 * random.standard_normal(n), 4)
    weights, signal, noise = numpy.round(random.uniform(0.05, 0.8, 2), 3), 0.9, 0.02
    # The program's mean is unknown with variance 1; a weight is an inverse squared length.
    kernel = ConstantKernel(1.0, "fixed") + ConstantKernel(signal, "fixed") * Matern(1 / numpy.sqrt(weights), "fixed", nu=2.5)
    process = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(x[:n], y)
    mean, deviation = process.predict(x[n:], return_std=True)
    return {
        "x": x.tolist(), "y": y.tolist(), "weights": weights.tolist(), "signal": signal, "noise": noise,
        "mean": mean.tolist(), "variance": (deviation**2).tolist(),
        "log_likelihood": process.log_marginal_likelihood(),
    }


text = ",\n".join(json.dumps(case(n, 20)) for n in (3, 17, 40))
pathlib.Path(__file__).with_name("posterior.json").write_text(f"[\n{text}\n]\n")
