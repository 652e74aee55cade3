"""Cuts the power at every write and erase while a trust root is stored: the first, the next, the one after that.

Arguments: kind of file system, kind of cut, how many trust roots are there at first. Prints FAIL lines and at last
DONE, cut points.
"""

import sys

from roots import RELEASE, ROOT, root_file
from sensewell import trust_store
from sensewell.refusal import Refused
from world import PowerCut, end, new_flash, start

FILES = (
    root_file(1),
    root_file(1, version=2, keys={1: ROOT, 2: ROOT, 4: RELEASE}),
    root_file(1, 2, version=3, keys={2: ROOT, 5: RELEASE}),
    root_file(2, version=4, keys={2: ROOT, 4: RELEASE, 5: RELEASE}),
)


def version():
    root = trust_store.stored()
    return root.version if root else 0


def points(kind, cut, before):
    """Of storing the file after `before` of them; those that leave something else than the old or the new one fail."""
    flash = new_flash(kind)
    start(flash)
    for data in FILES[:before]:
        trust_store.store(data)
    end()
    snapshot = bytes(flash.data)
    at = 0
    while True:
        at += 1
        flash.data[:] = snapshot
        start(flash)
        flash.ops = 0
        flash.cut_at = at
        flash.cut = cut
        try:
            trust_store.store(FILES[before])
            whole = True
        except PowerCut:
            whole = False
        except OSError:  # of closing a file, behind the cut
            if not flash.port.dead:
                raise
            whole = False
        start(flash)
        try:
            there = version()
            if there not in ((before + 1,) if whole else (before, before + 1)):
                print("FAIL", kind, cut, before, at, "version", there)
            if there == before:
                trust_store.store(FILES[before])
            if version() != before + 1:
                print("FAIL", kind, cut, before, at, "the next deploy left version", version())
        except (OSError, Refused) as error:
            print("FAIL", kind, cut, before, at, repr(error))
        end()
        if whole:
            return at - 1


kind, cut, first = sys.argv[1:]
print("DONE", sum([points(kind, cut, before) for before in range(int(first), len(FILES))]))
