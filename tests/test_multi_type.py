"""Several types of agents: the lift against each type by itself, and the translation to and from it."""

import naive_multi_type as naive
import numpy as np
import pytest
from builders import policy, swept_fill, swept_prepare, swept_reward
from hypothesis import given
from hypothesis import strategies as st
from multi_type_cases import PAIR, SIZES, Parts, blocks_class
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg import zoo

cases = given(st.integers(0, 10**6), st.sampled_from(SIZES), st.booleans(), st.booleans())


# The lift against each type by itself


@cases
def test_gaps_are_those_of_types_by_themselves(seed, sizes, masked, joint):
    parts = Parts(seed, sizes, masked=masked, joint=joint)
    game, policies = parts.game(), parts.policies(seed)
    gaps, returns = parts.gaps(policies)
    pi, W = game.join(policies), len(sizes)
    assert_allclose(mfg.ne_gaps_by_type(game, pi), gaps, atol=1e-12)
    assert mfg.ne_gap(game, pi) == mfg.ne_gaps_by_type(game, pi).max()
    assert mfg.nash_conv(game, pi) == pytest.approx(gaps.sum(), abs=1e-12)
    assert mfg.ne_gap(game.lift(), pi) == pytest.approx(gaps.mean(), abs=1e-12)
    assert_allclose(mfg.returns_by_type(game, pi), returns, atol=1e-12)
    assert mfg.evaluate(game, pi) == pytest.approx(returns.mean(), abs=1e-12)
    best = mfg.best_response(game, pi)
    assert_allclose(mfg.returns_by_type(game, pi, best.policy), returns + gaps, atol=1e-12)
    densities, _ = naive.push(parts.initials, policies, parts.transitions, joint)
    found = mfg.condition(game, pi)
    for density, comp in zip(densities, game.split_density(found.density), strict=True):
        assert_allclose(comp, density, atol=1e-14)
    assert_array_equal(np.diff(game.layout.first), [S for S, _ in sizes])
    assert (game.n_types, game.n_actions) == (W, max(A for _, A in sizes))


@given(st.integers(0, 10**6), st.booleans())
def test_one_type_is_the_plain_game_bit_for_bit(seed, joint):
    parts = Parts(seed, ((4, 3),), masked=True, joint=joint)
    game = parts.game()
    plain = mfg.Game(
        parts.initials[0],
        lambda h, seen: parts.transitions[0](h, [seen]),
        lambda h, seen: parts.rewards[0](h, [seen]),
        horizon=parts.H,
        legal=parts.legals[0],
        population=game.population,
    )
    pi = parts.policies()[0]
    assert mfg.ne_gap(game, pi) == mfg.ne_gap(game, [pi]) == mfg.ne_gap(plain, pi)
    assert mfg.ne_gap(game.lift(), pi) == mfg.ne_gap(plain, pi)
    assert mfg.nash_conv(plain, pi) == mfg.ne_gap(plain, pi)
    one, other = mfg.condition(game, pi), mfg.condition(plain, pi)
    for what in ("density", "reward", "transition"):
        assert_array_equal(getattr(one, what), getattr(other, what))
    found, wanted = (mfg.solve(g, max_iterations=20, tol=0.0) for g in (game, plain))
    assert_array_equal(found.history, wanted.history)
    assert_array_equal(found.policy, wanted.policy)


@cases
def test_permuting_types_permutes_results(seed, sizes, masked, joint):
    parts, W = Parts(seed, sizes, masked=masked, joint=joint), len(sizes)
    order = np.random.default_rng(seed).permutation(W)
    back = np.argsort(order)  # type w stands at back[w] now

    def reordered(functions):
        return [lambda h, seen, f=functions[w]: f(h, [seen[i] for i in back]) for w in order]

    other = parts.game(
        initials=[parts.initials[w] for w in order],
        legals=[parts.legals[w] for w in order],
        transitions=reordered(parts.transitions),
        rewards=reordered(parts.rewards),
    )
    game, policies = parts.game(), parts.policies(seed)
    mixed = [policies[w] for w in order]
    assert_allclose(mfg.ne_gaps_by_type(other, mixed), mfg.ne_gaps_by_type(game, policies)[order], atol=1e-13)
    steps = [mfg.solve(g, "mirror-descent", step=0.5, tol=0.0, max_iterations=4) for g in (game, other)]
    assert_allclose(steps[1].history, steps[0].history, atol=1e-12)
    for w, part in enumerate(other.split(steps[1].policy)):
        assert_allclose(part, game.split(steps[0].policy)[order[w]], atol=1e-12)


