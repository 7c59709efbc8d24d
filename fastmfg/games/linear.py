"""The linear class of the paper's experiment (Huang, He, Krause 2024, Appendix J).

``G_h(mu) = (mu @ U_h)`` reshaped ``[d_phi, d_psi]``; ``P_h(.|s,a,mu) = |phi_h(s,a) G_h(mu) Psi_h|``, normalised. Models
share phi and U and differ in Psi.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmfg.games.checks import Floats, Integers, float_array, real, whole
from fastmfg.games.compiled import CompiledSource
from fastmfg.games.fillers import as_reward
from fastmfg.games.functions import StepFunction
from fastmfg.games.model_class import ModelClass
from fastmfg.kernels import linear
from fastmfg.memory import require_numbers
from fastmfg.streams import Stream

ADVICE = "take fewer models or a smaller game"


class LinearClass(ModelClass):
    """Linear models that share features; no transition table is stored.

    Parameters
    ----------
    phi : [H, S, A, d_phi]
        State-action features.
    mu_feature : [H, S, d_phi * d_psi]
        U_h, features of the density.
    psi : [M, H, d_psi, S]
        Each model's features of the next state.
    initial : [S]
    reward : "crowd-aversion" or ``f(h, mu) -> [S, A]`` or a compiled reward (`ModelClass.from_filler`)
        crowd-aversion: ``-log(1e-11) - log(mu(s) + 1e-11)``, the same for all actions.
    legal : [S, A] boolean, optional

    Raises
    ------
    ValueError
        Shapes that do not fit one another; later, a row that is zero in all entries and cannot be normalised.
    """

    def __init__(
        self,
        phi: ArrayLike,
        mu_feature: ArrayLike,
        psi: ArrayLike,
        initial: ArrayLike,
        reward: str | StepFunction | Callable[..., int] = "crowd-aversion",
        *,
        legal: ArrayLike | None = None,
    ) -> None:
        features = float_array("phi", phi, (None, None, None, None))
        H, S, A, d_phi = features.shape
        psis = float_array("psi", psi, (None, H, None, S))
        M, d_psi = psis.shape[0], psis.shape[2]
        mu_features = float_array("mu_feature", mu_feature, (H, S, d_phi * d_psi))
        float_array("initial", initial, (S,))
        header = [float(S), float(A), float(d_phi), float(d_psi)]
        statuses = {
            linear.ZERO_ROW: "a row phi G Psi is zero in all entries and can not be normalised",
            linear.OVERFLOW: "a row phi G Psi overflows: scale the features down",
        }
        models = ModelClass.from_source(
            CompiledSource(linear.prepare, linear.fill, as_reward(reward), statuses=statuses, played=features_played),
            initial=initial,
            legal=legal,
            n_actions=A,
            horizon=H,
            shared=np.concatenate([header, features.ravel(), mu_features.ravel()]),
            thetas=psis.reshape(M, -1),
            aux_size=d_phi * S,
        )
        self._take(models, equal_rows=_same_features(features, models.common.legal))


def features_played(shared: Floats, actions: Integers) -> Floats:
    """The constants of linear models in which each state has the one action given, ``actions [H, S]``."""
    A, d_phi = shared[1:3].astype(np.int64).tolist()
    size = actions.size * A * d_phi
    phi = shared[linear.HEADER : linear.HEADER + size].reshape(*actions.shape, A, d_phi)
    chosen = np.take_along_axis(phi, actions[..., None, None], axis=2)
    header = [shared[0], 1.0, *shared[2 : linear.HEADER]]
    return np.concatenate([header, chosen.ravel(), shared[linear.HEADER + size :]])


def _same_features(features: Floats, legal: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where all legal actions have the same features [H, S], and with them the same rows in every model."""
    first = features[:, np.arange(len(legal)), legal.argmax(axis=1)]
    same: NDArray[np.bool_] = ((features == first[:, :, None]).all(axis=3) | ~legal).all(axis=2)
    return same


def linear_class(
    n_models: int = 200,
    n_states: int = 100,
    n_actions: int = 50,
    horizon: int = 3,
    d_phi: int = 5,
    d_psi: int = 5,
    scale: float = 0.1,
    seed: int = 0,
) -> LinearClass:
    """A random linear class as in the paper's experiment.

    phi, U and Psi are standard normal. Model 0 has Psi itself; model i >= 1 has, at each step,
    ``(1 - b) Psi + b noise`` with b uniform in [0, scale] and fresh standard normal noise. The start distribution is
    proportional to random integers in [0, S). Model i depends on the seed and on i alone: a smaller class is the
    beginning of a larger one.
    """
    M, S, A = whole("n_models", n_models, 1), whole("n_states", n_states, 1), whole("n_actions", n_actions, 1)
    H, d, e = whole("horizon", horizon, 1), whole("d_phi", d_phi, 1), whole("d_psi", d_psi, 1)
    scale = real("scale", scale, 0.0, include_low=True)
    whole("seed", seed, 0)
    features, psis = H * S * d * (A + e), M * H * e * S
    require_numbers(f"a linear class of {M} models", 3 * features + 2 * psis, "take fewer models or a smaller game")
    stream = Stream.LINEAR_FEATURES.generator(seed)
    phi = stream.standard_normal((H, S, A, d))
    mu_feature = stream.standard_normal((H, S, d * e))
    psi = np.empty((M, H, e, S))
    psi[0] = stream.standard_normal((H, e, S))
    for i in range(1, M):
        own = Stream.LINEAR_MODEL.generator(seed, i)
        b = own.uniform(0.0, scale, size=(H, 1, 1))
        psi[i] = (1.0 - b) * psi[0] + b * own.standard_normal((H, e, S))
    return LinearClass(phi, mu_feature, psi, _random_start(S, stream))


def _random_start(S: int, stream: np.random.Generator) -> Floats:
    weights = np.zeros(S)
    while S > 1 and not weights.any():
        weights = stream.integers(0, S, S).astype(np.float64)
    return np.ones(1) if S == 1 else weights / weights.sum()
