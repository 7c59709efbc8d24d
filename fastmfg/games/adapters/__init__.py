"""Games of other libraries as games of this one, and our policies scored by them; each library is optional.

`from_mfglib`, `to_mfglib` and `mfglib_exploitability` need ``pip install "fastmfg[mfglib]"``, `from_open_spiel` and
`open_spiel_nash_conv` need ``pip install "fastmfg[open-spiel]"``.
"""

from fastmfg.games.adapters.mfglib import (
    from_mfglib,
    from_mfglib_policy,
    mfglib_exploitability,
    to_mfglib,
    to_mfglib_policy,
)
from fastmfg.games.adapters.open_spiel import (
    OpenSpielGame,
    from_open_spiel,
    from_open_spiel_policy,
    open_spiel_nash_conv,
    to_open_spiel_policy,
)

__all__ = [
    "OpenSpielGame",
    "from_mfglib",
    "from_mfglib_policy",
    "from_open_spiel",
    "from_open_spiel_policy",
    "mfglib_exploitability",
    "open_spiel_nash_conv",
    "to_mfglib",
    "to_mfglib_policy",
    "to_open_spiel_policy",
]
