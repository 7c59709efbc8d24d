"""Bad input: the right kind of error, and a message that names the argument, the index and the value."""

import naive
import numba
import numpy as np
import pytest
from builders import crowd_game, swept_fill, swept_prepare, swept_reward

import fastmfg as mfg
from fastmfg import executors
from fastmfg.comparing import lower_bounds, upper_bounds
from fastmfg.games import checks
from fastmfg.kernels import check

S, A, H = 3, 2, 2
ROWS = np.full((S, A, S), 1 / 3)
POLICY = np.full((H, S, A), 0.5)
LEGAL = np.array([[True, True], [True, False], [True, True]])
LEGAL_POLICY = np.where(LEGAL, POLICY, 0.0) + np.where(LEGAL.all(axis=1, keepdims=True), 0.0, [0.5, 0.0])
NOT_NUMBERS = [
    pytest.param(lambda a: a.astype(complex), r"must hold real numbers, got dtype complex128", id="complex"),
    pytest.param(lambda a: a.astype(str), r"must hold real numbers, got dtype <U", id="strings"),
    pytest.param(lambda a: a.astype(object), r"must hold real numbers, got dtype object", id="objects"),
    pytest.param(lambda a: None, r"must hold real numbers, got dtype object", id="None"),
]


def put(array, index, value):
    """A copy with one entry replaced."""
    array = np.array(array, dtype=float)
    array[index] = value
    return array


def make_game(**changes):
    parts = {
        "initial": np.full(S, 1 / 3),
        "transition": lambda h, mu: ROWS,
        "reward": lambda h, mu: np.zeros((S, A)),
        "horizon": H,
    }
    return mfg.Game(**{**parts, **changes})


def make_tables(**changes):
    parts = {"transition": np.stack([[ROWS] * H] * 2), "initial": np.full(S, 1 / 3), "reward": "crowd-aversion"}
    return mfg.ModelClass.from_tables(**{**parts, **changes})


def make_filler(**changes):
    parts = {
        "fill": swept_fill,
        "thetas": [[0.2], [0.4]],
        "initial": np.full(S, 1 / 3),
        "reward": swept_reward,
        "n_actions": A,
        "horizon": H,
        "prepare": swept_prepare,
        "shared": [0.1],
        "aux_size": S,
    }
    return mfg.ModelClass.from_filler(**{**parts, **changes})


def linear_parts():
    rng = np.random.default_rng(0)
    return {
        "phi": rng.standard_normal((H, S, A, 2)),
        "mu_feature": rng.standard_normal((H, S, 6)),
        "psi": rng.standard_normal((4, H, 3, S)),
        "initial": np.full(S, 1 / 3),
    }


def make_linear(**changes):
    return mfg.LinearClass(**{**linear_parts(), **changes})


# Start distributions and masks, everywhere they are taken


@pytest.mark.parametrize("make", [make_game, make_tables, make_filler, make_linear])
@pytest.mark.parametrize(
    ("initial", "message"),
    [
        ([0.5, 0.5 + 2e-9, 0.0], r"initial sums to 1\.00000000\d+: probabilities must sum to 1 within 1e-09"),
        ([0.6, -0.1, 0.5], r"initial\[1\] is -0\.1: probabilities must not be negative"),
        ([0.0, 0.0, 0.0], r"initial sums to 0\.0"),
        ([0.5, np.nan, 0.5], r"initial\[1\] is nan: every entry must be finite"),
        ([0.5, 0.5, np.inf], r"initial\[2\] is inf"),
        ([0.5, -np.inf, np.inf], r"initial\[1\] is -inf"),
        ([[1 / 3] * 3], r"initial must have shape \[(\*|3)\], got \[1, 3\]"),
        ([], r"initial must "),
        (1.0, r"initial must have shape \[(\*|3)\], got \[\]"),
        ([[1.0], [0.5, 0.5]], r"initial must be an array of shape"),
    ],
)
def test_initial(make, initial, message):
    with pytest.raises(ValueError, match=message):
        make(initial=initial)


@pytest.mark.parametrize("make", [make_game, make_tables, make_filler, make_linear])
@pytest.mark.parametrize(("spoil", "message"), NOT_NUMBERS)
def test_initial_dtype(make, spoil, message):
    with pytest.raises(TypeError, match="initial " + message):
        make(initial=spoil(np.full(S, 1 / 3)))


