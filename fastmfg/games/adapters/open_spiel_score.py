"""OpenSpiel's policies and NashConv; needs OpenSpiel, and is imported only where they are asked for."""

from __future__ import annotations

from typing import Any

from open_spiel.python.mfg.algorithms import best_response_value, distribution, policy_value
from open_spiel.python.mfg.algorithms import nash_conv as nash_conv_module
from open_spiel.python.policy import Policy

from fastmfg.games.checks import Floats


class StringPolicy(Policy):
    """Probabilities of actions by the observation strings of decisions."""

    def __init__(self, game: Any, rows: dict[str, Floats]) -> None:
        super().__init__(game, [0])
        self._rows = rows

    def action_probabilities(self, state: Any, player_id: Any = None) -> dict[int, float]:
        string = state.observation_string(0)
        if string not in self._rows:
            raise ValueError(f"policy knows no decision {string!r}: it was not met when the game was read")
        row = self._rows[string]
        return {action: float(row[action]) for action in state.legal_actions()}


class WithLastAction:
    """A state whose string shows the last action too; for the rest it is the state itself."""

    def __init__(self, state: Any, last: int | None = None) -> None:
        self.state, self.last = state, last

    def observation_string(self, player: int) -> str:
        return f"{self.state.observation_string(player)} after {self.last}"

    def child(self, action: int) -> WithLastAction:
        return WithLastAction(self.state.child(action), action if self.state.is_player_node() else self.last)

    def clone(self) -> WithLastAction:
        return WithLastAction(self.state.clone(), self.last)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self.state, attribute)


class PolicyOfStates(Policy):
    """A policy for states with last actions."""

    def __init__(self, policy: StringPolicy) -> None:
        super().__init__(policy.game, policy.player_ids)
        self._policy = policy

    def action_probabilities(self, state: Any, player_id: Any = None) -> dict[int, float]:
        return self._policy.action_probabilities(state.state)


def nash_conv(game: Any, policy: StringPolicy, with_action: bool) -> float:
    """OpenSpiel's NashConv; with its values, but not its distribution, kept by strings that show the last action."""
    if not with_action:
        return float(nash_conv_module.NashConv(game, policy).nash_conv())
    crowd = distribution.DistributionPolicy(game, policy)
    root = WithLastAction(game.new_initial_states()[0])
    own = policy_value.PolicyValue(game, crowd, PolicyOfStates(policy), root_state=root)
    best = best_response_value.BestResponse(game, crowd, root_state=root)
    return float(best.eval_state(root) - own.eval_state(root))
