"""Bundles on the host: put together, proven with the device's own code before they are written, and looked into.

The container is described where it is read: device/sensewell/bundle.py. Knows nothing of training or of boards.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sensewell_host.advice import with_advice
from sensewell_host.c_kernels import use_neural
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError

use_device_path()

from sensewell.bundle import FORMAT, Bundle  # noqa: E402
from sensewell.pipeline import Pipeline  # noqa: E402
from sensewell.probation import limits  # noqa: E402
from sensewell.refusal import Refused  # noqa: E402

MAGIC, VERSION, HEADER, HEADER_BYTES, MAX_MANIFEST = FORMAT
Int16 = npt.NDArray[np.int16]
GOLDEN_ROWS = 16
GOLDEN_WINDOWS = 2

# The keys a manifest may have, by place; the board ignores others, so a mistyped one must be found here.
_KEYS = {
    "": "sensewell name version what boards arch release devices expires min_runtime rate_hz period_ms channels "
    "guard bad_samples condition window derived features labels model rules arbiter statistics golden probation rest "
    "sections",
    "expires": "at without_clock",
    "probation": "windows seconds misses_pct lost_pct quality_pct unsure_pct tries",
    "rest": "seconds sd_raw floors",
    "channels": "name unit scale offset lo_raw hi_raw",
    "guard": "gap_ms channels disagree",
    "guard.channels": "lo_raw hi_raw sat_lo_raw sat_hi_raw stuck_n stuck_tol_raw constant_lo_raw constant_hi_raw "
    "spike_raw rate_raw resync_n",
    "guard.disagree": "a b limit_raw dwell",
    "bad_samples": "policy fill_n",
    "condition": "filters normalise",
    "condition.filters": "kind n shift",
    "condition.normalise": "offset_raw gain_q12",
    "window": "length hop min_quality_pct",
    "model": "family section n_classes input take output error give edges_raw forecast",
    "model.take": "of centre_raw gain shift",
    "model.error": "gain_in gain_out shift limit_q8",
    "model.give": "gain shift offset_raw index",
    "model.forecast": "channel ahead",
    "rules": "name on when limit clear dwell_ms clear_dwell_ms priority label interlock on_bad",
    "rules.on": "channel feature",
    "arbiter": "min_confidence_pct smooth_n smooth_m hold_ms return_n average_n deadline_ms fallback_label",
    "golden": "section rows windows",
}


def pack(manifest: dict[str, Any], sections: dict[str, bytes]) -> bytes:
    """The bytes of a bundle: `manifest` (see device/sensewell/bundle.py; `sections` is filled in) and its `sections`.

    The result has been opened, built into a pipeline and proven by the device code. SensewellError says what the board
    would refuse, or which key of the manifest nobody would read.
    """
    check_keys(manifest)
    body = bytearray()
    entries = {}
    for name in sorted(sections):
        body += bytes(-len(body) % 8)
        digest = hashlib.sha256(sections[name]).hexdigest()
        entries[name] = {"offset": len(body), "bytes": len(sections[name]), "sha256": digest}
        body += sections[name]
    text = canonical({**manifest, "sensewell": 1, "sections": entries})
    if len(text) > MAX_MANIFEST:
        raise SensewellError(f"the manifest has {len(text)} bytes, the board reads {MAX_MANIFEST}: leave something out")
    padding = bytes(-(HEADER_BYTES + len(text)) % 8)
    size = HEADER_BYTES + len(text) + len(padding) + len(body)
    digest_bytes = hashlib.sha256(text).digest()
    header = struct.pack(HEADER, MAGIC, VERSION, HEADER_BYTES, len(text), size, 0, digest_bytes, bytes(4))
    data = header + text + padding + bytes(body)
    _proven(data, "the manifest or the model does not pass the board's own checks")
    return data


def digest_of(bundle: bytes) -> bytes:
    """What is signed of a bundle: the SHA-256 of its header without the size of its signatures, and its manifest."""
    end = HEADER_BYTES + struct.unpack_from("<I", bundle, 8)[0]
    return hashlib.sha256(bundle[:16] + bytes(4) + bundle[20:end]).digest()


def signatures_of(bundle: bytes) -> bytes:
    """The block of signatures of a sound bundle, b"" of an unsigned one."""
    at, size = _block_at(bundle)
    return bundle[at : at + size]


def with_signatures(bundle: bytes, block: bytes) -> bytes:
    """A sound bundle with these signatures in place of those that it has; opened by the device code."""
    at, size = _block_at(bundle)
    data = bundle[:16] + struct.pack("<I", len(block)) + bundle[20:at] + block + bundle[at + size :]
    _proven(data, "with these signatures the bundle does not pass the board's own checks")
    return data


def _block_at(bundle: bytes) -> tuple[int, int]:
    end = HEADER_BYTES + struct.unpack_from("<I", bundle, 8)[0]
    return end + -end % 8, struct.unpack_from("<I", bundle, 16)[0]


def golden(
    manifest: dict[str, Any], model: bytes, features: npt.ArrayLike | None, windows: npt.ArrayLike
) -> tuple[dict[str, Any], bytes]:
    """The manifest's `golden` entry and its section, `golden`: what the board must answer exactly before it decides.

    model: the device model, b"" where there is none; features: (rows, n_features) integers, None where the model sees
    windows or there is none; windows:
    (windows, length, n_channels) raw counts, before calibration and conditioning. Scores and the windows' features are
    what the device code gives. SensewellError if shapes or ranges do not fit the manifest or the model is unsound.
    """
    sees_windows = manifest["model"].get("input") == "window"
    rows = np.zeros((0, 0), np.int16)
    if not sees_windows and manifest["model"]["family"] != "none":
        rows = _int16([] if features is None else features, (-1, len(manifest["features"])), "golden features")
    raw = _int16(windows, (-1, manifest["window"]["length"], len(manifest["channels"])), "golden windows")
    model_section = manifest["model"].get("section", "model")
    use_neural(manifest)
    try:
        pipeline = Pipeline(Bundle(manifest, {model_section: bytearray(model)}))
        if pipeline.refusal:
            raise Refused(pipeline.refusal)
    except Refused as refused:
        raise SensewellError(f"no golden vectors, because the board would refuse this: {refused}") from refused
    scores = bytearray()
    for row in rows:
        pipeline.vector[:] = _array_of(pipeline.vector, row)
        pipeline.model.predict(pipeline.vector, pipeline.scores)
        scores += pipeline.scores.tobytes()
    data = bytearray(rows.astype("<i2").tobytes())
    data += bytes(-len(data) % 4) + scores + raw.astype("<i2").tobytes()
    scores.clear()
    sample = pipeline.guard.last_good
    for window in raw:
        pipeline.reset()
        for values in window:
            sample[:] = _array_of(sample, values)
            if pipeline.condition:
                pipeline.condition.apply(sample, sample)
            pipeline.window.push(sample, 1)
        if pipeline.features:
            pipeline.features.compute(pipeline.window)
        data += pipeline.vector.tobytes()
        if sees_windows:
            pipeline.model.predict(pipeline.vector, pipeline.scores)
            scores += pipeline.scores.tobytes()
    if sees_windows:
        data += bytes(-len(data) % 4) + scores
    return {"section": "golden", "rows": len(rows), "windows": len(raw)}, bytes(data)


def inspect(path: Path | str) -> dict[str, Any]:
    """What is in the bundle at `path`, opened and proven by the device code; SensewellError with the named reason.

    Keys: name, version, bytes, manifest (dict), manifest_bytes, sha256 (hex, of the file), sections (name -> bytes),
    canonical (False: the manifest is not in the form that `pack` writes).
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SensewellError(f"cannot read the bundle {path}: {error.strerror}") from error
    bundle = _proven(data, f"{path} is not a bundle that a board would run", with_advice)
    manifest_bytes = struct.unpack_from(HEADER, data)[3]
    text = data[HEADER_BYTES : HEADER_BYTES + manifest_bytes]
    return {
        "name": bundle.name,
        "version": bundle.version,
        "bytes": len(data),
        "manifest": bundle.manifest,
        "manifest_bytes": manifest_bytes,
        "sha256": hashlib.sha256(data).hexdigest(),
        "sections": {name: entry["bytes"] for name, entry in bundle.manifest["sections"].items()},
        "canonical": canonical(bundle.manifest) == text,
    }


