"""Every reason for which a board refuses what is brought to it, with what provokes it; and the crate they travel in.

Runs on a PC and makes bundles, trust roots and signatures byte by byte, as nobody who means well would. What is done
with them on a board is refusing.py's.
"""

from __future__ import annotations

import hashlib
import json
import struct
from array import array
from typing import Any

import tiny_bundle
from bad_bundles import FLOOR, NOW_S, bundles, changed, parts, signed
from bad_roots import STRICTER, TRUST, trust_roots
from lcg import Lcg
from roots import KEYS, signature_by
from sensewell.build.node import compose
from sensewell.policy import Policy
from sensewell.sensor.replay import Replay
from sensewell.trust import Trust
from signer import block

TOO_LARGE = 4 << 20  # for the flash of any board here
_RANDOM = Lcg(3)
ROWS = array("h", [_RANDOM.next(6000) - 3000 for _ in range(80)]).tobytes()

Case = dict[str, Any]
"""name; reason: those allowed, in one text; how: what refusing.py does with it; data: bytes, to be followed by `fill`
zero bytes; good: which bundle must be taken afterwards; and what `how` needs."""


def sound(version: int, trees: int, *by: int) -> bytes:
    manifest = tiny_bundle.manifest(version=version, release=FLOOR)
    model = tiny_bundle.forest(5, 2, trees, seed=version)
    return signed(tiny_bundle.write(manifest, {"model": model, "golden": tiny_bundle.golden(manifest, model)}), *by)


def with_zeros(size: int) -> tuple[bytes, int]:
    """A bundle whose model is so many zero bytes: all but these, and how many there are at its end."""
    manifest, model, golden = parts()
    manifest["model"]["section"] = "zeros"
    whole = signed(tiny_bundle.write(manifest, {"golden": golden, "model": model, "zeros": bytes(size)}))
    return whole[:-size], size


GOODS = {
    "a": sound(11, 3, 4),
    "b": sound(12, 4, 5),
    "c": sound(13, 5, 4, 5),
    "d": sound(14, 3, 4, 5),
}


def everything() -> list[Case]:
    """All the cases, in the order in which a board is to go through them."""
    found: list[Case] = []

    def add(reason: str, how: str = "install", data: bytes = b"", **more: Any) -> None:
        found.append({"name": "", "reason": reason, "how": how, "data": data, "fill": 0, **more})

    for reason, data in bundles():
        add(reason, data=data)
    expires = signed(changed(expires={"at": NOW_S, "without_clock": "run"}))
    add("bundle.expired", data=expires, now_s=NOW_S)
    add("bundle.expired", data=expires, now_s=NOW_S + 10**8)
    rows = [["c0", "m/s2"], ["c1", "deg/s"]]
    add("bundle.channels", data=signed(changed()), channels=rows)
    add("bundle.channels", data=signed(changed()), channels=rows[::-1])
    add("trust.missing", "nobody", data=signed(changed()))
    for reason, data in trust_roots():
        add(reason, "root", data)
    good = signed(changed(version=3))
    for reason in (
        "slots.active", "slots.pinned", "slots.failed_before", "slots.partial", "slots.nothing", "slots.size",
        "slots.hash", "slots.full", "slots.write", "slots.journal",
    ):  # fmt: skip
        add(reason, reason.partition(".")[2], good if reason != "slots.failed_before" else signed(changed(version=4)))
    add("slots.size", "larger", good)
    add("slots.space", data=good, fill=TOO_LARGE)
    data, fill = with_zeros(280_000)
    add("bundle.memory", data=data, fill=fill)
    add("bundle.missing", "read", good)
    for kib in (1, 2, 3, 4, 5, 6):
        add("bundle.memory slots.memory signature.memory memory", "memory", good, kib=kib)
    for number, case in enumerate(found):
        case["good"] = "ba"[number % 2]
    found[-1]["good"] = "c"
    add("-", "root", STRICTER, good="d")
    plain = changed()
    by_4, by_5 = [signature_by(number, tiny_bundle.digest_of(plain)) for number in (4, 5)]
    for reason, data in (
        ("signature.too_few", signed(plain, 4)),
        ("signature.too_few", tiny_bundle.signed(plain, block((KEYS[4], by_4), (KEYS[4], by_4)))),
        ("signature.unknown_key", signed(plain, 4, 6)),
        ("signature.role", signed(plain, 4, 1)),
        ("signature.wrong", tiny_bundle.signed(plain, block((KEYS[4], by_4), (KEYS[5], by_4)))),
        ("signature.wrong", tiny_bundle.signed(plain, block((KEYS[4], by_5), (KEYS[5], by_5)))),
    ):
        add(reason, data=data, good="cd"[len(found) % 2])
    seen: dict[str, int] = {}
    for case in found:
        first = case["reason"].split()[0]
        seen[first] = seen.get(first, 0) + 1
        case["name"] = f"{first}-{seen[first]}"
        if case["how"] in ("root", "memory"):
            case["name"] += "-" + case["how"]
    return found


def crate(cases: list[Case]) -> bytes:
    """Records of 4 bytes, the length of a JSON text; the text; so many bytes as it says in `bytes`."""
    out = bytearray()

    def put(head: dict[str, Any], data: bytes) -> None:
        state = hashlib.sha256(data)
        state.update(bytes(head.get("fill", 0)))
        text = json.dumps({**head, "bytes": len(data), "sha256": state.hexdigest()}).encode()
        out.extend(struct.pack("<I", len(text)) + text + data)

    put({"name": "trust"}, TRUST)
    put({"name": "rows"}, ROWS)
    for name, data in GOODS.items():
        put({"name": name, "decides": decides(data)}, data)
    for case in cases:
        put({key: value for key, value in case.items() if key != "data"}, case["data"])
    return bytes(out)


def decides(data: bytes) -> list[list[Any]]:
    """What a board must decide by this bundle: label, source, confidence, quality of each decision."""
    made: list[list[Any]] = []

    def note(d: Any) -> None:
        made.append([d.label, d.source, d.confidence_pct, d.quality_pct, d.reason])

    node = compose(Replay(ROWS, 2, 20), bytes(data), policy=Policy(trust=Trust(TRUST)), outputs=(note,))
    node.rate_hz = None
    node.pipeline.deadline_us = 0
    node.run()
    assert any(one[1] == "model" for one in made)
    return made