@pytest.mark.parametrize("make", [make_game, make_tables, make_filler, make_linear])
@pytest.mark.parametrize(
    ("legal", "error", "message"),
    [
        (np.array([[True, True], [False, False], [True, True]]), ValueError, r"legal\[1\] has no legal action"),
        (np.ones((S, A)), TypeError, r"legal must be boolean, got dtype float64"),
        (np.ones((S + 1, A), dtype=bool), ValueError, r"legal must have shape \[3, 2\], got \[4, 2\]"),
        (np.ones(A, dtype=bool), ValueError, r"legal must have shape \[.*\].*, got \[2\]"),
        (np.ones((S, 0), dtype=bool), ValueError, r"legal must have shape \[.*\].*, got \[3, 0\]"),
    ],
)
def test_legal(make, legal, error, message):
    with pytest.raises(error, match=message):
        make(legal=legal)


def test_probabilities_off_by_less_than_the_tolerance_are_kept_as_they_are():
    initial = np.array([0.5, 0.5 - 5e-10, 0.0])
    game = make_game(initial=initial)
    np.testing.assert_array_equal(game.initial, initial)
    table = put(ROWS, (0, 0, 0), 1 / 3 + 5e-10)
    np.testing.assert_array_equal(make_game(transition=lambda h, mu: table).transition(0, [1, 0, 0]), table)


# Functions of a game


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (put(ROWS, (1, 1, 2), np.nan), ValueError, r"transition\(0, population\)\[1, 1, 2\] is nan"),
        (put(ROWS, (1, 1, 2), np.inf), ValueError, r"transition\(0, population\)\[1, 1, 2\] is inf"),
        (put(ROWS, (2, 0), [0.5, 0.6, -0.1]), ValueError, r"transition\(0, population\)\[2, 0, 2\] is -0\.1"),
        (put(ROWS, (2, 0), [0.5, 0.5, 2e-9]), ValueError, r"transition\(0, population\)\[2, 0\] sums to 1\.00000000\d"),
        (ROWS[0], ValueError, r"transition\(0, population\) must have shape \[3, \*, 3\], got \[2, 3\]"),
        (ROWS[:, :0], ValueError, r"transition\(0, population\) must not be empty, got shape \[3, 0, 3\]"),
        (
            np.full((S, A, 2), 0.5),
            ValueError,
            r"transition\(0, population\) must have shape \[3, \*, 3\], got \[3, 2, 2\]",
        ),
        (np.full((1, A, S), 1 / 3), ValueError, r"transition\(0, population\) must have shape \[3, \*, 3\]"),
        (ROWS.astype(complex), TypeError, r"transition\(0, population\) must hold real numbers, got dtype complex128"),
        (ROWS.astype(object), TypeError, r"transition\(0, population\) must hold real numbers, got dtype object"),
        (None, TypeError, r"transition\(0, population\) must hold real numbers"),
    ],
)
def test_transition(rows, error, message):
    with pytest.raises(error, match=message):
        make_game(transition=lambda h, mu: rows)


@pytest.mark.parametrize(
    ("rewards", "error", "message"),
    [
        (put(np.zeros((S, A)), (2, 1), np.nan), ValueError, r"reward\(0, population\)\[2, 1\] is nan"),
        (put(np.zeros((S, A)), (0, 1), -np.inf), ValueError, r"reward\(0, population\)\[0, 1\] is -inf"),
        (np.array([[np.inf, -np.inf]] * S), ValueError, r"reward\(0, population\)\[0, 0\] is inf"),
        (np.zeros(A), ValueError, r"reward\(0, population\) must have shape \[3, 2\], got \[2\]"),
        (np.zeros((S, 1)), ValueError, r"reward\(0, population\) must have shape \[3, 2\], got \[3, 1\]"),
        (np.zeros((1, A)), ValueError, r"reward\(0, population\) must have shape \[3, 2\], got \[1, 2\]"),
        (0.0, ValueError, r"reward\(0, population\) must have shape \[3, 2\], got \[\]"),
        (np.zeros((S, A), dtype=complex), TypeError, r"reward\(0, population\) must hold real numbers"),
        (np.full((S, A), "1"), TypeError, r"reward\(0, population\) must hold real numbers, got dtype <U1"),
    ],
)
def test_reward(rewards, error, message):
    with pytest.raises(error, match=message):
        make_game(reward=lambda h, mu: rewards)
    for make in (make_tables, make_linear):
        with pytest.raises(error, match=message):
            make(reward=lambda h, mu: rewards)


