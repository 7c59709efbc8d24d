"""Numbers of the paper's own code on two small linear classes, `golden/linear_*.npz`."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg.comparing.distance import condition_class
from fastmfg.kernels import likelihood

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(params=["linear_s6_a4_h3_m8", "linear_s10_a5_h4_m6"], scope="module")
def golden(request):
    with np.load(GOLDEN / f"{request.param}.npz") as file:
        return dict(file)


@pytest.fixture
def models(golden):
    return mfg.LinearClass(golden["phi"], golden["mu_feature"], golden["psi"], golden["mu1"])


def test_densities(golden, models):
    for i, policy in enumerate(golden["policies"]):
        comp = [mfg.condition(game, policy).density for game in models]
        assert_allclose(comp, golden["density"][i], rtol=0, atol=1e-13)


def test_ne_gaps(golden, models):
    for i, policy in enumerate(golden["policies"]):
        assert_allclose(mfg.ne_gaps(models, policy), golden["ne_gap"][i], rtol=0, atol=1e-11)
        assert_allclose([mfg.ne_gap(game, policy) for game in models], golden["ne_gap"][i], rtol=0, atol=1e-11)


def test_distances(golden, models):
    for i, policy in enumerate(golden["policies"]):
        ref = golden["distance"][i]
        assert_allclose(mfg.distance_matrix(models, policy, directed=True), ref, rtol=0, atol=1e-12)
        assert_allclose(mfg.distance_matrix(models, policy), np.maximum(ref, ref.T), rtol=0, atol=1e-12)


def test_conditional_transitions(golden, models):
    comp = [mfg.condition(game, golden["policies"][0]).transition for game in models]
    assert_allclose(comp, golden["conditional_transition_ref0"], rtol=0, atol=1e-13)


def test_log_likelihoods(golden, models):
    state, action, successor = (golden[name].ravel() for name in ("data_s", "data_a", "data_next"))
    step = np.repeat(np.arange(models.horizon), golden["data_s"].shape[1])
    conditional = condition_class(models, golden["policies"][0])
    models = conditional.models
    comp = np.full((len(models), step.size), np.nan)
    likelihood.log_likelihoods(
        models.fill, models.common, models.thetas, conditional.members, conditional.aux, step, state, action, successor,
        comp,
    )  # fmt: skip

    probability = golden["conditional_transition_ref0"][:, step, state, action, successor]
    assert_allclose(comp, np.log(probability), rtol=1e-11)
    # the published numbers have 1e-8 added inside the logarithm
    tables = np.stack([mfg.condition(game, golden["policies"][0]).transition for game in models])
    padded = np.log(tables[:, step, state, action, successor] + 1e-8).sum(axis=1)
    assert_allclose(padded, golden["loglik_ref0"], rtol=1e-12)


def test_shapes_are_those_of_the_file(golden, models):
    M, H, S, A = golden["policies"].shape
    assert (len(models), models.horizon, models.n_states, models.n_actions) == (M, H, S, A)
    assert_array_equal(models.initial, golden["mu1"])