def canonical(manifest: dict[str, Any]) -> bytes:
    """`manifest` as the one JSON text that stands for it: sorted keys, no white space, plain ASCII."""
    try:
        text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain_number)
    except (TypeError, ValueError) as error:
        raise SensewellError(f"the manifest holds what JSON cannot say: {error}") from error
    at = text.find("\\")
    if at >= 0:
        around = text[max(0, at - 30) : at + 6]
        raise SensewellError(f"the manifest must be plain ASCII without quotes or backslashes: ...{around}")
    return text.encode("ascii")


def check_keys(manifest: dict[str, Any]) -> None:
    """SensewellError if `manifest` has a key that no board reads: most likely a misspelt one."""
    _check_keys(manifest, "")


def _check_keys(entry: Any, place: str) -> None:
    if isinstance(entry, list):
        for one in entry:
            _check_keys(one, place)
    elif isinstance(entry, dict) and place in _KEYS:
        known = _KEYS[place].split()
        for key, value in entry.items():
            if key not in known:
                where = f"{place}.{key}" if place else key
                raise SensewellError(f"the manifest has an unknown key {where}: expected one of {', '.join(known)}")
            _check_keys(value, f"{place}.{key}" if place else key)


def _proven(data: bytes, otherwise: str, say: Callable[[object], str] = str) -> Any:
    try:
        bundle = Bundle.open(data)
        use_neural(bundle.manifest)
        limits(bundle.manifest)
        bundle.prove(Pipeline(bundle))
    except Refused as refused:
        raise SensewellError(f"{otherwise}: {say(refused)}") from refused
    return bundle


def _int16(values: npt.ArrayLike, shape: tuple[int, ...], what: str) -> Int16:
    array = np.asarray(values)
    if array.ndim != len(shape) or array.shape[1:] != shape[1:] or not len(array):
        expected = ", ".join("n" if size < 0 else str(size) for size in shape)
        raise SensewellError(f"{what}: expected the shape ({expected}), got {array.shape}")
    if not np.issubdtype(array.dtype, np.integer) or array.min() < -32768 or array.max() > 32767:
        raise SensewellError(f"{what}: expected 16-bit integers, got {array.dtype} {array.min()}..{array.max()}")
    return array.astype(np.int16)


def _array_of(like: Any, values: Int16) -> Any:
    return type(like)("h", values.tolist())


def _plain_number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} {value!r}")
