"""How often samples come: `rate_hz`, a whole number 1..1000, or `period_ms`, 1..3,600,000, for what is slower or odd.

In code both are one number of samples a second, `rate_hz`: an int where that was said, a float, 1000 / period_ms, where
a period was. So it can be said again as it was. Must not know what is sampled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sensewell_host.errors import SensewellError

KEYS = ("rate_hz", "period_ms")
MAX_HZ, MAX_MS = 1000, 3_600_000


def rate_of(said: Mapping[str, Any], where: str) -> float:
    """The rate that a schema, index, recipe or manifest says by exactly one of KEYS; SensewellError else."""
    given = [key for key in KEYS if said.get(key) is not None]
    if len(given) != 1:
        got = "both" if given else "neither"
        raise SensewellError(f"{where}: expected one of rate_hz and period_ms (from sample to sample), got {got}")
    key = given[0]
    most = MAX_HZ if key == "rate_hz" else MAX_MS
    value = said[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise SensewellError(f"{where}: expected {key} as a whole number 1..{most}, got {value!r}")
    return value if key == "rate_hz" else 1000 / value


def rate_said(rate_hz: float) -> dict[str, int]:
    """{"rate_hz": 50} or {"period_ms": 60000}: how the rate was said."""
    return {"rate_hz": rate_hz} if isinstance(rate_hz, int) else {"period_ms": period_ms(rate_hz)}


def period_ms(rate_hz: float) -> int:
    """Whole ms from sample to sample, as a board counts them: of 300 Hz it makes 3."""
    return 1000 // rate_hz if isinstance(rate_hz, int) else round(1000 / rate_hz)


def rate_text(rate_hz: float) -> str:
    """`50 Hz`, `every 15 min`: for people."""
    if isinstance(rate_hz, int):
        return f"{rate_hz} Hz"
    period = period_ms(rate_hz)
    for unit, size in (("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if period >= size:
            return f"every {period / size:g} {unit}"
    return f"every {period} ms"