@pytest.mark.parametrize("step", [0, 1])
def test_faults_of_the_first_and_last_step_are_met_at_construction(step):
    with pytest.raises(ValueError, match=rf"transition\({step}, population\)\[0, 1\] sums to 0\.0"):
        make_game(transition=lambda h, mu: ROWS if h != step else put(ROWS, (0, 1), 0.0))
    with pytest.raises(ValueError, match=rf"reward\({step}, population\)\[0, 0\] is nan"):
        make_game(reward=lambda h, mu: np.full((S, A), np.nan if h == step else 0.0))


def fragile(h, mu):
    """All go to state 0; a row is at fault as soon as all are there."""
    rows = np.tile([1.0, 0.0, 0.0], (S, A, 1))
    return put(rows, (2, 1, 0), 1.5) if mu[0] > 0.9 else rows


def test_a_fault_that_comes_with_the_crowd_is_met_when_it_comes():
    game = make_game(transition=fragile)
    with pytest.raises(ValueError, match=r"transition\(1, population\)\[2, 1\] sums to 1\.5"):
        mfg.ne_gap(game, POLICY)


def test_a_fault_in_a_class_of_games_names_the_game():
    models = mfg.ModelClass([make_game(), make_game(transition=fragile)])
    with pytest.raises(ValueError, match=r"transition\(1, population\) of game 1\[2, 1\] sums to 1\.5"):
        mfg.ne_gaps(models, POLICY)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"transition": ROWS}, TypeError, r"transition must be a function \(h, population\) -> array, got ndarray"),
        ({"reward": None}, TypeError, r"reward must be a function \(h, population\) -> array, got NoneType"),
        ({"horizon": 0}, ValueError, r"horizon must be at least 1, got 0"),
        ({"horizon": -3}, ValueError, r"horizon must be at least 1, got -3"),
        ({"horizon": 2.0}, TypeError, r"horizon must be a whole number, got 2\.0"),
        ({"horizon": "2"}, TypeError, r"horizon must be a whole number, got '2'"),
        ({"horizon": True}, ValueError, r"horizon must be at least 1, got True"),
        ({"population": "stat"}, ValueError, r"population must be 'state' or 'joint', got 'stat'"),
    ],
)
def test_game_arguments(changes, error, message):
    with pytest.raises(error, match=message):
        make_game(**changes)


@pytest.mark.parametrize(
    ("population", "error", "message"),
    [
        ([0.5, 0.6, 0.0], ValueError, r"population sums to 1\.1"),
        ([0.5, -0.5, 1.0], ValueError, r"population\[1\] is -0\.5"),
        ([0.5, np.nan, 0.5], ValueError, r"population\[1\] is nan"),
        ([1.0], ValueError, r"population must have shape \[3\], got \[1\]"),
        (["a", "b", "c"], TypeError, "population must hold real numbers"),
    ],
)
def test_populations_asked_about(population, error, message):
    for ask in (make_game().transition, make_game().reward, make_tables()[1].transition, make_filler()[0].reward):
        with pytest.raises(error, match=message):
            ask(0, population)


@pytest.mark.parametrize(
    ("h", "error", "message"),
    [(2, IndexError, "h must be less than the horizon 2, got 2"), (-1, ValueError, "h must be at least 0, got -1"),
     (0.0, TypeError, "h must be a whole number, got 0.0")],
)  # fmt: skip
def test_steps_asked_about(h, error, message):
    for game in (make_game(), make_linear()[0]):
        with pytest.raises(error, match=message):
            game.transition(h, [1, 0, 0])
        with pytest.raises(error, match=message):
            game.reward(h, [1, 0, 0])


# Classes


def test_games_of_a_class():
    with pytest.raises(ValueError, match="games is empty"):
        mfg.ModelClass([])
    with pytest.raises(TypeError, match=r"games\[1\] must be a Game, got dict"):
        mfg.ModelClass([make_game(), crowd_game(0)])


