"""The trust root on the board's flash: two files, written one after the other, of which the newest whole one counts.

A cut at any moment leaves the one before, or the new one. Afterwards both hold the same: flash that forgets a bit does
not bring back keys that were revoked. Each file is a trust root (trust.py) and the SHA-256 of it, which tells flash
that has forgotten a bit from a trust root that says something else. Knows nothing of bundles.
"""

import hashlib
import os

from sensewell import trust
from sensewell.refusal import Refused

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

FOLDER = "/trust"
_FILES = const(("/a", "/b"))
_DIGEST_BYTES = const(32)


def stored(folder=FOLDER):
    """The Trust that this board has; None: it was never given one, or no file of it is whole."""
    return _best(folder)[1]


def store(data, folder=FOLDER):
    """Take the trust root file `data`, if it may follow the one that is there (trust.accept, its refusals); its Trust.

    The first one is taken as it comes: the wire that brings it is all there is to believe.
    """
    place, old = _best(folder)
    new = trust.accept(data, old)
    try:
        os.mkdir(folder)
    except OSError:
        pass
    for path in _FILES if place < 0 else (_FILES[1 - place], _FILES[place]):
        with open(folder + path, "wb") as file:
            file.write(data)
            file.write(hashlib.sha256(data).digest())
        if _whole(folder + path) != data:
            raise Refused("trust.unwritten", folder + path)
    return new


def _best(folder):
    # (which of the two files, its Trust): of whole ones the newer; (-1, None) where there are none
    best = (-1, None)
    for place in range(2):
        try:
            data = _whole(folder + _FILES[place])
        except Refused:  # it is not there, or cannot be read
            continue
        if data is not None:
            found = trust.Trust(data)
            if best[1] is None or found.version > best[1].version:
                best = (place, found)
    return best


def _whole(path):
    # the trust root in the file, None if it is not whole
    data = trust.read(path)
    body = data[:-_DIGEST_BYTES]
    if len(data) <= _DIGEST_BYTES or hashlib.sha256(body).digest() != data[-_DIGEST_BYTES:]:
        return None
    return body
