"""What a power cut may hit: for each thing done to the slots, how the board stands before, and what may be active then.

A scenario: before(slots) brings a board there, act(slots) is cut. Then come the versions that may be active afterwards,
0 = none is; the last one is if nothing is cut. At last those that may be besides while the next deploy is on its way,
because a bundle on probation gives way to it. Versions stand for bundles, see bundle_of.
"""

import os

from sensewell import command
from sensewell.slots import Slots
from world import bundle, install, update

A, B, C, D, E = 1, 2, 3, 4, 5
_SIZES = (0, 3000, 2100, 5000, 2500, 1500)
_made = {}


def bundle_of(version):
    if version not in _made:
        _made[version] = bundle(version, _SIZES[version])
    return _made[version]


def _confirmed(slots, *versions):
    for version in versions:
        update(slots, bundle_of(version))
        slots.boot("power")
        slots.confirm()


def _nothing(slots):
    pass


def _one(slots):
    _confirmed(slots, A)


def _two(slots):
    _confirmed(slots, A, B)


def _arrived(slots):
    _two(slots)
    install(slots, bundle_of(C))


def _probation(slots):
    _arrived(slots)
    slots.switch(9)  # more tries than there will be power cuts
    slots.boot("power")


def _last_try(slots):
    _arrived(slots)
    slots.switch(1)
    slots.boot("power")


def _first_on_probation(slots):
    install(slots, bundle_of(A))
    slots.switch(9)
    slots.boot("power")


def _by_hand(slots):
    os.mkdir("/slot")
    for name, version in (("a", A), ("b", B)):
        with open("/slot/%s.swb" % name, "wb") as file:
            file.write(bundle_of(version))


def _install(slots):
    install(slots, bundle_of(C))


def _whole_update(slots):
    update(slots, bundle_of(C))
    slots.boot("power")
    slots.confirm()


def _first(slots):
    update(slots, bundle_of(A))


def _first_pin(slots):
    command.pin(slots)
    command.unpin(slots)


def _floor(slots):
    command.reset_floor(slots, 1, lambda message: None)


def _adopt(slots):
    # without a journal only a new start sees files that were put there
    Slots(slots.prove).boot("power")


# name: before, act, what may be active, between
SCENARIOS = {
    "first": (_nothing, _first, (0, A), ()),
    "second": (_one, _install, (A,), ()),
    "install": (_two, _install, (B,), ()),
    "update": (_two, _whole_update, (B, C), ()),
    "over_probation": (_probation, lambda slots: update(slots, bundle_of(D)), (B, C, D), ()),
    "over_first_probation": (_first_on_probation, lambda slots: update(slots, bundle_of(D)), (A, D), ()),
    "switch": (_arrived, lambda slots: slots.switch(), (B, C), ()),
    "start": (_probation, lambda slots: slots.boot(), (C,), (B,)),
    "last_start": (_last_try, lambda slots: slots.boot(), (C, B), ()),
    "confirm": (_probation, lambda slots: slots.confirm(), (C,), (B,)),
    "give_up": (_probation, lambda slots: slots.give_up("probation.quality"), (C, B), ()),
    "roll_back": (_two, command.roll_back, (B, A), ()),
    "pin": (_probation, _first_pin, (C,), (B,)),
    "adopt": (_by_hand, _adopt, (B,), ()),
    "floor": (_two, _floor, (B,), ()),
}
# these take few operations: every pair of cuts is tried
SHORT = ("switch", "start", "last_start", "confirm", "give_up", "roll_back", "pin", "adopt", "floor")
# FAT writes a directory, its entries and its list of blocks without a sync between them, and sectors in place. On a
# device that lands them in another order, a cut while the folder and the journal are made may leave these broken; on
# one that leaves noise in a sector nothing is safe. That is FAT, not the slots.
FAT_IN_ORDER = ("first", "adopt")
