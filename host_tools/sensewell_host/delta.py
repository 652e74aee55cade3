"""What of a bundle must travel to a board that holds another one: sections that are the same are copied there.

Knows the container (device/sensewell/bundle.py) and no board.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

PIECE = 8192  # what a broken wire costs at most
WINDOW_BITS = 10  # of compressed data: a board needs 2**10 bytes to undo it
_ALIGNMENT = 8  # of sections, and of all writes here


@dataclass(frozen=True)
class Part:
    """The bytes from `at` to `end` of the new bundle; `source`: where in the old one they are, None: nowhere."""

    at: int
    end: int
    source: int | None


def parts(content: bytes, old_head: bytes | None, at: int = 0) -> list[Part]:
    """How to come by the bundle `content` from the byte `at` on, in pieces, in order.

    old_head: header, manifest and signatures of a bundle that the board holds, verified; None: it holds none.
    """
    there = {digest: (start, size) for start, size, digest in _sections(old_head)} if old_head else {}
    found: list[Part] = []

    def add(start: int, end: int, source: int | None) -> None:
        for begin in range(start, end, PIECE):
            if begin + PIECE > at:
                first = max(begin, at)
                found.append(Part(first, min(begin + PIECE, end), None if source is None else source + first - start))

    done = 0
    for start, size, digest in sorted(_sections(content)):
        if size and there.get(digest, (0, 0))[1] == size:
            add(done, start, None)
            add(start, start + size, there[digest][0])
            done = start + size
    add(done, len(content), None)
    return [part for part in found if part.at < part.end]


def prefix(content: bytes, digests: Collection[bytes | None]) -> dict[int, bytes]:
    """{bytes: SHA-256} of those beginnings of `content` that are among `digests`."""
    state, found = hashlib.sha256(), {}
    for end in [*range(_ALIGNMENT, len(content), _ALIGNMENT), len(content)]:
        state.update(content[(end - 1) // _ALIGNMENT * _ALIGNMENT : end])
        if (digest := state.copy().digest()) in digests:
            found[end] = digest
    return found


def packed(data: bytes) -> bytes | None:
    """`data` as raw deflate, None where that is not worth the while."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -WINDOW_BITS)
    small = packer.compress(data) + packer.flush()
    return small if len(small) < 0.9 * len(data) else None


def _sections(head: bytes) -> Iterator[tuple[int, int, str]]:
    # (where in the file, bytes, SHA-256) of each section
    from sensewell_host.pack import HEADER_BYTES, signatures_of

    size = struct.unpack_from("<I", head, 8)[0]
    end = HEADER_BYTES + size
    body = end + -end % _ALIGNMENT + len(signatures_of(head))
    for entry in json.loads(head[HEADER_BYTES:end])["sections"].values():
        yield body + entry["offset"], entry["bytes"], entry["sha256"]
