"""Bundles that a board refuses, each under the reason that it must give. Runs on a PC."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from typing import Any

import bad_nets
import forests
import linears
import tiny_bundle
from roots import KEYS, block_by, signature_by
from signer import N, block, der

FLOOR = 5  # release counter of what the board runs
NOW_S = 1_800_000_000


def parts(**changes: Any) -> tuple[dict[str, Any], bytes, bytes]:
    """Manifest, model, golden section of a sound bundle; `changes` of the manifest, made after its proof."""
    manifest = tiny_bundle.manifest(release=FLOOR)
    model = tiny_bundle.forest(5, 2, 2)
    golden = tiny_bundle.golden(manifest, model)
    manifest.update(changes)
    return manifest, model, golden


def changed(**changes: Any) -> bytes:
    manifest, model, golden = parts(**changes)
    return bytes(tiny_bundle.write(manifest, {"model": model, "golden": golden}))


def without(key: str) -> bytes:
    manifest, model, golden = parts()
    del manifest[key]
    return bytes(tiny_bundle.write(manifest, {"model": model, "golden": golden}))


def with_model(model: bytes, /, **changes: Any) -> bytes:
    manifest, _, golden = parts(**changes)
    return bytes(tiny_bundle.write(manifest, {"model": model, "golden": golden}))


def with_golden(golden: bytes) -> bytes:
    manifest, model, _ = parts()
    return bytes(tiny_bundle.write(manifest, {"model": model, "golden": golden}))


def signed(data: bytes, *by: int) -> bytes:
    return tiny_bundle.signed(data, block_by(by or (4,), tiny_bundle.digest_of(data)))


def flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def patched(data: bytes, at: int, form: str, *values: int) -> bytes:
    found = bytearray(data)
    struct.pack_into("<" + form, found, at, *values)
    return bytes(found)


def with_entry(**changes: Any) -> bytes:
    """A bundle whose manifest says something else of its model's section; all hashes and signatures fit."""
    whole = changed()
    manifest = json.loads(manifest_of(whole))
    manifest["sections"]["model"].update(changes)
    end = 56 + int.from_bytes(whole[8:12], "little")
    return signed(tiny_bundle.seal(json.dumps(manifest, separators=(",", ":")).encode(), whole[end + -end % 8 :]))