@given(st.integers(0, 10**6), st.sampled_from(SIZES))
def test_translations_go_back_and_forth(seed, sizes):
    parts = Parts(seed, sizes, masked=True)
    game, policies = parts.game(), parts.policies(seed)
    pi = game.join(policies)
    assert pi.shape == (parts.H, game.n_states, game.n_actions)
    assert (pi[:, ~game.legal] == 0).all()
    for part, given_part in zip(game.split(pi), policies, strict=True):
        assert_array_equal(part, given_part)
    for part, given_part in zip(game.split(policies), policies, strict=True):  # a list comes through as it is
        assert_array_equal(part, given_part)
    density = mfg.condition(game, policies).density
    shares = game.split_density(density)
    for w, share in enumerate(shares):
        assert_allclose(share.sum(axis=-1), 1.0, atol=1e-12)
        assert_allclose(share[0], parts.initials[w], rtol=1e-15)
        assert_array_equal(game.split_density(density[1])[w], share[1])
    assert_allclose(game.join_density(shares), density, rtol=1e-15)
    states = np.arange(game.n_states)
    assert_array_equal(game.layout.type_of(states), np.repeat(np.arange(len(sizes)), [S for S, _ in sizes]))


def test_everything_takes_policies_in_both_forms():
    game, policies = PAIR.game(), PAIR.policies()
    pi = game.join(policies)
    for function in (mfg.ne_gap, mfg.ne_gaps_by_type, mfg.nash_conv, mfg.evaluate, mfg.returns_by_type):
        assert_array_equal(function(game, policies), function(game, pi))
        assert_array_equal(function(game, tuple(policies)), function(game, pi.tolist()))
    assert mfg.evaluate(game, policies, policies) == mfg.evaluate(game, pi)
    assert_array_equal(mfg.returns_by_type(game, pi, policies), mfg.returns_by_type(game, pi))
    assert mfg.best_response(game, policies).value == mfg.best_response(game, pi).value
    starts = [mfg.solve(game, tol=0.0, max_iterations=1, initial_policy=start).history[0] for start in (policies, pi)]
    assert starts[0] == starts[1] == mfg.ne_gap(game, pi)


@pytest.mark.parametrize("method", ["auto", "mirror-descent", "fictitious-play", "best-response-mixing", "anderson"])
def test_solvers_measure_the_gap_of_the_game_with_types(method):
    game = zoo.predator_prey(3, 3)
    solution = mfg.solve(game, method, rtol=0.05)
    assert solution.converged
    assert solution.ne_gap == pytest.approx(mfg.ne_gap(game, solution.policy), abs=1e-13)
    gaps = mfg.ne_gaps_by_type(game, solution.policy)
    assert gaps.max() == pytest.approx(solution.ne_gap, abs=1e-13)
    assert gaps.mean() == pytest.approx(mfg.ne_gap(game.lift(), solution.policy), abs=1e-13)
    assert gaps.max() > 1.01 * gaps.mean()
    assert len(game.split(solution.policy)) == 3


def test_large_games_have_gaps_of_types_as_well():
    game = zoo.predator_prey(53, 2)  # passes are made by a team here
    rng = np.random.default_rng(0)
    pi = policy(rng, 2, game.legal)
    gaps = mfg.ne_gaps_by_type(game, pi)
    assert mfg.ne_gap(game, pi) == pytest.approx(gaps.max(), rel=1e-12)
    assert mfg.ne_gap(game.lift(), pi) == pytest.approx(gaps.mean(), rel=1e-12)
    assert mfg.solve(game, max_iterations=1, initial_policy=pi).history[0] == pytest.approx(gaps.max(), rel=1e-12)


def test_diagnostics_see_densities_of_types():
    """Along policies every type keeps its mass: functions never see anything else."""
    parts = Parts(4, ((2, 2), (5, 2)))
    sums = []

    def watched(h, seen):
        sums.extend(part.sum() for part in seen)
        return parts.rewards[0](h, seen)

    game = parts.game(rewards=[watched, parts.rewards[1]])
    found = mfg.diagnose(game, n_policies=4)
    assert found.transition_depends
    assert_allclose(sums, 1.0, atol=1e-12)


def test_games_and_classes_say_what_they_are():
    game = PAIR.game()
    assert repr(game) == "<MultiTypeGame: 2 types, 2+3 states, 3 actions, horizon 3>"
    assert repr(game.lift()) == "<Game: 5 states, 3 actions, horizon 3>"
    assert game.grids is None
    assert not isinstance(game.lift(), mfg.MultiTypeGame)
    assert repr(mfg.MultiTypeClass([game])) == "<MultiTypeClass: 1 models, 5 states, 3 actions, horizon 3>"