TABLE = np.stack([[ROWS] * H] * 2)  # two models


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"transition": put(TABLE, (1, 0, 2, 1, 0), np.nan)}, ValueError, r"transition\[1, 0, 2, 1, 0\] is nan"),
        ({"transition": put(TABLE, (1, 0, 2, 1), [1, 1, -1])}, ValueError, r"transition\[1, 0, 2, 1, 2\] is -1\.0"),
        ({"transition": put(TABLE, (1, 1, 0, 0, 0), 1.0)}, ValueError, r"transition\[1, 1, 0, 0\] sums to 1\.66"),
        (
            {"transition": TABLE[0]},
            ValueError,
            r"transition must have shape \[\*, \*, \*, \*, \*\], got \[2, 3, 2, 3\]",
        ),
        (
            {"transition": TABLE[..., :2]},
            ValueError,
            r"transition must have shape \[M, H, S, A, S\], got \[2, 2, 3, 2, 2\]",
        ),
        ({"transition": TABLE[:0]}, ValueError, r"transition must not be empty, got shape \[0, 2, 3, 2, 3\]"),
        ({"transition": TABLE[:, :0]}, ValueError, r"transition must not be empty, got shape \[2, 0, 3, 2, 3\]"),
        ({"transition": TABLE[:, :, :, :0]}, ValueError, r"transition must not be empty, got shape \[2, 2, 3, 0, 3\]"),
        ({"transition": TABLE.astype(str)}, TypeError, r"transition must hold real numbers, got dtype <U"),
        ({"initial": [0.5, 0.5]}, ValueError, r"initial must have shape \[3\], got \[2\]"),
        ({"reward": "crowd"}, ValueError, r"reward must be one of 'crowd-aversion' or a function, got 'crowd'"),
        ({"reward": np.zeros((S, A))}, TypeError, r"reward must be a name or a function"),
        ({"population": "both"}, ValueError, r"population must be 'state' or 'joint', got 'both'"),
    ],
)
def test_tables(changes, error, message):
    with pytest.raises(error, match=message):
        make_tables(**changes)


LINEAR = linear_parts()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"phi": LINEAR["phi"][0]}, ValueError, r"phi must have shape \[\*, \*, \*, \*\], got \[3, 2, 2\]"),
        ({"phi": put(LINEAR["phi"], (1, 2, 0, 1), np.inf)}, ValueError, r"phi\[1, 2, 0, 1\] is inf"),
        ({"phi": LINEAR["phi"].astype(complex)}, TypeError, r"phi must hold real numbers"),
        ({"phi": LINEAR["phi"][..., :0]}, ValueError, r"phi must not be empty"),
        ({"psi": LINEAR["psi"][:, :1]}, ValueError, r"psi must have shape \[\*, 2, \*, 3\], got \[4, 1, 3, 3\]"),
        ({"psi": LINEAR["psi"][:0]}, ValueError, r"psi must not be empty, got shape \[0, 2, 3, 3\]"),
        ({"psi": put(LINEAR["psi"], (3, 1, 2, 0), np.nan)}, ValueError, r"psi\[3, 1, 2, 0\] is nan"),
        ({"mu_feature": LINEAR["mu_feature"][..., :5]}, ValueError, r"mu_feature must have shape \[2, 3, 6\]"),
        ({"mu_feature": put(LINEAR["mu_feature"], (0, 1, 5), np.nan)}, ValueError, r"mu_feature\[0, 1, 5\] is nan"),
        ({"mu_feature": LINEAR["mu_feature"].astype(object)}, TypeError, r"mu_feature must hold real numbers"),
        ({"initial": [1.0]}, ValueError, r"initial must have shape \[3\], got \[1\]"),
        ({"reward": 3}, TypeError, r"reward must be a name or a function, got 3"),
    ],
)
def test_linear_parts(changes, error, message):
    with pytest.raises(error, match=message):
        make_linear(**changes)


def test_a_linear_row_that_cannot_be_normalised():
    first, last = (make_linear(phi=put(LINEAR["phi"], (step, 1, 0), 0.0)) for step in (0, H - 1))
    for use in (mfg.ne_gaps, mfg.distance_matrix, lower_bounds):
        with pytest.raises(ValueError, match=r"status 1 \(a row .* is zero in all entries.*\) for model 0, step 0"):
            use(first, POLICY)
    for use in (mfg.distance_matrix, upper_bounds):
        with pytest.raises(ValueError, match=r"status 1 \(a row .* is zero in all entries.*\)"):
            use(last, POLICY)
    with pytest.raises(ValueError, match=r"status 1 .* for model 2, step 1"):
        last[2].transition(1, [1, 0, 0])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"n_models": 0}, ValueError, "n_models must be at least 1, got 0"),
        ({"n_states": 0}, ValueError, "n_states must be at least 1, got 0"),
        ({"n_actions": -1}, ValueError, "n_actions must be at least 1, got -1"),
        ({"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
        ({"d_phi": 0}, ValueError, "d_phi must be at least 1, got 0"),
        ({"d_psi": 1.5}, TypeError, r"d_psi must be a whole number, got 1\.5"),
        ({"scale": -0.1}, ValueError, r"scale must lie in \[0, inf\), got -0\.1"),
        ({"scale": np.nan}, ValueError, r"scale must lie in \[0, inf\), got nan"),
        ({"scale": "big"}, TypeError, "scale must be a number, got 'big'"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"seed": None}, TypeError, "seed must be a whole number, got None"),
    ],
)
def test_linear_class(changes, error, message):
    with pytest.raises(error, match=message):
        mfg.linear_class(**{"n_models": 2, "n_states": 3, "n_actions": 2, **changes})


