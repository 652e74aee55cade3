"""Integers for the two ends of a network in a bundle: how counts become its int8 input, and what its output means.

What the board does with them stands in device/sensewell/model/net.py. Knows no Keras, no file formats and no manifests
but for the three dicts that it makes: `take`, `error` and `give` of a manifest's `model`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.errors import SensewellError

GAIN_LIMIT = 1 << 14  # 17 bits x 14 bits stay within 32
MAX_SHIFT = 30
LIMIT_Q8 = 1 << 28  # of the error of an autoencoder
ERROR_QUANTA = 16  # an error is counted in 1/16 of a quantum of the net's input


def quantiser(mean: npt.ArrayLike, std: npt.ArrayLike, scale: float, zero_point: int) -> dict[str, list[int]]:
    """`take` for a net trained on (x - mean) / std: {"centre_raw", "gain", "shift"}, an entry a channel or feature.

    mean, std: in counts; a channel whose std is 0 becomes the zero point, whatever it says. scale, zero_point: of the
    net's int8 input. SensewellError if 32-bit integers cannot do it.
    """
    means, stds = np.atleast_1d(np.asarray(mean, float)), np.atleast_1d(np.asarray(std, float))
    if means.ndim != 1 or means.shape != stds.shape:
        raise SensewellError(f"expected as many means as deviations, got {means.shape} and {stds.shape}")
    if not -128 <= zero_point <= 127:
        raise SensewellError(f"expected the zero point of an int8 input, got {zero_point}")
    if not np.isfinite([*means, *stds, scale]).all() or scale <= 0 or (stds < 0).any():
        raise SensewellError("means, deviations and scale must be finite, and not negative but for means")
    if (abs(means) > 32767).any():
        raise SensewellError(f"expected means in counts, -32767..32767, got {means.min():g}..{means.max():g}")
    pairs = [_fraction(1.0 / (one * scale), f"a deviation of {one:g} counts") if one else (0, 0) for one in stds]
    return {
        "centre_raw": [round(float(one)) for one in means],
        "gain": [gain for gain, _ in pairs],
        "shift": [shift for _, shift in pairs],
    }


def quantised(take: Mapping[str, Sequence[int]], x: npt.ArrayLike, zero_point: int) -> npt.NDArray[np.int8]:
    """What the board makes of counts x (..., n), to the digit; n is one for each entry of `take`."""
    centre, gain, shift = (np.asarray(take[key], np.int64) for key in ("centre_raw", "gain", "shift"))
    q = ((np.asarray(x, np.int64) - centre) * gain + ((1 << shift) >> 1) >> shift) + zero_point
    return np.asarray(np.clip(q, -128, 127), np.int8)


def meant(take: Mapping[str, Sequence[int]], x: npt.ArrayLike, scale: float) -> npt.NDArray[np.float64]:
    """What these counts mean to the net, before rounding: (x - centre) * gain / 2**shift * scale."""
    centre, gain, shift = (np.asarray(take[key], np.float64) for key in ("centre_raw", "gain", "shift"))
    return np.asarray((np.asarray(x, np.float64) - centre) * gain / 2.0**shift * scale)


def error_gains(input_scale: float, output_scale: float, limit_mse: float) -> dict[str, int]:
    """`error` of an autoencoder: {"gain_in", "gain_out", "shift", "limit_q8"}.

    limit_mse: the mean square error in the units of the net (the unit of the scales) above which a window is strange.
    """
    if not min(input_scale, output_scale, limit_mse) > 0:
        raise SensewellError("scales and the limit of the error must be above zero")
    shift = MAX_SHIFT
    while ERROR_QUANTA * max(1.0, output_scale / input_scale) * (1 << shift) >= GAIN_LIMIT - 1:
        shift -= 1
        if shift < 0:
            raise SensewellError(f"output scale {output_scale:g} is too much coarser than input scale {input_scale:g}")
    limit = round(limit_mse / input_scale**2 * ERROR_QUANTA**2)
    if not 1 <= limit < LIMIT_Q8:
        raise SensewellError(f"a limit of {limit_mse:g} is out of reach of an input scale of {input_scale:g}")
    gain_in = ERROR_QUANTA << shift
    return {
        "gain_in": gain_in,
        "gain_out": round(gain_in * output_scale / input_scale),
        "shift": shift,
        "limit_q8": limit,
    }


def error_q8(
    error: Mapping[str, int], q_in: npt.ArrayLike, q_out: npt.ArrayLike, zero_in: int, zero_out: int
) -> npt.NDArray[np.int64]:
    """The error of windows q_in, q_out (..., n) of int8 as the board has it, to be compared with limit_q8."""
    shift = error["shift"]
    e = (np.asarray(q_in, np.int64) - zero_in) * error["gain_in"]
    e -= (np.asarray(q_out, np.int64) - zero_out) * error["gain_out"]
    e = np.clip(e + (1 << shift >> 1) >> shift, -16383, 16383)
    return np.asarray((e * e).sum(axis=-1) // e.shape[-1])


def giver(mean: float, std: float, scale: float) -> dict[str, int]:
    """`give` for a net that answers (y - mean) / std of a target in counts: {"gain", "shift", "offset_raw"}.

    scale: of the net's output (its zero point the board reads from the file).
    """
    if not (np.isfinite([mean, std, scale]).all() and std > 0 and scale > 0 and abs(mean) <= 32767):
        raise SensewellError(f"expected a target in counts, got mean {mean:g}, deviation {std:g}, scale {scale:g}")
    gain, shift = _fraction(std * scale, f"a target's deviation of {std:g} counts")
    return {"gain": gain, "shift": shift, "offset_raw": round(mean)}


def given(give: Mapping[str, Any], q: npt.ArrayLike, zero_point: int) -> npt.NDArray[np.int16]:
    """The counts that outputs q mean, as the board has them."""
    shift = give["shift"]
    y = ((np.asarray(q, np.int64) - zero_point) * give["gain"] + (1 << shift >> 1) >> shift) + give["offset_raw"]
    return np.asarray(np.clip(y, -32768, 32767), np.int16)


def _fraction(factor: float, what: str) -> tuple[int, int]:
    """(gain, shift) with gain / 2**shift next to `factor`, as exact as 14 bits can be."""
    shift = 0
    while shift < MAX_SHIFT and round(factor * (1 << shift + 1)) < GAIN_LIMIT:
        shift += 1
    gain = round(factor * (1 << shift))
    if not 0 < gain < GAIN_LIMIT:
        raise SensewellError(f"{what} does not fit 14 bits: a factor of {factor:g}")
    return gain, shift
