"""Every kernel on linear classes, one thread, at three sizes, the last of them the paper's."""

from functools import cache, cached_property

import naive
import naive_rewards
import numpy as np
import pytest

import fastmfg as mfg
from fastmfg.comparing.conditional import KNOWN
from fastmfg.kernels import backup, density, distance, information, likelihood, reward, softmax, walk
from fastmfg.kernels.forms import NO_ROWS, Pairs

SIZES = [(10, 4, 3), (30, 10, 3), (100, 50, 3)]  # S, A, H
MODELS = 8  # of kernels that take a batch of models
SIDE = distance.PAIR_BLOCK  # of kernels that compare a block of models with another
TRAJECTORIES = 64
LAST = MODELS - 1  # the model whose results are compared with the twin's; in blocks of pairs, with OTHER
OTHER = 2 * SIDE - 1


class Bed:
    """A random linear class, conditioned on one random policy, in the form kernels read."""

    def __init__(self, S, A, H):
        self.S, self.A, self.H = S, A, H
        self.rng = rng = np.random.default_rng(1)
        self.phi, self.U = rng.standard_normal((H, S, A, 5)), rng.standard_normal((H, S, 25))
        self.psi = rng.standard_normal((2 * SIDE, H, 5, S))
        self.initial = rng.dirichlet(np.ones(S))
        self.models = mfg.LinearClass(self.phi, self.U, self.psi, self.initial)
        self.policy = rng.dirichlet(np.ones(A), (H, S))
        self.legal = np.ones((S, A), dtype=bool)
        self.every = np.arange(2 * SIDE)
        self.density, self.aux = self.models.densities(self.every, self.policy[None], np.zeros(2 * SIDE, dtype=int))

    def batch(self, n=MODELS):
        """fill, common, thetas, members, aux of the first n models."""
        return self.models.fill, self.models.common, self.models.thetas, self.every[:n], self.aux[:n]

    def policies(self, n=MODELS):
        """policies, policy_of: all models under the one policy."""
        return self.policy[None], np.zeros(n, dtype=int)

    def table(self, m):
        """Rows [H, S, A, S] of a conditional model; test_tabulate and test_push compare them with the equation."""
        steps = [self.models.transition_at(m, h, self.density[m, h]) for h in range(self.H)]
        return np.stack(steps)

    @cached_property
    def pair(self):
        """Tables of LAST and OTHER."""
        return self.table(LAST), self.table(OTHER)

    @cached_property
    def rewards(self):
        return self.rng.random((MODELS, self.H, self.S, self.A))

    @cached_property
    def trajectories(self):
        uniforms = self.rng.random((TRAJECTORIES, 2 * self.H + 1))
        walks = [naive.walk(self.initial, self.pair[0], self.policy, u) for u in uniforms]
        return uniforms, np.array([w[0] for w in walks]), np.array([w[1] for w in walks])


@pytest.fixture(params=SIZES, ids=lambda size: "S{}-A{}-H{}".format(*size))
def bed(request):
    return _bed(*request.param)


_bed = cache(Bed)


@pytest.fixture
def run(bed, meter):
    """``run(kernel, args, what, ...)``: check, time and report."""

    def go(kernel, args, what, **how):
        key = f"kernel {kernel.__name__}" if SIZES[-1] == (bed.S, bed.A, bed.H) else None
        meter.kernel(kernel, args, f"{what}, S={bed.S} A={bed.A} H={bed.H}", key=key, **how)

    return go


def test_push(bed, run):
    _, _, thetas, members, aux = bed.batch()
    mu, aux, fault = np.empty((MODELS, bed.H, bed.S)), np.empty_like(aux), np.zeros((MODELS, 5), dtype=int)
    args = (bed.models.compiled_rows, Pairs(thetas, members, *bed.policies(), NO_ROWS), False, False, mu, aux, fault)
    game = naive.linear_game(bed.phi, bed.U, bed.psi[LAST])

    def twin():
        return naive.push(bed.initial, bed.policy, game)[0]

    run(density.push, args, f"{MODELS} models", result=lambda: mu[LAST], twin=twin, share=1 / MODELS)