# Fillers: each writes uniform rows, but for one fault in the last state


@numba.njit
def faulty_fill(h, aux, shared, theta, lo, hi, out):
    for s in range(lo, hi):
        for a in range(out.shape[1]):
            out[s - lo, a, :] = 1.0 / out.shape[2]
            if s == out.shape[2] - 1 and h == 1 and a == 1:
                if theta[0] == 1.0:
                    out[s - lo, a, 0] = np.nan
                elif theta[0] == 2.0:
                    out[s - lo, a, 0] = -0.25
                    out[s - lo, a, 1] = 1.25 - (out.shape[2] - 2) / out.shape[2]
                elif theta[0] == 3.0:
                    out[s - lo, a, 0] += 2e-9
                elif theta[0] == 4.0:
                    return 42
                elif theta[0] == 5.0:
                    out[s - lo, a, 0] = np.inf
    return 0


@numba.njit
def failing_prepare(h, population, shared, theta, aux):
    return 5 if h == 1 else 0


@numba.njit
def failing_reward(h, population, shared, theta, out):
    out[:] = np.nan if theta[0] == 1.0 else 0.0
    return 6 if theta[0] == 2.0 else 0


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (1.0, "the transition row of model 1, step 1, state 2, action 1 gives state . the probability (nan|-)"),
        (2.0, "the transition row of model 1, step 1, state 2, action 1 gives state . the probability (nan|-)"),
        (3.0, "the transition row of model 1, step 1, state 2, action 1 (sums to|gives state . the probability inf)"),
        (4.0, "fill returned status 42 for model 1, step 1, states 0 to 2"),
        (5.0, "the transition row of model 1, step 1, state 2, action 1 (sums to|gives state . the probability inf)"),
    ],
)
def test_rows_of_a_filler(fault, message):
    with pytest.raises(ValueError, match=message):
        make_filler(fill=faulty_fill, thetas=[[0.0], [fault]], reward="crowd-aversion", prepare=None)


@numba.njit
def calm_fill(h, aux, shared, theta, lo, hi, out):
    out[:] = 1.0 / out.shape[2]
    return 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prepare": failing_prepare}, "prepare returned status 5 for model 0, step 1"),
        ({"reward": failing_reward, "thetas": [[0.0], [2.0]]}, "reward returned status 6 for model 1"),
        (
            {"reward": failing_reward, "thetas": [[0.0], [1.0]]},
            r"the reward of model 1 at step 0, state 0, action 0 is nan",
        ),
    ],
)
def test_other_functions_of_a_filler(changes, message):
    with pytest.raises(ValueError, match=message):
        make_filler(**{"fill": calm_fill, "reward": "crowd-aversion", "prepare": None, **changes})


def too_few_arguments(h, out):
    return 0


def not_compilable(h, aux, shared, theta, lo, hi, out):
    return undefined_name + 1  # noqa: F821


def no_status(h, aux, shared, theta, lo, hi, out):
    out[:] = 1.0


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"fill": too_few_arguments}, TypeError, "fill does not compile with the signature"),
        ({"fill": not_compilable}, TypeError, "fill does not compile with the signature(.|\n)*undefined_name"),
        ({"fill": no_status}, TypeError, "fill does not compile with the signature"),
        ({"fill": 7}, TypeError, "fill must be a function that numba can compile, got 7"),
        ({"prepare": too_few_arguments}, TypeError, "prepare does not compile with the signature"),
        ({"reward": numba.njit(too_few_arguments)}, TypeError, "reward does not compile with the signature"),
        ({"thetas": [0.1, 0.2]}, ValueError, r"thetas must have shape \[\*, \*\], got \[2\]"),
        ({"thetas": np.empty((0, 1))}, ValueError, r"thetas must not be empty, got shape \[0, 1\]"),
        ({"thetas": [[0.1], [np.nan]]}, ValueError, r"thetas\[1, 0\] is nan"),
        ({"thetas": [["a"]]}, TypeError, "thetas must hold real numbers"),
        ({"shared": [np.inf]}, ValueError, r"shared\[0\] is inf"),
        ({"n_actions": 0}, ValueError, "n_actions must be at least 1, got 0"),
        ({"horizon": 0}, ValueError, "horizon must be at least 1, got 0"),
        ({"aux_size": -1}, ValueError, "aux_size must be at least 0, got -1"),
        ({"population": "none"}, ValueError, "population must be 'state' or 'joint', got 'none'"),
    ],
)
def test_filler_arguments(changes, error, message):
    with pytest.raises(error, match=message):
        make_filler(**changes)


