"""Installing a bundle: it streams into the idle slot, is read back, verified and proven there; the active one runs on.

Knows files and slots; neither wires nor what a bundle is. The steps: begin(), write() or any other way of writing the
file, commit(); then Slots.switch(). After each of them a power cut leaves what was, and begin() starts anew or goes on.
"""

import os

from sensewell.journal import NONE, close, remove
from sensewell.refusal import Refused
from sensewell.slots import digest_of, why

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

_WRITING = const(1)  # states, see slots.STATES
_WHOLE = const(2)
_CONFIRMED = const(4)
_REFUSED = const(5)

_SAFE = const(2)
_FLUSH = const(16384)  # so much of what was written may be lost to a power cut
_BLOCK = const(4096)
_SPARE = const(3)  # blocks that the file system needs for itself


class Install:
    """For one bundle, known by `size` in bytes and its SHA-256 `digest`, 32 bytes. Needs about 2 KiB of RAM."""

    def __init__(self, slots, size, digest):
        self._slots = slots
        self._size = size
        self._digest = digest
        self._file = None
        self.path = ""

    def is_there(self):
        """Is it in the idle slot already, arrived or even confirmed before? Then commit() is all that it takes."""
        return self._is(self._target(), (_WHOLE, _CONFIRMED))

    def partial(self):
        """(bytes, their SHA-256) of this bundle that have arrived before; (0, None) where none have."""
        path = self.arriving()
        if path:
            size, have = digest_of(path)
            if 0 < size <= self._size:
                return size, have
        return 0, None

    def arriving(self):
        """Where this bundle has begun to arrive, None: nowhere."""
        to = self._target()
        return self._slots.path_of(to) if self._is(to, (_WRITING,)) else None

    def begin(self, at=0, again=False, twice=False, freed=0):
        """Make the idle slot ready; returns the path to write to.

        at: go on behind so many bytes, all that partial() found; it is for the caller to know that they are right.
        again: take even a bundle that failed on probation here. A bundle on probation gives way, if what it replaced is
        confirmed: that is active again from here on. twice: even beside itself, for other code. freed: so many bytes of
        the slot's other files will be removed before anything is written. Raises
        Refused("slots.pinned"); ("slots.active") if it is the active bundle; ("slots.failed_before"); ("slots.space");
        ("slots.partial") if `at` is not what is there.
        """
        slots = self._slots
        j = slots.journal
        digest = self._digest
        slots.no_pin()
        if not twice and j.active != NONE and not j.flags & _SAFE and j.slots[j.active].digest == digest[:16]:
            if digest_of(slots.path_of(j.active))[1] == digest:
                raise Refused("slots.active", "it is the active bundle")
        others = [one for one in slots.failed() if one != digest[:8]]
        failed = b"".join(others + [bytes(8)])[:24]
        if len(others) < 3 and not again:
            raise Refused("slots.failed_before", "it failed on probation here")
        to = self._target()
        path = slots.path_of(to)
        try:
            here = os.stat(path)[6]
        except OSError:
            here = 0
        arriving = self._is(to, (_WRITING,))
        if at and not (arriving and at == here <= self._size):
            raise Refused("slots.partial", "%d bytes are there" % here)
        free = _free(j.folder) + freed + (0 if at else here & -_BLOCK)
        if free < self._size - at + _SPARE * _BLOCK:
            raise Refused("slots.space", "%d bytes are free, %d must come" % (free, self._size - at))
        if not arriving or failed != j.failed:
            if to == j.active:
                slots.activate(1 - to, 0)
            slot = j.slots[to]
            slot.state = _WRITING
            slot.size = self._size
            slot.digest = digest[:16]
            slot.version = slot.counter = slot.tries = 0
            j.failed = failed
            slots.store()
        if not at:
            remove(path)
        self.path = path
        self._left = self._size - at
        self._since = _FLUSH  # flush at once: on FAT, blocks of a file without an entry are lost for good
        return path

    def write(self, block):
        """The next bytes. Refused("slots.size"), or ("slots.full"), ("slots.write"): then what is there is removed."""
        if len(block) > self._left:
            raise Refused("slots.size", "more than %d bytes" % self._size)
        try:
            if not self._file:
                self._file = open(self.path, "ab")
            self._file.write(block)
            self._left -= len(block)
            self._since += len(block)
            if self._since >= _FLUSH:
                self._file.flush()
                self._since = 0
        except OSError as e:
            self.pause()
            remove(self.path)
            raise Refused("slots.full" if e.args[0] == 28 else "slots.write", str(e))

    def pause(self):
        """Close the file: what was written so far is on flash, and can be gone on with, even after a reset."""
        file = self._file
        self._file = None
        if file:
            close(file)

    def commit(self):
        """Read it back from flash, check its size and SHA-256, prove it: from then on it can be switched to.

        Raises Refused("slots.nothing"); ("slots.size") if bytes are missing: they may still come; ("slots.read");
        ("slots.hash"), ("slots.rollback"), ("slots.memory") or what prove raises: then what arrived is removed.
        """
        self.pause()
        slots = self._slots
        to = self._target()
        slot = slots.journal.slots[to]
        if not self._is(to, (_WRITING, _WHOLE, _CONFIRMED)):
            raise Refused("slots.nothing", "no such bundle is in the idle slot")
        arriving = slot.state == _WRITING
        path = slots.path_of(to)
        size, have = digest_of(path)
        if size < self._size:
            raise Refused("slots.size", "%d of %d bytes" % (size, self._size))
        try:
            if have != self._digest:
                raise Refused("slots.hash")
            version, counter = slots.prove(path)
            if counter < slots.journal.floor:
                raise Refused("slots.rollback", "release counter %d, the floor is %d" % (counter, slots.journal.floor))
        except (Refused, MemoryError, OSError) as e:
            if not isinstance(e, Refused):
                e = Refused(why(e), str(e))
            if arriving and e.reason != "slots.read":
                slot.state = _REFUSED
                slots.note(to, e.reason)
                slots.store()
                remove(path)
            raise e
        if arriving:
            slot.version = version
            slot.counter = counter
            slot.state = _WHOLE
            slots.store()

    def _target(self):
        # The slot for it: the idle one; the active one if it is on probation and what it replaced is confirmed
        slots = self._slots
        j = slots.journal
        if j.active == NONE:
            return int(self._is(1, (_WRITING, _WHOLE)))
        if slots.on_probation and j.slots[1 - j.active].state == _CONFIRMED:
            return j.active
        return 1 - j.active

    def _is(self, slot, states):
        slot = self._slots.journal.slots[slot]
        return slot.state in states and slot.digest == self._digest[:16] and slot.size == self._size


def _free(folder):
    for path in (folder, "/"):  # the folder need not be there yet
        try:
            stat = os.statvfs(path)
            return stat[0] * stat[3] if stat[3] <= stat[2] else 0  # of a full littlefs it may be below zero
        except (OSError, AttributeError):
            pass
    return 1 << 29  # there is no telling