def test_occupy(bed, run):
    deviation = bed.rng.dirichlet(np.ones(bed.A), (bed.H, bed.S))
    mu = np.empty((MODELS, bed.H, bed.S))
    _, _, thetas, members, aux = bed.batch()
    pairs = Pairs(thetas, members, deviation[None], np.zeros(MODELS, dtype=int), NO_ROWS)
    args = (bed.models.compiled_rows, pairs, aux, mu)

    def twin():
        return naive.occupy(bed.initial, deviation, bed.pair[0])

    run(density.occupy, args, f"{MODELS} models", result=lambda: mu[LAST], twin=twin, share=1 / MODELS)


def test_tabulate(bed, run):
    models, out = bed.models, np.empty((bed.S, bed.A, bed.S))
    aux = np.empty(models.aux_size)
    args = (models.prepare, models.fill, models.common, models.thetas[0], 0, bed.initial, aux, out)
    game = naive.linear_game(bed.phi, bed.U, bed.psi[0])
    run(density.tabulate, args, "one step", result=lambda: out, twin=lambda: naive.tabulate(game, 0, bed.initial))


def test_rewards(bed, run):
    _, common, thetas, members, _ = bed.batch()
    out, status = np.empty((MODELS, bed.H, bed.S, bed.A)), np.zeros(MODELS, dtype=int)
    args = (reward.crowd_aversion, common, thetas, members, bed.density[:MODELS], *bed.policies(), False, out, status)

    def twin():
        return naive.rewards(lambda _, mu: naive.crowd_aversion(mu, bed.A), bed.density[LAST], bed.policy, False)

    run(reward.rewards, args, f"{MODELS} models", result=lambda: out[LAST], twin=twin, share=1 / MODELS)


def test_reward_step(bed, run):
    out = np.empty((bed.S, bed.A))
    args = (reward.crowd_aversion, bed.models.common, bed.models.thetas[0], 0, bed.initial, out)
    twin_reward = lambda _, mu: naive.crowd_aversion(mu, bed.A)  # noqa: E731
    run(reward.reward_step, args, "one step", result=lambda: out,
        twin=lambda: naive.reward_step(twin_reward, 0, bed.initial))  # fmt: skip


def test_back_up(bed, run):
    q, greedy, value = (
        np.empty_like(bed.rewards),
        np.empty((MODELS, bed.H, bed.S), dtype=np.int32),
        np.empty((MODELS, 2, bed.S)),
    )
    _, _, thetas, members, aux = bed.batch()
    args = (
        bed.models.compiled_rows,
        Pairs(thetas, members, *bed.policies(), NO_ROWS),
        aux,
        bed.rewards,
        q,
        greedy,
        value,
    )

    def twin():
        return naive.back_up(bed.pair[0], bed.rewards[LAST], bed.policy, bed.legal)

    run(backup.back_up, args, f"{MODELS} models", result=lambda: (q[LAST], greedy[LAST], value[LAST]), twin=twin,
        share=1 / MODELS)  # fmt: skip


def block(bed):
    """What the block kernels begin and end with: the first SIDE models against the others."""
    wanted = np.ones((SIDE, SIDE), dtype=bool)
    return bed.batch(2 * SIDE), (bed.every[:SIDE], bed.every[SIDE:], wanted), wanted


def test_block_distances(bed, run):
    models, pairs, _ = block(bed)
    out = np.empty((SIDE, SIDE, 2))

    def twin():
        return naive.block_distances(*bed.pair, bed.initial, bed.legal)

    run(distance.block_distances, (*models, KNOWN, *pairs, out), f"{SIDE} x {SIDE} pairs",
        result=lambda: tuple(out[LAST, SIDE - 1]), twin=twin, share=1 / SIDE**2)  # fmt: skip


def test_block_lower_bounds(bed, run):
    models, pairs, wanted = block(bed)
    out = np.zeros((SIDE, SIDE))

    def before():
        out[:], wanted[:] = 0.0, True

    run(distance.block_lower_bounds, (*models, KNOWN, np.arange(bed.S), *pairs, np.inf, out), f"{SIDE} x {SIDE} pairs",
        result=lambda: out[LAST, SIDE - 1], twin=lambda: naive.lower_bound(*bed.pair, bed.initial, bed.legal),
        share=1 / SIDE**2, before=before)  # fmt: skip