# Policies, everywhere they are taken

BAD_POLICIES = [
    (put(LEGAL_POLICY, (1, 2, 0), np.nan), ValueError, r"\[1, 2, 0\] is nan"),
    (put(LEGAL_POLICY, (0, 2, 1), np.inf), ValueError, r"\[0, 2, 1\] is inf"),
    (put(LEGAL_POLICY, (1, 0), [1.5, -0.5]), ValueError, r"\[1, 0, 1\] is -0\.5: probabilities must not be negative"),
    (put(LEGAL_POLICY, (1, 0), [0.5, 0.5 + 2e-9]), ValueError, r"\[1, 0\] sums to 1\.00000000\d"),
    (put(LEGAL_POLICY, (1, 1), [0.75, 0.25]), ValueError, r"\[1, 1, 1\] is 0\.25: action 1 is illegal in state 1"),
    (LEGAL_POLICY[:1], ValueError, r" must have shape \[2, 3, 2\], got \[1, 3, 2\]"),
    (LEGAL_POLICY[0], ValueError, r" must have shape \[2, 3, 2\], got \[3, 2\]"),
    (np.zeros((H, S), dtype=int), ValueError, r" must have shape \[2, 3, 2\], got \[2, 3\]"),
    (LEGAL_POLICY.astype(complex), TypeError, r" must hold real numbers, got dtype complex128"),
    (LEGAL_POLICY.astype(str), TypeError, r" must hold real numbers, got dtype <U"),
    (LEGAL_POLICY.astype(object), TypeError, r" must hold real numbers, got dtype object"),
]
POLICY_CALLS = [
    ("policy", mfg.condition),
    ("policy", mfg.best_response),
    ("policy", mfg.evaluate),
    ("policy", mfg.ne_gap),
    ("deviation", lambda game, policy: mfg.evaluate(game, LEGAL_POLICY, policy)),
    ("initial_policy", lambda game, policy: mfg.solve(game, initial_policy=policy)),
    ("policy", lambda game, policy: mfg.ne_gaps(make_tables(legal=LEGAL), policy)),
    ("policy", lambda game, policy: mfg.distance_matrix(make_tables(legal=LEGAL), policy)),
    ("policy", lambda game, policy: lower_bounds(make_tables(legal=LEGAL), policy)),
    ("policy", lambda game, policy: upper_bounds(make_tables(legal=LEGAL), policy)),
    ("policy", lambda game, policy: mfg.neighbourhoods(make_tables(legal=LEGAL), policy, 0.1)),
    ("policy", lambda game, policy: mfg.neighbour_counts(make_tables(legal=LEGAL), policy, 0.1)),
    ("policy", lambda game, policy: mfg.central_model(make_tables(legal=LEGAL), policy, 0.1)),
]


@pytest.mark.parametrize(("name", "call"), POLICY_CALLS)
@pytest.mark.parametrize(("policy", "error", "message"), BAD_POLICIES)
def test_policies(name, call, policy, error, message):
    with pytest.raises(error, match="^" + name + message):
        call(make_game(legal=LEGAL), policy)


@pytest.mark.parametrize(("policy", "error", "message"), BAD_POLICIES)
def test_large_policies(policy, error, message, monkeypatch):
    monkeypatch.setattr(checks, "LARGE", 0)
    mfg.ne_gap(make_game(legal=LEGAL), LEGAL_POLICY)
    with pytest.raises(error, match="^policy" + message):
        mfg.ne_gap(make_game(legal=LEGAL), policy)


