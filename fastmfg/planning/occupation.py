"""Occupation measures: a residual that vanishes at equilibria, followed from a prior by a library's root finder.

A Nash equilibrium is an occupation measure L whose flow is consistent and whose actions have slack 0 or mass 0 against
the crowd that L makes (MF-OMO: Guo, Hu, Zhang, *MF-OMO: An optimization formulation of mean-field games*, SIAM J.
Control Optim. 62(1), 2024). To minimise the residual of these conditions at once leads to local minima, on small games
too. Here the second condition is softened, ``slack = log(prior / pi) / beta`` (`regularised`), and the zeros of the
residual F(v, beta) are followed from beta = 0, where the zero is the prior, to where beta is large and the zero nearly
an equilibrium.

The zeros form a curve that may turn back in beta; it is followed by its length. A step goes along the tangent, then
SciPy's Broyden iteration solves ``F = 0`` on the plane across it, preconditioned by F's derivative (homotopy: Allgower,
Georg, *Introduction to Numerical Continuation Methods*, 2003; for logit equilibria: Turocy, Games Econ. Behav. 51,
2005). A curve that gets nowhere is left for another: one from the best policy seen, one from a random prior, and so on
in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np

from fastmfg.games.checks import Floats
from fastmfg.games.game import Game
from fastmfg.planning.evaluation import Evaluation, scale_of_q
from fastmfg.planning.mirror import SMALLEST_SCALE, logits
from fastmfg.planning.regularised import Crowd, Derivative, RegularisedGame, SingularError

MOST_ENTRIES = 500_000_000
"""Row entries H*S*A*S times directions (S, or S*A) that a derivative measures, at most: a few
seconds."""

PROGRESS, PATIENCE = 0.9, 60
"""A curve is left after PATIENCE steps that did not lower the best gap to PROGRESS times what it was; the next two
curves after twice as many, and so on."""

NOISE = 1.0
"""Standard deviation of the logits of the first random prior; twice as much for the second, and so on."""

FIRST_STEP, GROW, SHRINK = 0.5, 3.0, 0.4
"""The first step, mostly of beta in units of one over the spread of Q; what steps grow by at most, and shrink
by when refused."""

SMALLEST_STEP = 1e-5
"""A curve ends where steps this small, relative to 1 + beta, are refused."""

AIM, ASTRAY, TURN = 0.2, 0.5, 0.7
"""How far from the point ahead, in steps, the curve is wanted and allowed; the least cosine between two tangents."""

CLOSE, NARROW = 1e-2, 1e-6
"""When a point is on the curve: the next correction is this small. CLOSE is relative to 1 / (1 + beta) and weighs
logits by their probabilities, for the gap's sake; NARROW weighs all alike, lest a smaller step be lost in the error."""

MOST_CORRECTIONS = 12


