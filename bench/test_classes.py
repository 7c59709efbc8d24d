"""Learning on every class of the zoo: trajectories, bound and seconds, three hidden models each.

Epsilon is a hundredth of the uniform policy's largest NE gap in the class, delta 0.01. docs/classes.md holds a table.
"""

import statistics
import time

import numpy as np
import pytest

import fastmfg as mfg

CLASSES = {
    "beach_bar": {"p_still": np.linspace(0.1, 0.9, 9)},
    "conservative_treasure_hunting": {"scatter": np.linspace(0.25, 4, 16)},
    "crowd_modelling_2d": {"noise_intensity": np.linspace(0.1, 1, 10)},
    "crowd_motion": {"p_still": np.linspace(0, 1, 11)},
    "epidemic": {"infection": np.linspace(0.2, 0.9, 8), "recovery": np.linspace(0.1, 0.5, 5), "horizon": 20},
    "four_rooms": {"noise_intensity": np.linspace(0.1, 1, 10)},
    "garnet": {"table_seed": range(30)},
    "kinetic_congestion": {"strength": np.linspace(0, 3, 13)},
    "linear_quadratic": {"mean_reversion": np.linspace(0.5, 1, 4), "sigma": np.linspace(1, 3, 5)},
    "maze": {"noise_intensity": np.linspace(0.1, 1, 10)},
    "mf_garnet": {"strength": np.linspace(0.5, 3, 4), "coupling_seed": range(8)},
    "periodic_aversion": {"noise_volatility": np.linspace(0.5, 2, 7)},
    "random_linear": {"seed": range(20)},
    "routing_braess": {
        "shortcut_time": np.linspace(0.1, 0.9, 5),
        "congestion": np.linspace(0.5, 1, 4),
        "horizon": 30,
    },
    "susceptible_infected": {"infection": np.linspace(0.3, 0.9, 7), "recovery": np.linspace(0.1, 0.5, 5)},
}
UNKNOWN_REWARDS = {  # and the noise under which rewards are observed
    "beach_bar": {"crowd_aversion_coef": np.linspace(0.2, 2, 10), "p_still": [0.2, 0.5, 0.8]},
    "crowd_modelling_2d": {"crowd_aversion_coef": np.linspace(0.2, 2, 10), "noise_intensity": [0.2, 0.5, 0.8]},
    "epidemic": {"illness": np.linspace(0.25, 2, 8), "infection": np.linspace(0.2, 0.9, 5), "horizon": 20},
    "susceptible_infected": {"illness_cost": np.linspace(0.25, 2, 8), "infection": np.linspace(0.3, 0.9, 5)},
}
NOISES = (0.0, 1.0)
RUNS = 3


@pytest.mark.parametrize("name", CLASSES)
def test_learning_on_a_class(name, benchmark, note, timing):
    learn_on(name, mfg.zoo.classes.build(name, **CLASSES[name]), benchmark, note, timing)


@pytest.mark.parametrize("sigma", NOISES)
@pytest.mark.parametrize("name", UNKNOWN_REWARDS)
def test_learning_with_unknown_rewards(name, sigma, benchmark, note, timing):
    models = mfg.zoo.classes.build(name, reward_noise=sigma, **UNKNOWN_REWARDS[name])
    learn_on(f"{name}, noise {sigma:g}", models, benchmark, note, timing)


def learn_on(name, models, benchmark, note, timing):
    epsilon = 0.01 * max(mfg.ne_gaps(models, models[0].uniform_policy()))
    hidden = np.linspace(0, len(models) - 1, RUNS + 2).astype(int)[1:-1][: RUNS if timing else 1]
    drawn, bounds, seconds = [], [], []

    def run():
        for seed, truth in enumerate(hidden):
            started = time.perf_counter()
            learned = mfg.learn(
                models,
                mfg.MeanFieldOracle(models[truth], seed=seed),
                epsilon=epsilon,
                delta=0.01,
                max_trajectories=20_000,
            )
            seconds.append(time.perf_counter() - started)
            drawn.append(learned.trajectories)
            bounds.append(learned.ne_gap_bound)
            if truth in learned.survivors:
                assert mfg.ne_gap(models[truth], learned.policy) <= learned.ne_gap_bound + 1e-12

    benchmark.pedantic(run, rounds=1)
    size = f"{len(models)} models, S={models.n_states} A={models.n_actions} H={models.horizon}"
    benchmark.extra_info.update(trajectories=drawn, bounds=bounds, epsilon=epsilon)
    note(
        f"{name}: {size}",
        f"epsilon {epsilon:.3g}, bound up to {max(bounds):.3g}, trajectories {', '.join(map(str, drawn))}, "
        f"{statistics.median(seconds):.2f} s",
    )