# Arguments of planning and comparing


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"method": "miror-descent"},
            ValueError,
            r"^method: did you mean 'mirror-descent'\? It must be one of .*, got 'miror-descent'",
        ),
        ({"method": "zzz"}, ValueError, "method must be one of 'auto', .*, got 'zzz'$"),
        ({"method": None}, ValueError, "method must be one of .*, got None"),
        ({"tol": -1e-3}, ValueError, r"tol must lie in \[0, inf\), got -0\.001"),
        ({"tol": np.nan}, ValueError, r"tol must lie in \[0, inf\), got nan"),
        ({"tol": np.inf}, ValueError, r"tol must lie in \[0, inf\), got inf"),
        ({"tol": "0.1"}, TypeError, "tol must be a number, got '0.1'"),
        ({"tol": 1j}, TypeError, "tol must be a number, got 1j"),
        ({"tol": True}, ValueError, "tol must .* got True"),
        ({"rtol": -0.5}, ValueError, r"rtol must lie in \[0, inf\), got -0\.5"),
        ({"max_iterations": 0}, ValueError, "max_iterations must be at least 1, got 0"),
        ({"max_iterations": 10.0}, TypeError, r"max_iterations must be a whole number, got 10\.0"),
        ({"gap_every": -1}, ValueError, "gap_every must be at least 0, got -1"),
        ({"gap_every": None}, TypeError, "gap_every must be a whole number, got None"),
        ({"method": "mirror-descent", "step": 0.0}, ValueError, r"step must lie in \(0, inf\), got 0\.0"),
        ({"method": "mirror-descent", "step": -1.0}, ValueError, r"step must lie in \(0, inf\), got -1\.0"),
        ({"method": "best-response-mixing", "step": 1.5}, ValueError, r"step must lie in \(0, 1\], got 1\.5"),
        ({"method": "fictitious-play", "step": 2}, ValueError, r"step must lie in \(0, 1\], got 2"),
        ({"method": "auto", "step": 0.5}, TypeError, "method 'auto' has no option 'step': it takes none"),
        ({"method": "anderson", "memory": 0}, ValueError, "memory must be at least 1, got 0"),
        ({"method": "prior-descent", "temperature": -1}, ValueError, "temperature must lie in .*, got -1"),
        (
            {"method": "prior-descent", "inner": 3},
            TypeError,
            r"no option 'inner': did you mean 'inner_iterations'\? It takes temperature, inner_iterations",
        ),
        ({"method": "best-response-mixing", "step": "1/k"}, ValueError, "'harmonic', got '1/k'"),
        ({"max_seconds": 0}, ValueError, "max_seconds must lie in .*, got 0"),
        ({"callback": 3}, TypeError, "callback must be a function, got int"),
    ],
)
def test_solve(options, error, message):
    with pytest.raises(error, match=message):
        mfg.solve(make_game(), **options)


@pytest.mark.parametrize("radius", [-0.1, np.nan, np.inf])
@pytest.mark.parametrize("call", [mfg.neighbourhoods, mfg.neighbour_counts, mfg.central_model])
def test_radius(call, radius):
    with pytest.raises(ValueError, match=rf"radius must lie in \[0, inf\), got {radius}"):
        call(make_tables(), POLICY, radius)
    with pytest.raises(TypeError, match="radius must be a number, got None"):
        call(make_tables(), POLICY, None)


BAD_MEMBERS = [
    ([2], IndexError, r"members\[0\] is 2: model indices run from 0 to 1"),
    ([0, -1], IndexError, r"members\[1\] is -1"),
    ([0.5], ValueError, "members must be a non-empty list of model indices"),
    ([0, 0], ValueError, "members holds a model twice"),
]


@pytest.mark.parametrize(("members", "error", "message"), BAD_MEMBERS)
def test_members_of_ne_gaps(members, error, message):
    with pytest.raises(error, match=message):
        mfg.ne_gaps(make_tables(), POLICY, members)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"members": [2]}, IndexError, r"members\[0\] is 2"),
        ({"members": [0, -1]}, IndexError, r"members\[1\] is -1"),
        ({"members": [0.5]}, (TypeError, ValueError), r"members .*0\.5"),
        ({"start": 2}, IndexError, "start.* 2"),
        ({"start": -1}, (IndexError, ValueError), "start.* -1"),
        ({"start": 0.5}, (TypeError, ValueError), r"start.* 0\.5"),
        ({"tol": 0.0}, ValueError, r"tol must lie in \(0, inf\), got 0\.0"),
        ({"max_iterations": 0}, ValueError, "max_iterations must be at least 1, got 0"),
    ],
)
def test_solve_models(options, error, message):
    with pytest.raises(error, match=message):
        list(mfg.solve_models(make_tables(), **options))


@pytest.mark.parametrize("call", [mfg.ne_gap, mfg.best_response, mfg.evaluate, mfg.condition])
@pytest.mark.parametrize("wrong", [make_tables(), POLICY, None])
def test_a_game_is_a_game(call, wrong):
    with pytest.raises(TypeError, match=type(wrong).__name__):
        call(wrong, POLICY)
    with pytest.raises(TypeError, match=type(wrong).__name__):
        mfg.solve(wrong)


