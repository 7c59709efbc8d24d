"""Neighbourhoods counted along pivots: the answers of exact distances, whatever decides."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastmfg as mfg
from fastmfg import zoo
from fastmfg.comparing import neighbourhood, pivots
from fastmfg.comparing.conditional import condition_class
from fastmfg.comparing.neighbourhood import find_neighbourhoods
from fastmfg.comparing.tiles import Tiles

CLASSES = {
    "dense": lambda: mfg.linear_class(70, 8, 3, 3, seed=1, scale=0.5),
    "one step": lambda: mfg.linear_class(30, 6, 2, 1, seed=2),
    "one model": lambda: mfg.linear_class(1, 6, 2, 2, seed=2),
    "two models": lambda: mfg.linear_class(2, 6, 2, 2, seed=2),
    "factored": lambda: zoo.classes.build(
        "crowd_modelling_2d", size=4, horizon=3, noise_intensity=np.linspace(0.1, 0.9, 40)
    ),
    "sparse": lambda: zoo.classes.build("beach_bar", n_states=12, horizon=4, p_still=np.linspace(0.05, 0.95, 40)),
    "crowd moves": lambda: zoo.classes.build(
        "epidemic", horizon=6, infection=np.linspace(0.1, 0.9, 9), recovery=np.linspace(0.1, 0.5, 5)
    ),
    "alike": lambda: mfg.linear_class(25, 6, 2, 3, seed=3, scale=1e-9),
}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("crowded", [0, 50])
def test_counts_are_those_of_all_pairs(name, crowded, monkeypatch):
    monkeypatch.setattr(pivots, "CROWDED", crowded)
    models = CLASSES[name]()
    conditional = condition_class(models, models[0].uniform_policy())
    tiles = Tiles.of(conditional)
    distances = mfg.distance_matrix(models, models[0].uniform_policy())
    for radius in (0.0, 1e-8, 1e-4, 0.03, 0.3, 1.0, *np.quantile(distances, [0.1, 0.5, 0.9]), 2.0 * models.horizon):
        marked = []
        found = pivots.pivot_counts(tiles, float(radius), lambda i, j, told=marked: told.extend(zip(i, j, strict=True)))
        near = {tuple(sorted(pair)) for pair in marked}
        assert near == {(i, j) for i, j in np.argwhere(distances <= radius) if i < j} and len(near) == len(marked)
        assert_array_equal(found.counts, (distances <= radius).sum(axis=1))
        assert found.central == find_neighbourhoods(conditional, float(radius)).central
        assert sum(found.decided.values()) == len(models) * (len(models) - 1) // 2


def test_chunks_change_nothing(monkeypatch):
    models = CLASSES["dense"]()
    policy = models[0].uniform_policy()
    tiles = Tiles.of(condition_class(models, policy))
    whole = pivots.pivot_counts(tiles, 0.5)
    monkeypatch.setattr(pivots, "CHUNK", 3)
    assert_array_equal(pivots.pivot_counts(tiles, 0.5).counts, whole.counts)


def test_large_classes_are_counted_along_pivots(monkeypatch):
    models = CLASSES["dense"]()
    policy = models[0].uniform_policy()
    expected = mfg.neighbour_counts(models, policy, 0.5)
    monkeypatch.setattr(neighbourhood, "LARGE", 10)
    monkeypatch.setattr(Tiles, "pairs", None)  # nobody looks at all pairs
    assert_array_equal(mfg.neighbourhoods(models, policy, 0.5).counts, expected)
    assert_array_equal(mfg.neighbour_counts(models, policy, 0.5), expected)
    assert mfg.central_model(models, policy, 0.5) == int(np.argmax(expected))


def test_most_pairs_of_the_papers_class_are_never_looked_at():
    models = mfg.linear_class(400, 10, 4, 3, seed=5)
    found = pivots.pivot_counts(Tiles.of(condition_class(models, models[0].uniform_policy())), 1e-4)
    assert found.decided["pivots"] > 0.99 * 400 * 399 / 2
    assert_array_equal(found.counts, 1)
