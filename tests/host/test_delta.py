"""What of a bundle travels: put together again from its parts it is the same, byte for byte, wherever one goes on."""

from __future__ import annotations

import hashlib
import random
import zlib
from typing import Any

import pytest
import tiny_bundle
from sensewell_host import delta


def bundle_of(seed: int = 1, golden_seed: int = 5, trees: int = 20, **changes: Any) -> bytes:
    manifest = tiny_bundle.manifest(**changes)
    model = tiny_bundle.forest(5, 2, trees, 7, seed)
    golden = tiny_bundle.golden(manifest, model, 2, 1, golden_seed)
    return bytes(tiny_bundle.write(manifest, {"model": model, "golden": golden}))


OLD = bundle_of()


@pytest.mark.parametrize(
    ("new", "most_sent"),
    [
        (OLD, 1600),
        (bundle_of(golden_seed=6), 1700),
        (bundle_of(what="a longer word for what it is"), 1700),  # all that follows has moved
        (bundle_of(seed=2), 1 << 30),
        (bundle_of(trees=3), 1 << 30),
    ],
)
def test_it_is_put_together_again(new: bytes, most_sent: int) -> None:
    for at in (0, 8, 56, 1504, delta.PIECE, len(new) // 2 & -8, len(new) - 8, len(new)):
        made = bytearray(new[:at])
        sent = 0
        for part in delta.parts(new, OLD, at):
            assert part.at == len(made) and 0 < part.end - part.at <= delta.PIECE
            if part.source is None:
                made += new[part.at : part.end]
                sent += part.end - part.at
            else:
                made += OLD[part.source : part.source + part.end - part.at]
        assert made == new and sent <= most_sent
    assert sum(part.end - part.at for part in delta.parts(new, None)) == len(new)


def test_beginnings_are_recognised() -> None:
    def digest(n: int) -> bytes:
        return hashlib.sha256(OLD[:n]).digest()

    there = {digest(4096), digest(len(OLD)), digest(4099), hashlib.sha256(b"?").digest(), None}
    assert delta.prefix(OLD, there) == {4096: digest(4096), len(OLD): digest(len(OLD))}


def test_what_does_not_shrink_is_sent_as_it_is() -> None:
    assert delta.packed(random.Random(1).randbytes(1000)) is None
    small = delta.packed(bytes(4000))
    assert small and zlib.decompress(small, -delta.WINDOW_BITS) == bytes(4000)