# Lifts in compiled form


def test_lifts_at_hand_are_games_with_types():
    models, tables, reward = blocks_class()
    typed = mfg.MultiTypeClass.of_lift(models, [2, 3])
    game = mfg.MultiTypeGame.of_lift(models[1], [2, 3])
    ends = [slice(0, 2), slice(2, 5)]
    by_hand = mfg.MultiTypeGame(
        [2 * models.initial[part] for part in ends],
        [lambda h, seen, part=part: tables[1, h][part, :, part] for part in ends],
        [lambda h, seen, part=part: reward(h, np.concatenate(seen) / 2)[part] for part in ends],
        horizon=3,
    )
    pi = policy(np.random.default_rng(2), 3, models.legal)
    for other in (game, typed[1]):
        assert isinstance(other, mfg.MultiTypeGame)
        assert_allclose(mfg.ne_gaps_by_type(other, pi), mfg.ne_gaps_by_type(by_hand, pi), atol=1e-13)
    assert mfg.ne_gap(game, pi) > mfg.ne_gap(models[1], pi)  # the largest, and the mean
    assert_allclose(mfg.ne_gaps(typed, pi, [1, 2]), [mfg.ne_gap(typed[m], pi) for m in (1, 2)], rtol=1e-14)
    pair = mfg.MultiTypeClass([mfg.MultiTypeGame.of_lift(models[m], [2, 3]) for m in (2, 1)])
    assert_array_equal(mfg.ne_gaps(pair, pi), mfg.ne_gaps(typed, pi, [2, 1]))


# Bad input

