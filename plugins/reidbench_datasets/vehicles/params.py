"""Parameters of the vehicle data sets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..params import CheckedParams


class VehicleIdParams(CheckedParams):
    """Parameters of VehicleID."""

    test: Literal[800, 1600, 2400, 3200, 6000, 13164] = Field(
        800,
        description="number of vehicles of the test list; papers report 800 (small), 1600 (medium) and 2400 (large)",
    )


class VeriWildParams(CheckedParams):
    """Parameters of VERI-Wild."""

    test: Literal[3000, 5000, 10000] = Field(
        3000,
        description="number of vehicles of the test lists; papers report 3000 (small), 5000 (medium) and 10000 (large)",
    )
