"""Score how unwell a patient looks, as the National Early Warning Score 2 does.

Thresholds: Royal College of Physicians, NEWS2 (2017), oxygen scale 1, without the items that a
monitor cannot see (consciousness, supplemental oxygen). For the demonstration only.
"""

from bisect import bisect_left
from typing import Final

from ward.physiology import VitalSigns

__all__ = ["warning_score"]

# sign: (highest value of each band but the last, points of each band)
_BANDS: Final = {
    "respiration": ((8, 11, 20, 24), (3, 1, 0, 2, 3)),
    "saturation": ((91, 93, 95), (3, 2, 1, 0)),
    "systolic": ((90, 100, 110, 219), (3, 2, 1, 0, 3)),
    "heart_rate": ((40, 50, 90, 110, 130), (3, 1, 0, 1, 2, 3)),
    "temperature": ((35.0, 36.0, 38.0, 39.0), (3, 1, 0, 1, 2)),
}


def warning_score(signs: VitalSigns) -> int:
    """Return the sum of the points, 0 (well) to 14; from 5 on somebody should look soon."""
    return sum(
        points[bisect_left(bands, getattr(signs, sign))] for sign, (bands, points) in _BANDS.items()
    )
