"""Two slots for bundles, one active: what runs at a start, who is confirmed, who gives way; one of them stays sound.

Knows files and the journal. What makes a bundle sound it is told by `prove`, how one does by probation.py and by
build/start.py; how one arrives is install.py's, what people command command.py's.

| state     | the slot holds                            | leads to                                                     |
|-----------|-------------------------------------------|--------------------------------------------------------------|
| empty     | nothing                                   | writing: Install.begin()                                     |
| writing   | a bundle that is arriving                 | whole, refused: Install.commit()                             |
| whole     | a bundle that was proven, not confirmed   | probation: switch(), or a return to it; writing              |
| probation | the active bundle, which must show itself | confirmed: confirm(), pin(); refused: give_up(), refuse(),   |
|           |                                           | no tries left; whole: switch(); writing                      |
| confirmed | a bundle that did well                    | refused: refuse(); writing, while it is idle                 |
| refused   | what may not run, but in safe mode        | writing; whole: leave_safe()                                 |

Every step is one record of the journal, written before anything follows from it. Whichever record a power cut leaves in
force, what it says of the files is true or found out at the next start, when the active file's digest is checked. The
bundle that is returned to is the other one, if it is confirmed or whole. If it is not, one that did badly stays in safe
mode, where only its rules may decide; so does a confirmed one that started too often without being confirmed again.
Safe mode is left by a switch or by command.

The floor rises to a bundle's release counter when it is first confirmed. It holds for what comes in; what is in a slot
came in above it, and may be returned to. Without a journal (both files lost, or bundles were put here by hand) the
bundles are proven: the one with the higher counter, then version, then in slot a, goes on probation, the other is kept
to return to, and the floor is the lower of their counters.
"""

import hashlib

from sensewell.journal import NONE, Journal
from sensewell.refusal import Refused

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

STATES = ("empty", "writing", "whole", "probation", "confirmed", "refused")
_WHOLE = const(2)
_PROBATION = const(3)
_CONFIRMED = const(4)
_REFUSED = const(5)

_PINNED = const(1)  # flags
_SAFE = const(2)
_TRIES = const(3)  # starts on probation, unless switch() is told otherwise
_STARTS = const(8)  # of a confirmed bundle in a row, none of which went well


