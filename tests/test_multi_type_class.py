"""Classes of games with several types of agents, their products, the oracles that sample them, and learning."""

import naive_multi_type as naive
import numpy as np
import pytest
from builders import rows, table_class
from hypothesis import given
from hypothesis import strategies as st
from multi_type_cases import PAIR, Parts, blocks_class, family_of
from numpy.testing import assert_allclose, assert_array_equal

import fastmfg as mfg
from fastmfg import zoo
from fastmfg.comparing import lower_bounds, upper_bounds
from fastmfg.learning.oracle import start_ranges, within

# Classes and products


def test_classes_hold_their_games():
    games, functions = family_of(PAIR, 3)
    models = mfg.MultiTypeClass(games)
    pi = models.join(PAIR.policies())
    assert_allclose(mfg.ne_gaps(models, pi), [mfg.ne_gap(game, pi) for game in games], rtol=1e-12)
    naive_gaps = [naive.type_gaps(PAIR.initials, PAIR.policies(), f, PAIR.rewards, PAIR.legals)[0] for f in functions]
    assert_allclose(mfg.ne_gaps(models, pi), np.max(naive_gaps, axis=1), atol=1e-12)
    part = models[[2, 0]]
    assert isinstance(part, mfg.MultiTypeClass)
    assert isinstance(part[0], mfg.MultiTypeGame)
    assert_array_equal(mfg.ne_gaps(part, pi), mfg.ne_gaps(models, pi, [2, 0]))
    assert_array_equal(mfg.ne_gaps(models[1:], pi), mfg.ne_gaps(models, pi, [1, 2]))
    assert_allclose([mfg.ne_gap(game, pi) for game in models], mfg.ne_gaps(models, pi), rtol=1e-12)
    plain = mfg.ModelClass(games)  # not a class with types by name, but its gaps are still those of types
    assert_array_equal(mfg.ne_gaps(plain, pi), mfg.ne_gaps(models, pi))
    assert_array_equal(mfg.ne_gaps(mfg.ModelClass([models[0], models[2]]), pi), mfg.ne_gaps(models, pi, [0, 2]))


def test_distances_are_means_over_types():
    games, functions = family_of(PAIR, 2)
    models, policies = mfg.MultiTypeClass(games), PAIR.policies()
    tables = [naive.push(PAIR.initials, policies, f)[1] for f in functions]
    for j, k in ((0, 1), (1, 0)):
        ref = naive.type_distances(PAIR.initials, tables[j], tables[k], PAIR.legals).mean()
        assert mfg.distance_matrix(models, models.join(policies), directed=True)[j, k] == pytest.approx(ref, abs=1e-12)
    low, high = (f(models, models.join(policies))[0, 1] for f in (lower_bounds, upper_bounds))
    assert low - 1e-12 <= mfg.distance_matrix(models, models.join(policies))[0, 1] <= high + 1e-12


def test_products_of_numpy_functions():
    _, functions = family_of(PAIR, 4)
    first = mfg.MultiTypeClass([PAIR.game(transitions=[f[0], PAIR.transitions[1]]) for f in functions[:2]])
    second = mfg.MultiTypeClass([PAIR.game(transitions=[PAIR.transitions[0], f[1]]) for f in functions[1:]])
    models = mfg.product_class([first, second])
    assert_array_equal(models.parts, [(i, k) for i in range(2) for k in range(3)])
    pi = models.join(PAIR.policies())
    for m, (i, k) in enumerate(models.parts.tolist()):
        game = PAIR.game(transitions=[functions[i][0], functions[1 + k][1]])
        assert mfg.ne_gap(models[m], pi) == mfg.ne_gap(game, pi)
        assert models.member((i, k)) == m
    some = mfg.product_class([first, second], members=[(1, 2), (0, 1)])
    assert_array_equal(mfg.ne_gaps(some, pi), mfg.ne_gaps(models, pi, [5, 1]))
    assert_array_equal(models[[5, 1]].parts, some.parts)
    assert_array_equal(models[4:].parts, [(1, 1), (1, 2)])
    assert models[4].n_types == 2
    assert [part.tolist() for part in models.parts_of([0, 1, 3])] == [[0, 1], [0, 1]]


