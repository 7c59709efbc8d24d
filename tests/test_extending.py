"""What docs/architecture.md says of adding a solver and an adversary, done."""

import numpy as np

import fastmfg as mfg
from fastmfg.learning.adversary import ADVERSARIES, First
from fastmfg.planning.solve import METHODS


class Halfway:
    """Go half of the way to the best response, less each time."""

    def __init__(self, slowness=2.0):
        self.slowness, self.iteration = slowness, 0

    def __call__(self, last):
        self.iteration += 1
        w = 1.0 / (self.slowness + self.iteration)
        return (1.0 - w) * last.policy + w * last.best_response


class Last(First):
    """The last pair that is not near, where `First` takes the first one."""

    def deviation(self, alive, log_likelihood):
        far = np.argwhere(np.tril(~self.near[np.ix_(alive, alive)]))
        m, n = alive[far[-1]].tolist()
        distance, policy = self.pair_deviation(m, n)
        return policy if distance > self.tolerance else self.pair_deviation(n, m)[1]


def test_a_solver(monkeypatch):
    monkeypatch.setitem(METHODS, "halfway", Halfway)
    game = mfg.zoo.left_right()
    solution = mfg.solve(game, "halfway", tol=0.02, max_iterations=500, slowness=1.0)
    assert solution.converged and mfg.ne_gap(game, solution.policy) <= 0.02


def test_an_adversary(monkeypatch):
    monkeypatch.setitem(ADVERSARIES, "last", Last)
    models = mfg.linear_class(8, 5, 3, 2, seed=2)
    oracle = mfg.MeanFieldOracle(models[5], seed=1)
    outcome = mfg.eliminate(models, oracle, models[0].uniform_policy(), tolerance=0.3, delta=0.01, adversary="last")
    assert outcome.converged and 5 in outcome.survivors