class Slots:
    """The slots a.swb and b.swb in `folder`. prove(path): (version, release counter) of the bundle there, or Refused.

    path: what to run, after boot() and all that returns it; None = nothing is fit to. safe: only its rules may decide.
    why: "confirmed", "probation", or the reason why it is safe mode or nothing. Methods raise Refused("slots....");
    Refused("slots.journal") where the flash does not take the record: then all is as before, or as it was to be.
    """

    def __init__(self, prove, folder="/slot"):
        self.prove = prove
        self._counted = self.safe = False
        self.path = None
        self.journal = Journal(folder)
        self.why = "slots.empty"
        self.journals = self.journal.load()
        if not self.journals:
            self._recover()
        self._choose()

    def boot(self, reset="crash"):
        """Call it once at each start, before anything of a bundle runs. Returns `path`.

        reset: how the last run ended: "power", "watchdog", "crash", or "wake" from a sleep that was meant, which is no
        start at all. A start is counted before it is tried; confirm() and stopped() take it back.
        """
        j = self.journal
        if reset == "wake":
            return self.path
        if self.path and not self.safe:
            active = j.slots[j.active]
            if active.state == _CONFIRMED:
                j.starts += 1
                if j.starts > _STARTS:
                    j.flags |= _SAFE
                    self.note(j.active, "slots.starts")
            elif active.tries:
                active.tries -= 1
            else:
                self._return("probation." + reset, _TRIES - 1)
            self._counted = True
            counted = self._try_to_store()
            self._choose()
            if not counted and self.on_probation:
                self.safe = True  # a try that cannot be counted is not taken
                self.why = "slots.journal"
        while self.path:
            size, digest = digest_of(self.path)
            active = j.slots[j.active]
            if size == active.size and digest[:16] == active.digest:
                break
            self.refuse("slots.missing" if size < 0 else "slots.hash")
        return self.path

    def refuse(self, reason):
        """What boot() gave is not fit to run, as its digest or its own proof shows. Returns `path`, the next to try.

        The same bundle may be installed again. With nothing to return to all stays as it is, to be tried at the next
        start, and `path` is None.
        """
        j = self.journal
        if self.path:
            news = j.cause != reason or j.cause_of != j.active
            self.note(j.active, reason)
            if j.slots[1 - j.active].state in (_WHOLE, _CONFIRMED):
                j.slots[j.active].state = _REFUSED
                j.flags = 0  # no pin keeps what is not sound
                self.activate(1 - j.active, _TRIES - 1)
                self._try_to_store()
                self._choose()
            else:
                if news:
                    self._try_to_store()
                self.path = None
                self.why = reason
        return self.path

    def confirm(self):
        """The active bundle does well: no try is used up by this start any more. Writes only what is new."""
        j = self.journal
        self._counted = False
        if j.active != NONE and not j.flags & _SAFE and (self.on_probation or j.starts):
            j.starts = 0
            self.vouch()
            self.store()

    def stopped(self):
        """The run was ended as it should (Ctrl-C, a deploy): the start that boot() counted does not count."""
        j = self.journal
        if self._counted and not j.flags & _SAFE:
            self._counted = False
            if self.on_probation:
                j.slots[j.active].tries += 1
            elif j.starts:
                j.starts -= 1
            self.store()

    def give_up(self, cause):
        """The active bundle failed on probation, for `cause`: it is remembered, and what it replaced comes back.

        Returns `path`, to be run after a reset; in safe mode where there is nothing to return to. Raises
        Refused("slots.confirmed") where it is not on probation.
        """
        if not self.on_probation:
            raise Refused("slots.confirmed")
        self._return(cause, _TRIES)
        return self.store()

    def switch(self, tries=_TRIES):
        """Make the idle slot the active one: on probation, for `tries` starts, if it never was confirmed.

        Returns `path`, to be run after a reset. Refused("slots.pinned", "slots.nothing").
        """
        self.no_pin()
        j = self.journal
        to = 1 - j.active if j.active != NONE else 0 if j.slots[0].state == _WHOLE else 1
        if j.slots[to].state not in (_WHOLE, _CONFIRMED):
            raise Refused("slots.nothing", "the idle slot is " + STATES[j.slots[to].state])
        if self.on_probation:
            j.slots[j.active].state = _WHOLE
        self.activate(to, tries)
        return self.store()

    @property
    def on_probation(self):
        j = self.journal
        return j.active != NONE and j.slots[j.active].state == _PROBATION

    # -- for install.py and command.py ---------------------------------------------------------------------------------
    def path_of(self, slot):
        return "%s/%s.swb" % (self.journal.folder, "ab"[slot])

    def note(self, slot, cause):
        self.journal.cause_of = slot
        self.journal.cause = cause

    def failed(self):
        """The first 8 bytes of the digests of bundles that failed on probation; zero bytes for none."""
        return [self.journal.failed[at : at + 8] for at in (0, 8, 16)]

    def no_pin(self):
        if self.journal.flags & _PINNED:
            raise Refused("slots.pinned", "the active bundle shall stay")

    def vouch(self):
        # The floor rises once: where root keys set it back, what jumped too far runs on and must not raise it again
        active = self.journal.slots[self.journal.active]
        if active.state != _CONFIRMED and active.counter > self.journal.floor:
            self.journal.floor = active.counter
        active.state = _CONFIRMED

    def activate(self, slot, tries):
        j = self.journal
        j.active = slot
        j.flags &= ~_SAFE
        j.starts = 0
        if j.slots[slot].state == _WHOLE:
            j.slots[slot].state = _PROBATION
            j.slots[slot].tries = tries

    def store(self):
        """One step, as one record. Returns `path`."""
        if not self._try_to_store():
            self.journals = self.journal.load()
            self._choose()
            raise Refused("slots.journal", "the flash does not take it")
        self._choose()
        return self.path

    # -- inside --------------------------------------------------------------------------------------------------------
    def _recover(self):
        # No journal. What prove() says of the files is all there is to go by.
        j = self.journal
        found = []
        self.note(NONE, "slots.adopted")
        for n in (0, 1):
            path = self.path_of(n)
            slot = j.slots[n]
            size, digest = digest_of(path)
            if size < 0:
                continue
            slot.size = size
            slot.digest = digest[:16]
            try:
                slot.version, slot.counter = self.prove(path)
                slot.state = _WHOLE
                found.append((slot.counter, slot.version, -n))
            except (Refused, MemoryError, OSError) as e:
                slot.state = _REFUSED
                self.why = why(e)
                self.note(n, self.why)
        if found:
            j.floor = min(found)[0]
            self.activate(-max(found)[2], _TRIES)
            self._try_to_store()

    def _return(self, cause, tries):
        # The active bundle failed on probation
        j = self.journal
        active = j.slots[j.active]
        active.state = _REFUSED
        self.note(j.active, cause)
        others = [one for one in self.failed() if one != active.digest[:8]]
        j.failed = b"".join([active.digest[:8]] + others)[:24]
        if j.slots[1 - j.active].state in (_WHOLE, _CONFIRMED):
            self.activate(1 - j.active, tries)
        else:
            j.flags |= _SAFE

    def _choose(self):
        j = self.journal
        self.safe = bool(j.flags & _SAFE)
        self.path = None
        if j.active != NONE:
            self.path = self.path_of(j.active)
            self.why = j.cause if self.safe else STATES[j.slots[j.active].state]

    def _try_to_store(self):
        try:
            self.journal.store()
            return True
        except OSError:
            return False


def why(error):
    """The name for what `prove` raised."""
    return getattr(error, "reason", "slots.memory" if isinstance(error, MemoryError) else "slots.read")


def digest_of(path):
    """(bytes, SHA-256) of a file, read in small pieces; (-1, b"") where it cannot be read, not even the second time."""
    block = bytearray(512)
    view = memoryview(block)
    for _ in (0, 1):
        try:
            state = hashlib.sha256()
            size = 0
            with open(path, "rb") as file:
                while True:
                    n = file.readinto(block)
                    if not n:
                        return size, state.digest()
                    state.update(view[:n])
                    size += n
        except OSError:
            pass
    return -1, b""