@pytest.mark.parametrize("call", [mfg.ne_gaps, mfg.distance_matrix])
@pytest.mark.parametrize("wrong", [make_game(), [make_game()], None])
def test_a_class_is_a_class(call, wrong):
    with pytest.raises(TypeError, match=type(wrong).__name__):
        call(wrong, POLICY)


def test_rewards_whose_sums_overflow_are_refused():
    game = make_game(reward=lambda h, mu: np.array([[1e308, -1e308]] * S))
    with pytest.raises((ValueError, ArithmeticError), match=r"overflow|finite"):
        mfg.ne_gap(game, POLICY)


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_thread_count(count):
    with pytest.raises(ValueError, match=f"threads must be a whole number of at least 1 or None, got {count!r}"):
        executors.set_thread_count(count)


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_thread_count_of_the_environment(monkeypatch, text):
    monkeypatch.setenv("FASTMFG_NUM_THREADS", text)
    with pytest.raises(ValueError, match=f"FASTMFG_NUM_THREADS must be a whole number of at least 1, got '{text}'"):
        executors.thread_count()


@numba.njit
def forgetful_fill(h, aux, shared, theta, lo, hi, out):
    for s in range(hi - lo):
        if theta[0] == 0.0 or lo + s != 1:  # model 1 writes no row of state 1
            out[s] = 1.0 / out.shape[2]
    return 0


@numba.njit
def forgetful_reward(h, population, shared, theta, out):
    out[0] = 0.0  # and no other state
    return 0


def test_rows_and_rewards_that_a_filler_leaves_unwritten_are_not_those_of_another_model():
    with pytest.raises(ValueError, match=r"row of model 1, step 0, state 1, action 0 .*wrote nothing"):
        make_filler(fill=forgetful_fill, thetas=[[0.0], [1.0]], reward="crowd-aversion", prepare=None)
    with pytest.raises(ValueError, match=r"reward of model 0 at step 0, state 1, action 0 is nan.*wrote nothing"):
        make_filler(fill=calm_fill, thetas=[[0.0], [1.0]], reward=forgetful_reward, prepare=None)


@pytest.mark.parametrize("d", [3, 5])
def test_linear_rows_that_overflow_at_the_last_step(d):
    """The density pass never fills that step; distances and samples do."""
    rng = np.random.default_rng(4)
    phi, psi = rng.standard_normal((2, 3, 2, d)), rng.standard_normal((2, 2, d, 3))
    phi[1] *= 1e200
    psi[1, 1] *= 1e200
    models = mfg.LinearClass(phi, rng.standard_normal((2, 3, d * d)), psi, [0.2, 0.3, 0.5])
    uniform = models[0].uniform_policy()
    with pytest.raises(ValueError, match="overflows: scale the features down"):
        mfg.distance_matrix(models, uniform)
    with pytest.raises(ValueError, match="overflows: scale the features down"):
        mfg.MeanFieldOracle(models[1]).sample(uniform, uniform, 5)


def test_a_joint_game_that_indexes_its_population_needs_no_mask():
    def transition(h, joint):
        rows = np.zeros((2, 3, 2))
        for s in range(2):
            for a in range(3):
                rows[s, a, 0] = 0.5 + joint[s, a] / 2
                rows[s, a, 1] = 1 - rows[s, a, 0]
        return rows

    game = mfg.Game([0.5, 0.5], transition, lambda h, joint: -joint, horizon=2, population="joint")
    assert game.n_actions == 3
    with pytest.raises(ValueError, match=r"legal .* is needed"):  # answers that follow whatever they are given
        mfg.Game(
            [0.5, 0.5], lambda h, joint: np.stack([0 * joint + 0.5] * 2, axis=-1), lambda h, joint: -joint, horizon=2,
            population="joint",
        )  # fmt: skip


def test_counting_faults_is_naive():
    rng = np.random.default_rng(0)
    policy = rng.dirichlet(np.ones(3), 40)
    legal = np.ones((40, 3), dtype=bool)
    policy[3, 1], policy[5, 0], policy[7] = np.nan, np.inf, [1.5, -0.5, 0.0]
    policy[9, 2] += 1e-8
    policy[12, 0] += 1e-10
    legal[20, 0] = False
    assert (
        check.count_faults(policy, legal, checks.TOLERANCE) == naive.count_faults(policy, legal, checks.TOLERANCE) == 5
    )
