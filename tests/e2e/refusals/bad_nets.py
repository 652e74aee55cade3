"""Bundles whose network is sound but is not what their manifest says, or is no network. Runs on a PC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nets
import tiny_bundle


def bundle(output: str, spec: dict[str, Any], net: bytes, release: int, average_n: int = 1) -> bytes:
    manifest = nets.manifest("window", output, spec, release=release)
    manifest["golden"] = {"section": "golden", "rows": 0, "windows": 1}
    manifest["arbiter"]["average_n"] = average_n
    return bytes(tiny_bundle.write(manifest, {"model": net, "golden": bytes(72)}))


def networks(release: int) -> Iterator[tuple[str, bytes]]:
    """(reason, bundle), unsigned."""
    classes = nets.classes(32, 2)
    for reason, output, spec, net in (
        ("neural.truncated", "classes", {}, bytes(7)),
        ("neural.magic", "classes", {}, bytes(64)),
        ("model.input", "classes", {}, nets.classes(31, 2)),
        ("model.outputs", "classes", {}, nets.classes(32, 3)),
        ("model.take", "classes", {"take": {**nets.take(2), "of": [0, 2]}}, classes),
        ("model.error", "anomaly", {"error": {}}, nets.autoencoder(32)),
        ("model.give", "value", {"give": {}}, nets.value(32)),
        ("model.edges", "value", {"edges_raw": [700, -500]}, nets.value(32)),
    ):
        yield reason, bundle(output, spec, net, release)
    yield "model.average", bundle("value", {}, nets.value(32), release, 2)
