"""Certificates: what makes a round of elimination with a reference policy sound (Huang, He, Krause 2024, Section 4).

C is the set of models left, ``d(M, N | pi)`` the symmetric distance, ``E_M(pi)`` the NE gap.

*direct*    no M in C has both ``|K(M)| > |C|/2``, ``K(M) = {N in C : d(M,N|pi) <= tolerance}``, and ``E_M(pi) >
            epsilon``. After an elimination that converged with this tolerance every survivor lies in K(M*), so either
            at most half of C is left, or K(M*) is a majority and ``E_M*(pi) <= epsilon``: pi may be returned. Needs no
            Lipschitz constant.
*halving*   no M has more than ``|C|/2`` neighbours within the radius: an elimination that converges halves C.
*bridge*    some M has ``|B(M)| >= |C|/2`` neighbours within the radius and ``E_M(pi) <= beta``: the rule "return pi if
            a survivor's gap is at most 3 epsilon / 4, else half is gone" is sound for constants as `theory` has them.

The direct certificate holds wherever one of the others says anything. Halving at a radius of at least the tolerance: no
K(M) is a majority. Bridge, with M and constants as `theory` has them, c with ``|E_M - E_N| <= c d(M,N|pi)``: a majority
K(N) meets the half B(M) in some X, hence ``E_N <= E_X + c tolerance <= E_M + c (radius + tolerance) <= epsilon``. Who
checks the direct one needs neither of the others, nor c.

*Margin.* How far the numbers are from another verdict: the smallest r such that changing every distance by at most r
times the radius, and every gap by at most r times its limit, can alter it. With d_k(M) the distance from M to its k-th
nearest model (itself the first), k the least count that is too many, ``v(M) = min( (radius - d_k(M)) / radius, (E_M -
epsilon) / epsilon )`` says by how much M is over both limits; the verdict hangs on ``max_M v(M)``, whose size is the
margin. Halving looks at the first of the two alone; for bridges k is the least count that is enough, and the second is
``(beta - E_M) / beta``.
Distances that bounds put more than `CLEAR` (relative) away from the radius are not computed: margins end at `CLEAR`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastmfg.comparing.conditional import ConditionalClass, condition_members, conditional_gaps
from fastmfg.comparing.distance import bound_high, bound_low, directed_distances
from fastmfg.comparing.tiles import below_diagonal
from fastmfg.equality import Result
from fastmfg.games.checks import Floats, Integers, frozen, real
from fastmfg.games.model_class import ModelClass, member_indices, require_class

CLEAR = 0.5
"""Relative slack that counts as any larger one: pairs whose bounds leave so much need no exact distance."""

LEAST = 1e-300
"""Any distance over a radius of 0 is at least this."""


@dataclass(frozen=True, eq=False)
class DirectCertificate(Result):
    """Whether no model has a majority near it and a gap over epsilon."""

    holds: bool
    count: int  # the largest |K(M)| among models with gap over epsilon; 0 if there are none
    margin: float  # in [0, CLEAR]
    members: Integers  # [n]   the models compared, indices of the class
    counts: Integers  # [n]   |K(M)|
    gaps: Floats  # [n]   E_M(pi)


@dataclass(frozen=True, eq=False)
class HalvingCertificate(Result):
    """Whether no model has a majority near it."""

    holds: bool
    count: int  # the largest |B(M)|
    central: int  # the model that has it, the first on a tie; an index of the class
    margin: float  # in [0, CLEAR]
    members: Integers  # [n]   the models compared, indices of the class
    counts: Integers  # [n]   |B(M)|


@dataclass(frozen=True, eq=False)
class BridgeCertificate(Result):
    """Whether a model with half of the class near it has a small gap.

    `central` is the first of those that prove it with the largest neighbourhood; where none does, the central model.
    """

    holds: bool
    count: int  # |B(central)|
    ne_gap: float  # of pi in `central`
    central: int  # an index of the class
    margin: float  # in [0, CLEAR]
    members: Integers  # [n]   the models compared, indices of the class
    counts: Integers  # [n]   |B(M)|
    gaps: Floats  # [n]   E_M(pi)


@dataclass(frozen=True, eq=False)
class NearDistances(Result):
    """Distances near a radius; others only by which side they are on."""

    radius: float
    distance: Floats  # [n, n]   d cut to [(1 - CLEAR), (1 + CLEAR)] radius, 0 on the diagonal

    @property
    def counts(self) -> Integers:
        """``|{N : d(M,N|pi) <= radius}|`` of each M, itself included."""
        counts: Integers = (self.distance <= self.radius).sum(axis=1).astype(np.int64)
        return counts

    def slack(self, k: int) -> Floats:
        """``(radius - d_k(M)) / radius`` [n], at most `CLEAR` in size: >= 0 where M has at least k neighbours."""
        nearest = np.partition(self.distance, k - 1, axis=1)[:, k - 1]
        if self.radius == 0.0:
            return np.where(nearest > 0.0, -CLEAR, 0.0)
        return np.clip((self.radius - nearest) / self.radius, -CLEAR, CLEAR)


def near_distances(conditional: ConditionalClass, radius: float) -> NearDistances:
    """Distances of the models of a conditional class as far as they matter at a radius."""
    n = conditional.members.size
    pairs = below_diagonal(n)
    least, most = (1.0 - CLEAR) * radius, max((1.0 + CLEAR) * radius, LEAST)
    low, open_low = bound_low(conditional, most, pairs)
    _, near = bound_high(conditional, least, open_low & (low <= least), low)
    distance = np.where(near, least, most)
    open_pairs = open_low & ~near
    if open_pairs.any():
        exact = directed_distances(conditional, open_pairs)
        distance[open_pairs] = np.clip(np.maximum(exact, exact.T)[open_pairs], least, most)
    distance[~pairs] = 0.0
    return NearDistances(radius, distance + distance.T)


def direct_certificate(
    models: ModelClass, policy: ArrayLike, tolerance: float, epsilon: float, members: Any = None
) -> DirectCertificate:
    """Check the direct certificate of a policy.

    Parameters
    ----------
    models : ModelClass
    policy : [H, S, A]
    tolerance : float >= 0
        That of the elimination to come.
    epsilon : float > 0
        The NE gap aimed at, in units of the reward.
    members : indices, optional
        The models left, C; all of them by default.

    Returns
    -------
    DirectCertificate
        Arrays follow the order of `members`.

    Raises
    ------
    ValueError, TypeError, IndexError
        Numbers out of range, a policy that is none, members that are not distinct indices.
    """
    limit, near = real("epsilon", epsilon, 0.0), real("tolerance", tolerance, 0.0, include_low=True)
    conditional = _condition(models, policy, members)
    return certify_direct(near_distances(conditional, near), conditional_gaps(conditional), limit, conditional.members)


def certify_direct(near: NearDistances, gaps: Floats, epsilon: float, members: Integers) -> DirectCertificate:
    """The direct certificate, given distances and gaps of the members."""
    counts, over = near.counts, gaps > epsilon
    count = int(counts[over].max(initial=0))
    too_many = len(members) // 2 + 1
    excess = np.minimum(near.slack(too_many), _excess(gaps, epsilon))
    return DirectCertificate(count < too_many, count, _margin(excess), frozen(members), frozen(counts), frozen(gaps))


def halving_certificate(
    models: ModelClass, policy: ArrayLike, radius: float, members: Any = None
) -> HalvingCertificate:
    """Check the halving certificate of a policy [H, S, A]; radius >= 0; members as in `direct_certificate`."""
    near = real("radius", radius, 0.0, include_low=True)
    conditional = _condition(models, policy, members)
    return certify_halving(near_distances(conditional, near), conditional.members)


def certify_halving(near: NearDistances, members: Integers) -> HalvingCertificate:
    """The halving certificate, given distances of the members."""
    counts = near.counts
    first, too_many = int(np.argmax(counts)), len(members) // 2 + 1
    return HalvingCertificate(
        int(counts[first]) < too_many, int(counts[first]), int(members[first]), _margin(near.slack(too_many)),
        frozen(members), frozen(counts),
    )  # fmt: skip


def bridge_certificate(
    models: ModelClass, policy: ArrayLike, radius: float, beta: float, members: Any = None
) -> BridgeCertificate:
    """Check the bridge certificate of a policy [H, S, A].

    The constants are the caller's: with ``|E_M - E_N| <= c d(M,N|pi)`` and an elimination to tolerance tol, the rule of
    the module holds if ``c tol <= epsilon/4`` and ``beta + c (radius + 2 tol) <= 3 epsilon / 4``
    (`practical_constants`).

    Parameters
    ----------
    radius : float >= 0
    beta : float > 0
        Largest NE gap of `policy` in the model that proves it, in units of the reward.
    members : indices, optional
        As in `direct_certificate`.
    """
    near, limit = real("radius", radius, 0.0, include_low=True), real("beta", beta, 0.0)
    conditional = _condition(models, policy, members)
    return certify_bridge(near_distances(conditional, near), conditional_gaps(conditional), limit, conditional.members)


def certify_bridge(near: NearDistances, gaps: Floats, beta: float, members: Integers) -> BridgeCertificate:
    """The bridge certificate, given distances and gaps of the members."""
    counts = near.counts
    half = (len(members) + 1) // 2
    proof = (counts >= half) & (gaps <= beta)
    first = int(np.argmax(np.where(proof, counts, 0) if proof.any() else counts))
    excess = np.minimum(near.slack(half), -_excess(gaps, beta))
    return BridgeCertificate(
        bool(proof.any()), int(counts[first]), float(gaps[first]), int(members[first]), _margin(excess),
        frozen(members), frozen(counts), frozen(gaps),
    )  # fmt: skip


def _condition(models: ModelClass, policy: ArrayLike, members: Any) -> ConditionalClass:
    require_class("models", models)
    pi = models.policy("policy", policy)
    everybody = models.members
    return condition_members(
        models, pi, everybody if members is None else member_indices("members", members, len(models))
    )


def _excess(gaps: Floats, limit: float) -> Floats:
    """How far gaps are over a limit, relative to it, at most `CLEAR` in size."""
    return np.clip((gaps - limit) / limit, -CLEAR, CLEAR)


def _margin(excess: Floats) -> float:
    """The verdict hangs on the largest excess alone."""
    return abs(float(excess.max()))