class OccupationMeasure:
    """Follows regularised equilibria to a Nash equilibrium; for small games, those too on which other methods cycle.

    An iteration is a step along a curve: about ten passes through the game, and two derivatives, for each of which the
    game is asked about ``H S`` populations more (``H S A`` joint ones). All rows are held as dense tables; games with
    more than `MOST_ENTRIES` entries to measure, which takes some seconds an iteration, are refused (ValueError).

    Rewards and rows should be continuous in the population: a curve ends where they jump. It can turn without end where
    a long horizon has very many near-equilibria (on `zoo.susceptible_infected` the gap stays at a hundredth).
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self.best: Evaluation | None = None
        self.scale = 0.0
        self.left = 0  # curves
        self.used = np.inf  # the gap of the best policy that was a prior
        self.drawn = 0  # random priors
        self.mark = np.inf  # the gap to be lowered
        self.waited = 0  # steps since it was

    def __call__(self, last: Evaluation) -> Floats:
        if self.best is None or last.gap < self.best.gap:
            self.best = last
        if self.path is None:
            refuse_large(last.game)
            self.used = last.gap
            self.scale = max(scale_of_q(last), SMALLEST_SCALE)
            self.path = self._path(last.game, logits(last.policy))
        self.waited += 1
        if last.gap < PROGRESS * self.mark:
            self.mark, self.waited = last.gap, 0
        if self.waited > PATIENCE * (1 + self.left // 2) or not self.path.advance():
            self.left += 1
            self.waited = 1
            self.path = self._path(last.game, self._next_prior(self.best))
            self.path.advance()
        return self.path.crowd.policy

    def _path(self, game: Game, log_prior: Floats) -> Path:
        return Path(RegularisedGame(game, log_prior, self.scale))

    def _next_prior(self, best: Evaluation) -> Floats:
        if best.gap < self.used:
            self.used = best.gap
            return logits(best.policy)
        self.drawn += 1
        noise: Floats = np.random.default_rng(self.drawn).standard_normal(best.policy.shape)
        return NOISE * self.drawn * noise


def measured_entries(game: Game) -> int:
    """Row entries that a derivative measures."""
    H, S, A = game.horizon, game.n_states, game.n_actions
    return H * S * A * S * (S * A if game.population == "joint" else S)


def refuse_large(game: Game) -> None:
    """Raise for a game whose derivatives would take too long."""
    entries = measured_entries(game)
    if entries > MOST_ENTRIES:
        number = "H * S**3 * A" + ("**2" if game.population == "joint" else "")
        raise ValueError(
            f"method 'occupation-measure' is for small games: {number} must be at most {MOST_ENTRIES:,}, got "
            f"{entries:,} (H = {game.horizon}, S = {game.n_states}, A = {game.n_actions}); use method 'auto'"
        )


class _AstrayError(Exception):
    """No point of the curve is found near the one ahead."""


class Path:
    """The curve of zeros that begins at a game's prior.

    Its points are vectors: all logits over the square root of their number, then beta. A length weighs the logits
    together as much as beta.
    """

    def __init__(self, game: RegularisedGame) -> None:
        self.game = game
        self.unit = float(np.sqrt(game.legal.sum() * len(game.log_prior)))
        self.crowd = game.at(game.log_prior, 0.0)
        self.step = FIRST_STEP
        self.direction = self._vector(np.zeros_like(game.log_prior), 1.0)
        with suppress(_AstrayError, SingularError):
            self.direction = self._tangent(self.crowd, self.direction)

    def advance(self) -> bool:
        """Go a step along the curve; False where it cannot be followed, or is back where it began."""
        while self.crowd.beta >= 0.0 and self.step > SMALLEST_STEP * (1.0 + self.crowd.beta):
            ahead = self._vector(self.crowd.logits, self.crowd.beta) + self.step * self.direction
            with suppress(_AstrayError, SingularError):
                moved = self._corrected(ahead)
                crowd = self._crowd(ahead + moved)
                direction = self._tangent(crowd, self.direction)
                if direction @ self.direction >= TURN:
                    strayed = float(np.linalg.norm(moved)) / self.step
                    self.step *= max(AIM / max(strayed, AIM / GROW), SHRINK)
                    self.crowd, self.direction = crowd, direction
                    return True
            self.step *= SHRINK
        return False

    def _corrected(self, ahead: Floats) -> Floats:
        """What leads from `ahead` to the curve, in the plane across the direction."""
        from scipy.optimize import root

        crowd = self._crowd(ahead)
        derivative = self._derivative(crowd, self.direction)

        def correction(moved: Floats) -> Floats:
            """What Newton's method would take off, with the derivative ahead: F, preconditioned."""
            if not np.linalg.norm(moved) <= 2.0 * ASTRAY * self.step:
                raise _AstrayError
            residual = self._crowd(ahead + moved).residual if moved.any() else crowd.residual
            return self._vector(*derivative.solve(residual, 0.0))  # stays in the plane

        size = self._size(crowd)
        moved = np.zeros_like(ahead)
        first = correction(moved)
        if not np.linalg.norm(first) <= ASTRAY * self.step:
            raise _AstrayError
        if size(first) > 1.0:
            options = {"fatol": 1.0, "tol_norm": size, "maxiter": MOST_CORRECTIONS, "line_search": None}
            options["jac_options"] = {"alpha": -1.0}  # the first Jacobian is the identity
            with np.errstate(divide="ignore", invalid="ignore"):  # two corrections that rounding makes equal
                found = root(correction, moved, method="broyden1", options=options)
            moved = found.x
            if not (found.success and np.linalg.norm(moved) <= ASTRAY * self.step):
                raise _AstrayError
        return moved

    def _size(self, crowd: Crowd) -> Callable[[Floats], float]:
        """The size of a correction near a crowd, such that it is small below 1."""
        scale = 1.0 + abs(crowd.beta)
        close = self._vector(np.sqrt(crowd.policy), 1.0 / scale) * (scale / (CLOSE * min(1.0, self.step)))
        narrow = NARROW * min(scale, self.step)
        return lambda x: max(float(np.linalg.norm(close * x)), float(np.linalg.norm(x)) / narrow)

    def _tangent(self, crowd: Crowd, along: Floats) -> Floats:
        """The curve's direction at a crowd, of length 1, on the side of `along`."""
        tangent = self._vector(*self._derivative(crowd, along).solve(np.zeros_like(crowd.logits), 1.0))
        length = float(np.linalg.norm(tangent))
        if not 0.0 < length < np.inf:
            raise _AstrayError
        return tangent / length

    def _derivative(self, crowd: Crowd, row: Floats) -> Derivative:
        return Derivative(crowd, row[:-1].reshape(crowd.logits.shape) / self.unit, float(row[-1]))

    def _crowd(self, x: Floats) -> Crowd:
        return self.game.at(self.unit * x[:-1].reshape(self.game.log_prior.shape), float(x[-1]))

    def _vector(self, logits: Floats, beta: float) -> Floats:
        return np.append(logits.ravel() / self.unit, beta)
