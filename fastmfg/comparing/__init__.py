"""Many models under one policy: distances, their bounds, neighbourhoods, the central model."""

from fastmfg.comparing.bridge import BridgeModel, PolicyCover, SoftBridge
from fastmfg.comparing.certificates import (
    BridgeCertificate,
    DirectCertificate,
    HalvingCertificate,
    bridge_certificate,
    direct_certificate,
    halving_certificate,
)
from fastmfg.comparing.distance import deviation_distances, distance_matrix, lower_bounds, pair_deviation, upper_bounds
from fastmfg.comparing.information import InformationLimit, information_limit
from fastmfg.comparing.neighbourhood import Neighbourhoods, central_model, neighbour_counts, neighbourhoods
from fastmfg.comparing.pmbed import EluderDimension, mbed, pmbed
from fastmfg.comparing.theory import (
    PracticalConstants,
    TheoryConstants,
    cover_count,
    grid_size,
    practical_constants,
    refuse_unscaled,
    theory_constants,
    transfer_constant,
)

__all__ = [
    "BridgeCertificate",
    "BridgeModel",
    "DirectCertificate",
    "EluderDimension",
    "HalvingCertificate",
    "InformationLimit",
    "Neighbourhoods",
    "PolicyCover",
    "PracticalConstants",
    "SoftBridge",
    "TheoryConstants",
    "bridge_certificate",
    "central_model",
    "cover_count",
    "deviation_distances",
    "direct_certificate",
    "distance_matrix",
    "grid_size",
    "halving_certificate",
    "information_limit",
    "lower_bounds",
    "mbed",
    "neighbour_counts",
    "neighbourhoods",
    "pair_deviation",
    "pmbed",
    "practical_constants",
    "refuse_unscaled",
    "theory_constants",
    "transfer_constant",
    "upper_bounds",
]