def test_block_upper_bounds(bed, run):
    models, pairs, wanted = block(bed)
    low = naive.lower_bound(*bed.pair, bed.initial, bed.legal)
    out = np.zeros((SIDE, SIDE))

    def before():
        out[:], wanted[:] = low, True

    run(distance.block_upper_bounds, (*models, KNOWN, *pairs, np.inf, out), f"{SIDE} x {SIDE} pairs",
        result=lambda: out[LAST, SIDE - 1], twin=lambda: naive.upper_bound(*bed.pair, bed.initial, bed.legal),
        share=1 / SIDE**2, before=before)  # fmt: skip


def test_row_gaps(bed, run):
    out = np.empty((bed.H, bed.S, bed.A))
    args = (*bed.batch(2 * SIDE), KNOWN, LAST, OTHER, out)
    run(distance.row_gaps, args, "one pair", result=lambda: out, twin=lambda: naive.row_gaps(*bed.pair))


def test_log_likelihoods(bed, run):
    _, states, actions = bed.trajectories
    steps = np.tile(np.arange(bed.H), TRAJECTORIES)
    data = (steps, states[:, :-1].ravel(), actions.ravel(), states[:, 1:].ravel())
    out = np.empty((MODELS, steps.size))

    def twin():
        return naive.log_likelihoods(bed.pair[0][None], *data)[0]

    run(likelihood.log_likelihoods, (*bed.batch(), *data, out), f"{MODELS} models, {steps.size} transitions",
        result=lambda: out[LAST], twin=twin, share=1 / MODELS)  # fmt: skip


def test_walk(bed, run):
    fill, common, thetas, _, aux = bed.batch()
    uniforms, states, actions = bed.trajectories
    out = np.empty_like(states), np.empty_like(actions)

    def twin():
        walks = [naive.walk(bed.initial, bed.pair[0], bed.policy, u) for u in uniforms]
        return np.array([w[0] for w in walks]), np.array([w[1] for w in walks])

    run(walk.walk, (fill, common, thetas[LAST], aux[LAST], bed.policy, uniforms, *out), f"{TRAJECTORIES} trajectories",
        result=lambda: out, twin=twin)  # fmt: skip


def test_back_up_information(bed, run):
    weights, V_next = bed.rng.dirichlet(np.ones(MODELS)), bed.rng.random(bed.S)
    q, V, greedy = np.empty((bed.S, bed.A)), np.empty(bed.S), np.empty(bed.S, dtype=int)
    P = np.stack([bed.table(m)[0] for m in range(MODELS)])
    args = (*bed.batch(), weights, 0, np.arange(bed.S), V_next, q, V, greedy)
    run(information.back_up_information, args, f"{MODELS} models, one step", result=lambda: (q, V, greedy),
        twin=lambda: naive.back_up_information(P, weights, V_next, bed.legal))  # fmt: skip


def test_reward_information(bed, run):
    r, weights = bed.rng.standard_normal((MODELS, 1, bed.S, bed.A)), bed.rng.dirichlet(np.ones(MODELS))
    out = np.empty((bed.S, bed.A))
    run(information.reward_information, (r, weights, 0.5, 0, np.arange(bed.S), out), f"{MODELS} models, one step",
        result=lambda: out[:1, :1], twin=lambda: naive_rewards.reward_information(r[:, 0, :1, :1], weights, 0.5),
        share=1 / (bed.S * bed.A))  # fmt: skip


def test_mirror_step(bed, run):
    y, q = bed.rng.standard_normal((2, bed.H, bed.S, bed.A))
    out = np.empty_like(y), np.empty_like(y)
    run(softmax.mirror_step, (y, q, 0.5, bed.legal, *out), "one policy", result=lambda: out,
        twin=lambda: naive.mirror_step(y, q, 0.5, bed.legal))  # fmt: skip