def bundles() -> Iterator[tuple[str, bytes]]:
    """(reason, bundle): what is wrong with it is in its bytes."""
    good = signed(changed())
    plain = changed()
    digest = tiny_bundle.digest_of(plain)
    at = 56 + int.from_bytes(good[8:12], "little")
    at += -at % 8  # the signatures begin here
    # one bit of each field of the header
    yield "bundle.magic", flipped(good, 0)
    yield "bundle.version", flipped(good, 4)
    yield "bundle.header", flipped(good, 6)
    yield "bundle.hash.manifest bundle.manifest", flipped(good, 8)
    yield "bundle.truncated bundle.extended", flipped(good, 12)
    yield "bundle.signatures", flipped(good, 16)
    yield "bundle.hash.manifest", flipped(good, 20)
    yield "bundle.reserved", flipped(good, 52)
    # one bit of the rest
    yield "bundle.hash.manifest", flipped(good, 90)
    other = flipped(good, good.index(b"a test"))
    yield "signature.wrong", other[:20] + hashlib.sha256(manifest_of(other)).digest() + other[52:]
    yield "signature.wrong signature.r signature.s", flipped(good, at + 1 + 16 + 1 + 20)
    yield "signature.unknown_key", flipped(good, at + 1)
    yield "signature.der", flipped(good, at + 1 + 16 + 1)
    yield "bundle.hash.model", flipped(good, -20)
    yield "bundle.hash.golden", flipped(good, at + int.from_bytes(good[16:20], "little") + 8)
    # too short, too long, too much of it
    yield "bundle.truncated", good[:40]
    yield "bundle.truncated", good[:-1]
    yield "bundle.truncated", good[: len(good) // 2]
    yield "bundle.extended", good + b"\0"
    yield "bundle.extended", good + good
    yield "bundle.manifest", patched(good, 8, "I", 1)
    yield "bundle.manifest", patched(good, 8, "I", 16385)
    yield "bundle.signatures", patched(good, 16, "I", 1032)
    loose = tiny_bundle.seal(manifest_of(plain), plain[at:] + bytes(8))
    yield "bundle.extended", signed(loose)
    text = manifest_of(plain)
    odd = text[:-1] + b',"x":"' + b"y" * (8 - (56 + len(text) + 8) % 8 + 3) + b'"}'
    odd = tiny_bundle.seal(odd, plain[at:])
    assert (56 + int.from_bytes(odd[8:12], "little")) % 8
    yield "bundle.padding", flipped(signed(odd), 56 + int.from_bytes(odd[8:12], "little"))
    # signatures
    yield "signature.none", plain
    yield "signature.none", tiny_bundle.signed(plain, bytes(8))
    yield "signature.unknown_key", signed(plain, 6)
    yield "signature.role", signed(plain, 1)
    yield "signature.revoked_key", signed(plain, 3)
    one = signature_by(4, digest)
    r, s = numbers_of(one)
    for reason, wrong in (
        ("signature.r", der(0, s)),
        ("signature.r", der(N, s)),
        ("signature.r", der(1 << 256, s)),
        ("signature.s", der(r, 0)),
        ("signature.s", der(r, N)),
        ("signature.der", b"\x30\x81" + one[1:]),
        ("signature.der", one + b"\0"),
        ("signature.der", longer(one)),
        ("signature.der", one[:-1]),
        ("signature.wrong", der(r, N - 1 - s)),
        ("signature.wrong", der(s, r)),
        ("signature.wrong", signature_by(5, digest)),
    ):
        yield reason, tiny_bundle.signed(plain, block((KEYS[4], wrong)))
    whole = block_by((4,), digest)
    yield "signature.block", tiny_bundle.signed(plain, bytes([9]) + whole[1:])
    yield "signature.block", tiny_bundle.signed(plain, bytes([2]) + whole[1:])
    yield "signature.block", tiny_bundle.signed(plain, whole + bytes(8))
    # what is signed, but no manifest
    for text in (b"[" * 40, b'{"sensewell": 1}', b"{}x", b'"\xff"'):
        yield "bundle.json", signed(tiny_bundle.seal(text))
    for text in (b"{}", b"[]", b"null", b"17"):
        yield "bundle.schema.sensewell", signed(tiny_bundle.seal(text))
    for reason, changes in SETTINGS:
        yield reason, signed(changed(**changes))
    for key in ("labels", "window", "channels", "golden", "model"):
        yield "bundle.schema." + key, signed(without(key))
    for entry in ({"offset": 8}, {"offset": -8}, {"bytes": 1 << 20}, {"bytes": 0}, {"sha256": "00"}):
        yield "bundle.schema.sections", with_entry(**entry)
    # a model that would walk out of bounds, or for ever; and one that answers something else
    yield from [(reason, signed(data)) for reason, data in (*models(), *bad_nets.networks(FLOOR))]


def models() -> Iterator[tuple[str, bytes]]:
    _, model, golden = parts()
    trees, nodes, _, words = struct.unpack_from("<4H", model, 8)
    record = 20 + 4 * nodes
    leaf = record + 4 * trees
    for reason, other in (
        ("model.truncated", model[:10]),
        ("model.truncated", model[:-2]),
        ("model.extended", model + bytes(2)),
        ("model.magic", flipped(model, 0)),
        ("model.version", patched(model, 4, "B", 2)),
        ("model.kind", patched(model, 5, "B", 9)),
        ("model.schema", patched(model, 6, "B", 6)),
        ("model.schema", patched(model, 7, "B", 3)),
        ("model.header", patched(model, 16, "H", 0)),
        ("model.kind", patched(model, 18, "H", 16)),
        ("model.feature_index", patched(model, 20, "B", 5)),
        ("model.jump", patched(model, 21, "B", 0)),
        ("model.jump", patched(model, 21, "B", 255)),
        ("model.leaf", patched(model, 20 + 4 * 2 + 1, "B", 255)),
        ("model.leaf", patched(model, leaf, "H", words)),
        ("model.leaf", patched(model, len(model) - 2, "H", 0)),
        ("model.trees", patched(model, record, "H", nodes + 1)),
        ("model.trees", patched(model, record + 4, "H", 0)),
    ):
        yield reason, with_model(other)
    three = [{"f": name, "c": 0} for name in ("mean", "std", "range")]
    tree = (0, 7, (1, -9, 0, 2), 1)
    for reason, link, base, classes in (("model.overflow", 2, 1 << 29, 2), ("model.outputs", 3, 0, 1)):
        spec = {"family": "trees", "section": "model", "n_classes": classes}
        other = forests.sums([tree], link, base=(base,))
        yield reason, with_model(other, model=spec, features=three, rules=[])
    yield "golden.size", with_golden(golden + bytes(2))
    yield "golden.features", with_golden(flipped(golden, -2))
    yield "golden.features", with_golden(flipped(golden, -39))  # of the raw window
    yield "golden.scores", with_golden(flipped(golden, 2 * 5 * 2 + 1))
    yield "golden.scores", with_golden(patched(golden, 20, "i", 99))
    yield from linear_models()


def linear_models() -> Iterator[tuple[str, bytes]]:
    model = linears.linear([700], [(15, [-9])] * 5)
    for reason, other, more in (
        ("model.truncated", model[:7], {}),
        ("model.truncated", model[:-2], {}),
        ("model.extended", model + bytes(4), {}),
        ("model.magic", tiny_bundle.forest(5, 2, 2), {}),
        ("model.version", patched(model, 4, "B", 2), {}),
        ("model.header", patched(model, 5, "B", 31), {}),
        ("model.header", patched(model, 12, "H", 31), {}),
        ("model.schema", linears.linear([700], [(15, [-9])] * 6), {}),
        ("model.schema", linears.linear([7, 8, 9], [(15, [-9, 9, 9])] * 5), {}),
        ("model.overflow", patched(model, 8, "i", 1 << 29), {}),
        ("model.overflow", patched(model, 12, "H", 0), {"weight": 16384}),
        ("model.outputs", model, {"output": "value"}),
        ("golden.scores", model, {}),
    ):
        if "weight" in more:
            other = patched(other, 14, "h", more.pop("weight"))
        yield reason, with_model(other, model=_of("model", family="linear", **more)["model"])
    yield "bundle.schema.model", with_model(model, model=_of("model", family="linear", input="window")["model"])


def _of(key: str, **changes: Any) -> dict[str, Any]:
    return {key: {**tiny_bundle.manifest()[key], **changes}}


def _first(key: str, **changes: Any) -> dict[str, Any]:
    entries = [dict(entry) for entry in tiny_bundle.manifest()[key]]
    entries[0].update(changes)
    return {key: entries}


def _guard(**changes: Any) -> dict[str, Any]:
    return {"guard": {"gap_ms": 200, "channels": [{"lo_raw": -20000, "hi_raw": 20000} | changes] * 2}}


SETTINGS: tuple[tuple[str, dict[str, Any]], ...] = (
    # it is sound, but not for this board
    ("bundle.board", {"boards": ["another"]}),
    ("bundle.arch", {"arch": ["another"]}),
    ("bundle.device", {"devices": ["00112233"]}),
    ("bundle.runtime", {"min_runtime": [99, 0]}),
    ("bundle.clock", {"expires": {"at": NOW_S}}),
    ("slots.rollback", {"release": FLOOR - 1}),
    ("slots.rollback", {"release": 0}),
    # another schema
    ("bundle.schema.sensewell", {"sensewell": 2}),
    ("bundle.schema.name", {"name": ""}),
    ("bundle.schema.version", {"version": 0}),
    ("bundle.schema.release", {"release": "5"}),
    ("bundle.schema.rate_hz", {"rate_hz": 0}),
    ("bundle.schema.boards", {"boards": "*"}),
    ("bundle.schema.boards", {"boards": []}),
    ("bundle.schema.min_runtime", {"min_runtime": [1]}),
    ("bundle.schema.arch", {"arch": [1]}),
    ("bundle.schema.devices", {"devices": []}),
    ("bundle.schema.expires", {"expires": {"at": -1}}),
    ("bundle.schema.channels", _first("channels", unit=7)),
    ("bundle.schema.channels", {"channels": []}),
    ("bundle.schema.guard", {"guard": {"channels": [{}]}}),
    ("bundle.schema.bad_samples", {"bad_samples": {"policy": "perhaps"}}),
    ("bundle.schema.condition", {"condition": {"normalise": [{}]}}),
    ("bundle.schema.window", _of("window", hop=17)),
    ("bundle.schema.derived", {"derived": {}}),
    ("bundle.schema.features", {"features": []}),
    ("bundle.schema.labels", {"labels": ["x" * 33]}),
    ("bundle.schema.model", _of("model", family="oracle")),
    ("bundle.schema.model", _of("model", section="elsewhere")),
    ("bundle.schema.rules", _first("rules", on={"channel": 2})),
    ("bundle.schema.rules", _first("rules", clear=15001)),
    ("bundle.schema.arbiter", _of("arbiter", smooth_n=2)),
    ("bundle.schema.golden", {"golden": {"section": "golden", "rows": 2, "windows": 0}}),
    ("bundle.schema.probation", {"probation": {"windows": 0}}),
    ("bundle.schema bundle.schema.golden", {"golden": {"section": [], "rows": 2, "windows": 1}}),
    # settings that make no sense to a station
    ("guard.b", {"guard": {"disagree": [{"a": 0}]}}),
    ("guard.range", _guard(lo_raw=20000)),
    ("guard.saturation", _guard(sat_lo_raw=5, sat_hi_raw=5)),
    ("guard.stuck_n", _guard(stuck_n=1)),
    ("guard.constant", _guard(constant_lo_raw=1)),
    ("guard.disagree", {"guard": {"disagree": [{"a": 0, "b": 0, "limit_raw": 5}]}}),
    ("condition.filters", {"condition": {"filters": [{"kind": "median", "n": 4}] * 2}}),
    ("condition.normalise", {"condition": {"normalise": [{"gain_q12": 1 << 20}] * 2}}),
    ("features.unknown", _first("features", f="magic")),
    ("features.channel", _first("features", c=9)),
    ("features.parameter", _first("features", k=9)),
    ("features.derived", {"derived": [{"norm": [0]}]}),
)  # fmt: skip


# -- bytes ------------------------------------------------------------------------------------------------------------
def manifest_of(data: bytes) -> bytes:
    return data[56 : 56 + int.from_bytes(data[8:12], "little")]


def numbers_of(one: bytes) -> tuple[int, int]:
    """r and s of a sound DER."""
    end = 4 + one[3]
    return int.from_bytes(one[4:end], "big"), int.from_bytes(one[end + 2 :], "big")


def longer(one: bytes) -> bytes:
    """A sound DER with a zero byte too many before s."""
    at = 4 + one[3]  # of s
    return b"\x30" + bytes([one[1] + 1]) + one[2:at] + b"\x02" + bytes([one[at + 1] + 1]) + b"\0" + one[at + 2 :]