WRONG_GAMES = [
    ({"initials": []}, ValueError, "initials is empty"),
    ({"initials": 3}, TypeError, "initials must be a sequence, got int"),
    ({"initials": [[0.5, 0.5], [0.2, 0.2, 0.5]]}, ValueError, r"initials\[1\] sums to 0.9:"),
    ({"initials": [[0.5, np.nan], [0.2, 0.3, 0.5]]}, ValueError, r"initials\[0\]\[1\] is nan"),
    ({"initials": [[0.5, 0.5]]}, ValueError, "transitions must hold a function for each of the 1 types, got 2"),
    ({"transitions": PAIR.transitions[:1]}, ValueError, "transitions must hold .* of the 2 types, got 1"),
    ({"rewards": [PAIR.rewards[0], None]}, TypeError, r"rewards\[1\] must be a function, got NoneType"),
    ({"transitions": PAIR.transitions[::-1]}, ValueError,
     r"transitions\[0\]\(0, densities\) must have shape \[2, 3, 2\], got \[3, 2, 3\]"),
    ({"rewards": PAIR.rewards[::-1]}, ValueError,
     r"rewards\[0\]\(0, densities\) must have shape \[2, 3\], got \[3, 2\]"),
    ({"transitions": [lambda h, seen: np.full((2, 3, 2), 0.4), PAIR.transitions[1]]}, ValueError,
     r"transitions\[0\]\(0, densities\)\[0, 0\] sums to 0.8"),
    ({"rewards": [lambda h, seen: np.full((2, 3), np.inf), PAIR.rewards[1]]}, ValueError,
     r"rewards\[0\]\(0, densities\)\[0, 0\] is inf"),
    ({"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
    ({"horizon": [3, 3]}, TypeError, "horizon must be a whole number"),
    ({"legals": PAIR.legals[:1]}, ValueError, "legals must hold a mask for each of the 2 types, got 1"),
    ({"legals": PAIR.legals[::-1]}, ValueError, r"legals\[0\] must have shape \[2, A\] .*got \[3, 2\]"),
    ({"legals": [PAIR.legals[0], np.zeros((3, 2), dtype=bool)]}, ValueError, r"type 1: legal\[0\] has no legal action"),
    ({"legals": [PAIR.legals[0], np.ones((3, 2))]}, TypeError, "type 1: legal must be boolean"),
    ({"population": "all"}, ValueError, "population must be 'state' or 'joint', got 'all'"),
    ({"population": "joint", "legals": None}, ValueError, r"legals\[0\] is needed"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "error", "message"), WRONG_GAMES)
def test_wrong_games(changes, error, message):
    with pytest.raises(error, match=message):
        PAIR.game(**changes)


def test_number_of_actions_is_read_off_the_rows():
    assert PAIR.game(legals=None).layout.n_actions == (3, 2)
    assert PAIR.game(legals=[None, PAIR.legals[1]]).layout.n_actions == (3, 2)


def test_wrong_policies():
    game, policies = PAIR.game(), PAIR.policies()
    mixed = game.join(policies)
    mixed[1, 3] = [0.5, 0.2, 0.3]
    message = r"policy\[1, 3, 2\] is 0.3: state 3 is of type 1, which has the actions 0..1"
    for function in (mfg.ne_gap, mfg.condition, mfg.evaluate, mfg.nash_conv, lambda game, pi: game.split(pi)):
        with pytest.raises(ValueError, match=message):
            function(game, mixed)
    longer = [policies[0], np.tile(policies[1], (2, 1, 1))]
    for function, name in ((game.join, "policies"), (lambda pi: mfg.ne_gap(game, pi), "policy")):
        with pytest.raises(ValueError, match=rf"{name}\[1\] must have shape \[3, 3, 2\], got \[6, 3, 2\]"):
            function(longer)
        with pytest.raises(ValueError, match=f"{name} must hold a policy for each of the 2 types, got 1"):
            function(policies[:1])
    with pytest.raises(ValueError, match=r"policies\[1\]\[0, 0\] sums to 2.0"):
        game.join([policies[0], 2 * policies[1]])
    with pytest.raises(TypeError, match="policies must be a sequence, got int"):
        game.join(3)
    with pytest.raises(ValueError, match=r"policy must have shape \[3, 5, 3\], got \[3, 5, 2\]"):
        mfg.ne_gap(game, mixed[:, :, :2])
    masked = Parts(1, ((2, 3), (3, 2)), masked=True).game(legals=[np.eye(2, 3, dtype=bool), None])
    with pytest.raises(ValueError, match=r"policies\[0\]\[0, 0, 1\] is .*: action 1 is illegal in state 0"):
        masked.join([np.full((3, 2, 3), 1 / 3), policies[1]])


def test_wrong_densities():
    game = PAIR.game()
    with pytest.raises(ValueError, match=r"density must have shape \[..., 5\], got \[4\]"):
        game.split_density(np.ones(4))
    with pytest.raises(ValueError, match=r"densities must have shapes .*S_w = \[2, 3\], got \[\[3\], \[2\]\]"):
        game.join_density([np.ones(3), np.ones(2)])
    with pytest.raises(ValueError, match="densities must have shapes"):
        game.join_density([np.ones((4, 2)), np.ones((5, 3))])


def test_wrong_lifts():
    models, *_ = blocks_class()
    wrong = [
        ({"n_states": [2, 2]}, ValueError, "n_states sum to 4, but the lift has 5 states"),
        ({"n_states": [3, 2]}, ValueError, "initial gives type 0 the mass"),
        ({"n_states": []}, ValueError, "n_states is empty"),
        ({"n_states": [2, 3.0]}, TypeError, r"n_states\[1\] must be a whole number"),
        ({"n_states": [5, 0]}, ValueError, r"n_states\[1\] must be at least 1"),
        ({"n_states": [2, 3], "n_actions": [2]}, ValueError, "n_actions must hold 2 numbers"),
        ({"n_states": [2, 3], "n_actions": [1, 1]}, ValueError, "largest of n_actions is 1, but the lift has 2"),
        ({"n_states": [2, 3], "n_actions": [2, 1]}, ValueError, r"legal\[2, 1\]: state 2 is of type 1, which has 1"),
    ]
    for arguments, error, message in wrong:
        with pytest.raises(error, match=message):
            mfg.MultiTypeGame.of_lift(models[0], **arguments)
        with pytest.raises(error, match=message):
            mfg.MultiTypeClass.of_lift(models, **arguments)
    with pytest.raises(ValueError, match="n_parameters sum to 3, but thetas have"):
        mfg.MultiTypeClass.of_lift(models, [2, 3], n_parameters=[1, 2])
    with pytest.raises(TypeError, match="models must be a ModelClass"):
        mfg.MultiTypeClass.of_lift(models[0], [2, 3])
    with pytest.raises(TypeError, match="game must be a Game"):
        mfg.MultiTypeGame.of_lift(models, [2, 3])
    start = [0.25, 0.25, 0.1, 0.2, 0.2]
    leaving = mfg.ModelClass.from_filler(
        swept_fill, thetas=[[0.5]], initial=start, reward=swept_reward, n_actions=2, horizon=3, shared=[1.0],
        aux_size=5, prepare=swept_prepare,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"agents of type 0 change type: by step 1 a share of 0\.625"):
        mfg.MultiTypeGame.of_lift(leaving[0], [2, 3])
