"""Array types of this package; units are documented where they are used."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]  # geometry
Ints = NDArray[np.int64]  # indices
Light = NDArray[np.float32]  # colours and shades, 0 (dark) to 1 (bright)
Bytes = NDArray[np.uint8]  # finished pictures, 0 to 255
Mask = NDArray[np.bool_]
