"""Options of the learner: one home, from which the function, the command line and experiments have theirs."""

import inspect
from dataclasses import fields

import pytest

import fastmfg as mfg
from fastmfg import cli
from fastmfg.learning import EVIDENCE, STRATEGIES, LearnOptions
from fastmfg.learning.options import EliminationOptions
from fastmfg.reporting.experiment import BaseExperiment, Experiment
from fastmfg.reporting.sweep import sweep_of

NAMES = [each.name for each in fields(LearnOptions)]
NOT_OPTIONS = {
    "models", "oracle", "grid", "lipschitz", "equilibria", "on_round", "on_draw", "executor", "checkpoint"
}  # fmt: skip


def options(**given):
    return LearnOptions(**{"epsilon": 0.01, "delta": 0.1} | given)


def test_learn_takes_these_options_with_these_defaults():
    parameters = inspect.signature(mfg.learn).parameters
    assert set(parameters) == NOT_OPTIONS | set(NAMES)
    for each in fields(LearnOptions):
        required = parameters[each.name].default is inspect.Parameter.empty
        assert required == (each.name in ("epsilon", "delta"))
        assert required or parameters[each.name].default == each.default


def test_experiments_sweeps_and_the_command_line_have_them_all():
    assert set(NAMES) <= {each.name for each in fields(BaseExperiment)}
    assert set(NAMES) <= set(sweep_of({}).axes)
    assert set(NAMES) <= set(cli.SETTINGS) and list(cli.SETTINGS)[: len(cli.LINEAR_ONLY)] == list(cli.LINEAR_ONLY)
    assert cli.LINEAR_ONLY == ("models", "states", "actions", "horizon", "d_phi", "d_psi", "scale")
    kinds = {name: kind for name, (kind, _) in cli.SETTINGS.items()}
    assert kinds["radius"] is float and kinds["max_trajectories"] is int and kinds["identify"] is bool
    texts = {name: text for name, (_, text) in cli.SETTINGS.items()}
    assert texts["radius"] == "radius of neighbourhoods (twice the tolerance; heuristic: epsilon / 10)"
    assert texts["seed"] == "seed of the class, the hidden model and the samples"  # an experiment's means more


def test_defaults_follow_from_other_options():
    assert options().elimination == EliminationOptions(tolerance=0.01, delta=0.1, adversary="information")
    assert options(strategy="exact").elimination.adversary == "max"
    assert options(tolerance=0.003).neighbourhood_radius == 0.006
    assert options(tolerance=0.003, strategy="heuristic").neighbourhood_radius == 0.001
    assert options(radius=0.0).neighbourhood_radius == 0.0
    assert options().budget == float("inf") and options(max_trajectories=7).budget == 7
    assert options(evidence="paper").elimination.least_draw(3) == 6 and options().elimination.least_draw(3) == 1


def test_a_default_and_an_equal_value_decide_one_run():
    given = options(tolerance=0.01, radius=0.02, adversary="information")
    assert given != options() and given.deciding() == options().deciding()
    assert set(options().deciding()) == set(NAMES)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("epsilon", 0.0, ValueError), ("epsilon", "1", TypeError), ("delta", 1.0, ValueError),
        ("tolerance", 0.0, ValueError), ("radius", -1.0, ValueError), ("strategy", "best", ValueError),
        ("adversary", "worst", ValueError), ("evidence", "none", ValueError), ("max_rounds", 0, ValueError),
        ("max_trajectories", -1, ValueError), ("seed", 1.5, TypeError), ("misspecification", 1.0, ValueError),
    ],
)  # fmt: skip
def test_each_is_checked_by_name_when_it_is_made(name, value, error):
    with pytest.raises(error, match=name):
        options(**{name: value})
    with pytest.raises(error, match=name):
        Experiment(**{name: value})


def test_all_choices_are_taken():
    for strategy in STRATEGIES:
        for evidence in EVIDENCE:
            assert options(strategy=strategy, evidence=evidence).elimination.evidence == evidence