def test_products_of_compiled_classes():
    noise = [(0.2, 0.6), 0.5, (0.1, 0.4, 0.9)]
    models = zoo.predator_prey_class(noise, (0.0, 0.0, (0.0, 0.3)), size=3, horizon=3)
    assert len(models) == 2 * 1 * 6
    assert models.thetas.shape == (12, 6)
    pi = models[0].uniform_policy()
    for m in (0, 4, 11):
        i, _, k = models.parts[m]
        game = zoo.predator_prey(
            3, 3, noise_probability=(noise[0][i], 0.5, noise[2][k // 2]), jostling=(0.0, 0.0, (0.0, 0.3)[k % 2])
        )
        assert mfg.ne_gap(models[m], pi) == mfg.ne_gap(game, pi)
    some = zoo.predator_prey_class(noise, (0.0, 0.0, (0.0, 0.3)), size=3, horizon=3, members=[(1, 0, 5), (0, 0, 2)],
                                   max_models=2)  # fmt: skip
    assert_array_equal(mfg.ne_gaps(some, pi), mfg.ne_gaps(models, pi, [11, 2]))
    huge = [np.linspace(0.1, 0.9, 40)] * 3
    assert len(zoo.predator_prey_class(huge, size=2, horizon=2, members=[(39, 0, 7)])) == 1
    with pytest.raises(ValueError, match=r"the product has 40 \* 40 \* 40 = 64000 models, more than max_models 10000"):
        zoo.predator_prey_class(huge, size=2, horizon=2)


def test_products_of_lifts_at_hand():
    """Noise of each type in its own columns: what `n_parameters` says."""
    rng = np.random.default_rng(3)
    tables = np.zeros((3, 1, 5, 2, 3))  # sparse rows of three entries, the last of which stays at 0 for type 0
    tables[:, :, :2, :, :2], tables[:, :, 2:] = rows(rng, (3, 1, 2, 2, 2)), rows(rng, (3, 1, 3, 2, 3))
    places = np.array([[[0, 1, 2]] * 2] * 2 + [[[2, 3, 4]] * 2] * 3)
    models = mfg.ModelClass.from_tables(
        tables, [0.1, 0.4, 0.2, 0.2, 0.1], "crowd-aversion", horizon=3, successors=places
    )
    typed = mfg.MultiTypeClass.of_lift(models, [2, 3], n_parameters=[12, 18])
    product = mfg.product_class([typed, typed[1:]])
    assert_array_equal(product.parts, [(i, k) for i in range(3) for k in range(2)])
    P, pi = product[product.member((2, 0))].transition(0, models.initial), models[0].uniform_policy()
    assert_array_equal(P[:2], models[2].transition(0, models.initial)[:2])
    assert_array_equal(P[2:], models[1].transition(0, models.initial)[2:])
    assert mfg.ne_gap(product[product.member((1, 0))], pi) == mfg.ne_gap(typed[1], pi)


# Oracles and learning


def in_turn(game, seed=0, **options):
    """An oracle whose types take turns."""
    return mfg.MeanFieldOracle(game, seed, types_in_turn=True, **options)


def draws(game, pieces, seed=3):
    oracle = in_turn(game, seed)
    pi = game.uniform_policy()
    states, actions = zip(*(oracle.sample(pi, pi, n) for n in pieces), strict=True)
    return np.concatenate(states), np.concatenate(actions), oracle


def test_types_are_counted_where_they_take_turns_and_an_oracle_goes_on():
    game = Parts(2, ((2, 3), (3, 2), (4, 1)), masked=True).game()
    pi = game.uniform_policy()
    whole, later = in_turn(game, 3), in_turn(game, 7)
    first = whole.sample(pi, pi, 4)
    later.restore(whole.state())
    assert_array_equal(whole.sample(pi, pi, 3)[0], later.sample(pi, pi, 3)[0])
    assert later.trajectories_by_type.tolist() == [3, 2, 2] and len(first[0]) == 4
    with pytest.raises(ValueError, match="types do not take turns"):
        _ = mfg.MeanFieldOracle(game).trajectories_by_type


def test_types_take_turns():
    game = Parts(2, ((2, 3), (3, 2), (4, 1)), masked=True).game()
    states, actions, oracle = draws(game, [10])
    assert_array_equal(game.layout.type_of(states), np.tile((np.arange(10) % 3)[:, None], game.horizon + 1))
    assert (oracle.trajectories, oracle.trajectories_by_type.tolist()) == (10, [4, 3, 3])
    assert game.legal[states[:, :-1], actions].all()
    for pieces in ([1] * 10, [4, 6]):
        again = draws(game, pieces)
        assert_array_equal(again[0], states)
        assert_array_equal(again[1], actions)
    assert not np.array_equal(draws(game, [10], seed=4)[0], states)


def test_trajectories_of_each_type_are_those_of_its_own_game():
    game = Parts(6, ((2, 2), (3, 2))).game()
    n = 8000
    states, actions, _ = draws(game, [n])
    model = mfg.condition(game, game.uniform_policy())
    for w, density in enumerate(game.split_density(model.density)):
        mine = states[w::2] - game.layout.first[w]
        for h in range(game.horizon):
            frequency = np.bincount(mine[:, h], minlength=density.shape[1]) / len(mine)
            assert_allclose(frequency, density[h], atol=5 / np.sqrt(len(mine)))  # ten standard deviations
    assert_allclose(actions.mean(), 0.5, atol=0.03)


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_starts_stay_within_their_type(seed, W):
    """At the edges of a type's range of running sums as well."""
    rng = np.random.default_rng(seed)
    layout = Parts(seed, ((3, 1),) * W, H=1).game().layout
    initial = np.concatenate([rows(rng, (3,), "eighths") for _ in range(W)]) / W
    ends, sums = start_ranges(layout, initial), np.cumsum(initial)
    types = np.repeat(np.arange(W), 3)
    u = within(ends, types, np.tile([0.0, 0.5, np.nextafter(1.0, 0.0)], W))
    found = np.array([int(np.argmax((sums > x) & (initial > 0))) for x in u])
    assert_array_equal(layout.type_of(found), types)


def test_learning_names_the_noise_of_every_population():
    models = zoo.predator_prey_class(
        ((0.2, 0.5, 0.8),) * 3, size=3, horizon=4, initial=np.full((3, 3, 3), 1 / 9), jostling=0.2
    )
    assert len(models) == 27
    truth = models.member((2, 0, 1))
    oracle = in_turn(models[truth], seed=1)
    learned = mfg.learn(models, oracle, epsilon=0.05, delta=0.1, identify=True)
    assert learned.survivors.tolist() == [truth]
    assert learned.ne_gap_bound <= 0.05
    assert mfg.ne_gap(models[truth], learned.policy) == pytest.approx(learned.ne_gap_bound, abs=1e-12)
    assert learned.trajectories == oracle.trajectories == oracle.trajectories_by_type.sum()
    parts = mfg.learned_by_type(models, learned)
    assert [part.survivors.tolist() for part in parts] == [[2], [0], [1]]
    assert max(part.ne_gap_bound for part in parts) == pytest.approx(learned.ne_gap_bound, abs=1e-12)
    for part, own in zip(parts, models.split(learned.policy), strict=True):
        assert_array_equal(part.policy, own)


@pytest.mark.parametrize("oracle_of", [in_turn, mfg.MeanFieldOracle])
def test_bounds_are_in_units_of_the_game_with_types(oracle_of):
    models = zoo.predator_prey_class(((0.3, 0.6),) * 2, size=3, horizon=3, reward_matrix=[[0, 2], [-2, 0]])
    truth = 1
    learned = mfg.learn(models, oracle_of(models[truth], seed=0), epsilon=0.3, delta=0.1)
    assert learned.certified
    assert mfg.ne_gap(models[truth], learned.policy) <= learned.ne_gap_bound
    assert learned.ne_gap_bound == pytest.approx(
        mfg.ne_gaps(models, learned.policy, learned.survivors).max(), abs=1e-12
    )
    by_type = mfg.learned_by_type(models, learned)
    gaps = np.array([mfg.ne_gaps_by_type(models[int(m)], learned.policy) for m in learned.survivors])
    assert_allclose([part.ne_gap_bound for part in by_type], gaps.max(axis=0), atol=1e-12)


@pytest.mark.parametrize("adversary", ["max", "first", "nash"])
@pytest.mark.parametrize("evidence", ["anytime", "paper"])
def test_eliminations_work_on_types(adversary, evidence):
    models = zoo.predator_prey_class(((0.1, 0.9),) * 2, size=2, horizon=3, reward_matrix=np.zeros((2, 2)))
    found = mfg.eliminate(models, in_turn(models[2], seed=0), models[0].uniform_policy(), tolerance=0.01,
                          delta=0.1, adversary=adversary, evidence=evidence)  # fmt: skip
    assert found.survivors.tolist() == [2]


def test_simulators_are_asked_in_the_types_own_numbers():
    game = Parts(8, ((2, 2), (3, 2))).game()
    inner, asked = in_turn(game, 5), []

    def simulator(w):
        def sample(deviation, references, n):
            asked.append((w, n, deviation.shape, [part.shape for part in references]))
            states, actions = inner.sample(game.join(references), game.join(references), 2 * n)
            return states[w::2] - game.layout.first[w], actions[w::2]

        return sample

    oracle = mfg.SimulatorOracle(game, [simulator(0), simulator(1)])
    pi = game.uniform_policy()
    states, actions = oracle.sample(pi, pi, 5)
    shapes = [(3, 2, 2), (3, 3, 2)]
    assert asked == [(0, 3, shapes[0], shapes), (1, 2, shapes[1], shapes)]
    assert_array_equal(game.layout.type_of(states), np.tile([[0], [1], [0], [1], [0]], 4))
    assert (states.shape, actions.shape) == ((5, 4), (5, 3))
    models = mfg.MultiTypeClass(family_of(Parts(8, ((2, 2), (3, 2))), 1)[0] + [game])
    learned = mfg.learn(models, oracle, epsilon=1e-3, delta=0.1, identify=True)
    assert learned.survivors.tolist() == [1]


def test_a_change_of_type_is_no_transition_of_any_model():
    models = zoo.predator_prey_class(((0.1, 0.9),) * 2, size=2, horizon=2, reward_matrix=np.zeros((2, 2)))

    class Changing:
        def sample(self, deviation, reference, n):
            states, actions = np.zeros((n, 3), dtype=np.int64), np.zeros((n, 2), dtype=np.int64)
            states[:, 1:] = 4  # of population 1
            return states, actions

    with pytest.raises(mfg.RealizabilityError, match="state 0, action 0"):
        mfg.eliminate(models, Changing(), models[0].uniform_policy(), tolerance=0.01, delta=0.1)


# Bad input


def test_wrong_classes():
    game = PAIR.game()
    other = Parts(1, ((3, 2), (2, 3))).game()
    longer = Parts(1, ((2, 3), (3, 2)), H=4).game()
    wrong = [
        ([], ValueError, "games is empty"),
        (game, TypeError, "games must be a sequence"),
        ([game, game.lift()], TypeError, r"games\[1\] must be a MultiTypeGame, got Game"),
        ([game, other], ValueError, r"games\[1\] and games\[0\] differ in types \(states and actions \[3, 2\]"),
        ([game, longer], ValueError, r"games\[1\] and games\[0\] differ in horizon \(4; 3\)"),
        ([game, PAIR.game(initials=[[0.5, 0.5], PAIR.initials[1]])], ValueError, "differ in initial"),
        ([game, PAIR.game(legals=[np.eye(2, 3, dtype=bool), None])], ValueError, "differ in legal"),
        ([game, PAIR.game(rewards=[PAIR.rewards[0], lambda h, seen: np.full((3, 2), 1.0 * h)])], ValueError,
         "differ in rewards at step 0, state 2, action 0"),
        ([zoo.predator_prey(2, 2), zoo.predator_prey(2, 2, congestion_coeff=0.0)], ValueError, "differ in shared"),
    ]  # fmt: skip
    for games, error, message in wrong:
        with pytest.raises(error, match=message):
            mfg.MultiTypeClass(games)
    with pytest.raises(ValueError, match=r"games\[1\] has other types of agents than games\[0\]"):
        mfg.ModelClass([game, game.lift()])
    joint = Parts(1, ((2, 3), (3, 2)), joint=True)
    with pytest.raises(ValueError, match="differ in population"):
        mfg.MultiTypeClass([game, joint.game(initials=PAIR.initials)])


def test_wrong_products():
    game = PAIR.game()
    models = mfg.MultiTypeClass(family_of(PAIR, 3)[0])
    longer = mfg.MultiTypeClass([Parts(1, ((2, 3), (3, 2)), H=4).game()])
    plain = mfg.ModelClass([game.lift()])
    compiled = mfg.MultiTypeClass.of_lift(blocks_class()[0], [2, 3])
    predators = zoo.predator_prey_class(((0.2, 0.4), 0.5), size=2, horizon=2, reward_matrix=np.eye(2))
    wrong = [
        ([], {}, ValueError, "classes must hold a class for each type, got 0"),
        ([models], {}, ValueError, "classes must hold 2 classes, one a type, got 1"),
        ([models, plain], {}, TypeError, r"classes\[1\] must be a MultiTypeClass, got ModelClass"),
        ([models, longer], {}, ValueError, r"classes\[1\] and classes\[0\] differ in horizon \(4; 3\)"),
        ([models, models], {"max_models": 8}, ValueError, r"the product has 3 \* 3 = 9 models, more than max_models 8"),
        ([models, models], {"members": [(0, 3)]}, ValueError, r"members\[0, 1\] is 3: must lie in 0..2"),
        ([models, models], {"members": [(0, 1), (0, 1)]}, ValueError, "members holds a combination twice"),
        ([models, models], {"members": [(0, 1), (1, 1)], "max_models": 1}, ValueError, "members holds 2 combinations"),
        ([models, models], {"members": [0, 1]}, ValueError, r"members must have shape \[\*, 2\]"),
        ([models, models], {"max_models": 0}, ValueError, "max_models must be at least 1"),
        ([compiled, compiled], {}, ValueError, r"classes\[0\] does not say which parameters are whose"),
        ([predators, predators], {}, ValueError, r"models 0 and 1 of classes\[1\] have the same parameters of type 1"),
    ]
    for classes, options, error, message in wrong:
        with pytest.raises(error, match=message):
            mfg.product_class(classes, **options)
    for function, argument in ((models.parts_of, [0]), (models.member, (0, 0))):
        with pytest.raises(ValueError, match="needs a product class"):
            function(argument)
    product = mfg.product_class([models, models], members=[(0, 1)])
    with pytest.raises(ValueError, match=r"part \[1, 1\] is no member of this product"):
        product.member((1, 1))
    with pytest.raises(ValueError, match=r"members\[0\] is 1: must lie in 0..0"):
        product.parts_of([1])
    lifts = mfg.MultiTypeClass([mfg.MultiTypeGame.of_lift(game.lift(), [2, 3], [3, 2])])
    assert mfg.product_class([lifts, lifts]).parts.tolist() == [[0, 0]]  # functions by type are found again
    by_hand = mfg.Game(game.initial, game.transition, game.reward, horizon=3, legal=game.legal)
    flat = mfg.MultiTypeClass([mfg.MultiTypeGame.of_lift(by_hand, [2, 3], [3, 2])])
    with pytest.raises(ValueError, match="transitions are not known by type"):
        mfg.product_class([flat, flat])


def test_wrong_oracles():
    game = PAIR.game()
    pi = game.uniform_policy()
    with pytest.raises(TypeError, match="types_in_turn is for a MultiTypeGame, got Game"):
        in_turn(game.lift())
    with pytest.raises(TypeError, match="models must be a MultiTypeClass or a MultiTypeGame, got Game"):
        mfg.SimulatorOracle(game.lift(), [None, None])
    with pytest.raises(ValueError, match="simulators must hold a function for each of the 2 types, got 1"):
        mfg.SimulatorOracle(game, [print])
    with pytest.raises(TypeError, match=r"simulators\[1\] must be a function, got int"):
        mfg.SimulatorOracle(game, [print, 3])
    with pytest.raises(ValueError, match="n must be at least 1"):
        in_turn(game).sample(pi, pi, 0)
    with pytest.raises(ValueError, match="seed must be at least 0"):
        in_turn(game, seed=-1)
    zeros = (np.zeros((1, 4), dtype=np.int64), np.zeros((1, 3), dtype=np.int64))
    answers = [
        ((np.array([[0, 1, 2, 0]]), zeros[1]), ValueError, r"simulators\[0\]: states\[0, 2\] is 2: must lie in 0..1"),
        ((zeros[0], zeros[1] + 3), ValueError, r"simulators\[0\]: actions\[0, 0\] is 3: must lie in 0..2"),
        ((zeros[0][:, :3], zeros[1]), ValueError, r"simulators\[0\]: states must have shape \[1, 4\], got \[1, 3\]"),
        ((zeros[0] + 0.5, zeros[1]), TypeError, r"simulators\[0\]: states must hold whole numbers"),
        (zeros[0], TypeError, r"simulators\[0\] must return \(states, actions\), got ndarray"),
        ((*zeros, 1), TypeError, r"simulators\[0\] must return \(states, actions\), got a tuple of 3"),
    ]
    for answer, error, message in answers:
        oracle = mfg.SimulatorOracle(game, [lambda deviation, references, n, answer=answer: answer, print])
        with pytest.raises(error, match=message):
            oracle.sample(pi, pi, 1)
        assert oracle.trajectories == 0
    models, learned = table_class(0)[0], None
    with pytest.raises(TypeError, match="models must be a MultiTypeClass, got ModelClass"):
        mfg.learned_by_type(models, learned)
