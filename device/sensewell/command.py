"""What people and hosts command the slots, and what they want to know of them. No node needs it while it runs."""

from sensewell.journal import NONE
from sensewell.refusal import Refused
from sensewell.slots import STATES

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

_WHOLE = const(2)  # states, see slots.STATES
_CONFIRMED = const(4)
_PINNED = const(1)
_SAFE = const(2)


def roll_back(slots):
    """Go back to the bundle in the other slot. Returns its path, to run after a reset.

    Refused("slots.pinned", "slots.nothing").
    """
    if slots.journal.active == NONE:
        raise Refused("slots.nothing", "no bundle is active")
    return slots.switch()


def pin(slots):
    """Keep the active bundle until unpin(): nothing is installed or switched to. Whoever pins it vouches for it."""
    j = slots.journal
    if j.active == NONE:
        raise Refused("slots.nothing", "no bundle is active")
    if j.flags & _SAFE:
        raise Refused("slots.safe", "only its rules decide")
    slots.vouch()
    j.flags |= _PINNED
    slots.store()


def unpin(slots):
    slots.journal.flags &= ~_PINNED
    slots.store()


def leave_safe(slots):
    """Try again what ended in safe mode, on probation unless it was confirmed. Returns its path."""
    j = slots.journal
    if j.flags & _SAFE:
        if j.slots[j.active].state != _CONFIRMED:
            j.slots[j.active].state = _WHOLE
        slots.activate(j.active, 3)
        slots.store()
    return slots.path


def floor_message(slots, floor):
    """What the root keys must sign to set the floor to `floor` on a board in this very state, 16 bytes.

    "SWFR", resets so far, the floor as it is, `floor`. The caller binds the board's identity in.
    """
    j = slots.journal
    return b"SWFR" + b"".join([number.to_bytes(4, "little") for number in (j.resets, j.floor, floor)])


def reset_floor(slots, floor, authorise):
    """Set the floor, even lower. authorise(message) must raise Refused unless root keys signed floor_message().

    A signature serves once: every reset changes the message.
    """
    authorise(floor_message(slots, floor))
    slots.journal.floor = floor
    slots.journal.resets += 1
    slots.store()


def signed_by_root(block):
    """An `authorise` for reset_floor: the board's own root keys must have signed, for this board and this very state.

    block: signatures (signature.py) of the SHA-256 of the board's unique id in hex and the message.
    """

    def authorise(message):
        from hashlib import sha256

        from sensewell.policy import device_id
        from sensewell.trust import ROOT
        from sensewell.trust_store import stored

        root = stored()
        if root is None:
            raise Refused("trust.missing")
        root.check(ROOT, sha256((device_id() or "").encode() + message).digest(), block)

    return authorise


def status(slots):
    """All that is known, as a dict of plain values."""
    j = slots.journal
    both = {}
    for n in (0, 1):
        slot = j.slots[n]
        both["ab"[n]] = {
            "state": STATES[slot.state],
            "tries": slot.tries,
            "bytes": slot.size,
            "version": slot.version,
            "counter": slot.counter,
            "sha256": slot.digest.hex(),
        }
    return {
        "active": "ab"[j.active] if j.active != NONE else None,
        "slots": both,
        "pinned": bool(j.flags & _PINNED),
        "safe": slots.safe,
        "why": slots.why,
        "starts": j.starts,
        "floor": j.floor,
        "floor_resets": j.resets,
        "refused": j.cause,
        "refused_slot": "ab"[j.cause_of] if j.cause_of != NONE else None,
        "failed": [one.hex() for one in slots.failed() if any(one)],
        "records": j.sequence,
        "journals": slots.journals,
    }
