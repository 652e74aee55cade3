"""What a flash does besides losing its power: it fails to write or to read, is full, or forgets a bit.

Arguments: kind of file system, one of the functions below without its underscore, a stride. Prints FAIL lines and at
last DONE, cases, and what the function has to say.
"""

import gc
import os
import sys

import vfs
from scenarios import SCENARIOS, A, B, C, D, E, bundle_of
from sensewell import command
from sensewell.refusal import Refused
from world import PowerCut, active, end, free, install, new_flash, start, update

failures = []


def fail(*what):
    failures.append(what)
    print("FAIL", *what)


def check(good, *what):
    if not good:
        fail(*what)


def prepared(kind, before, blocks=0):
    """A flash on which `before` was done, and its image."""
    flash = new_flash(kind, blocks)
    before(start(flash))
    end()
    return flash, bytes(flash.data)


def version_of(slots):
    """Which bundle is active: 0 none, -1 something else."""
    got = active(slots)
    if got is None:
        return 0
    for version in (A, B, C, D, E):
        if got == bundle_of(version):
            return version
    return -1


def guarded(function, *where, also=""):
    """What function() returns; a Refused("slots....") is an answer, too; everything else a failure."""
    try:
        return function()
    except Refused as e:
        check(e.reason.startswith("slots.") or e.reason == also, *where, e)
        return e.reason
    except Exception as e:
        sys.print_exception(e, sys.stdout)
        fail(*where, repr(e))


def then(flash, may, version, *where):
    """After a reset one of `may` is active and whole, and the next deploy goes through."""
    slots = start(flash)
    guarded(lambda: slots.boot("power"), "boot", *where)
    check(version_of(slots) in may, "active", version_of(slots), slots.why, *where)
    guarded(lambda: update(slots, bundle_of(version)), "update", *where)
    slots = start(flash)
    slots.boot("power")
    slots.confirm()
    check(version_of(slots) == version and not slots.safe, "deployed", version_of(slots), slots.why, *where)


def eio(kind, stride):
    """Each write or erase fails once, or from there on all do, while each of the scenarios goes on."""
    cases = 0
    for name, (before, act, may, between) in SCENARIOS.items():
        flash, image = prepared(kind, before)
        for n in (1, 1 << 28):
            at = 0
            while True:
                at += stride
                flash.data[:] = image
                slots = start(flash)
                flash.ops = 0
                flash.fail_at = at
                flash.fail_n = n
                guarded(lambda: act(slots), name, at, n)
                if flash.ops < at:
                    break
                cases += 1
                flash.fail_at = 0
                if n == 1 and at & 1:  # without a reset in between
                    guarded(lambda: update(slots, bundle_of(D)), "on", name, at)
                    check(version_of(slots) in may + between + (D,), "on", name, at)
                    then(flash, may + between + (D,), E, name, at, n)
                else:
                    then(flash, may + between, D, name, at, n)
    return cases


def read_eio(kind, stride):
    """Each read fails once, while each of the scenarios goes on or the board starts.

    After a read that failed littlefs 2.8 takes what is in its buffer for what it could not read, and so may lose what a
    folder says. Then another bundle runs, in few cases none; never a broken one, and the next deploy goes through.
    Returns cases; how often it was another bundle; none.
    """
    cases = others = nothing = 0
    for name, (before, act, may, between) in SCENARIOS.items():
        flash, image = prepared(kind, before)

        def do(slots, starts):
            if starts:
                slots.__init__(slots.prove)
                slots.boot("power")
                return
            try:
                act(slots)
            except OSError:
                pass  # that was the test's own reading

        for starts in (False, True):
            at = 0
            while True:
                at += stride
                flash.data[:] = image
                slots = start(flash)
                flash.reads = 0
                flash.read_failed = False
                flash.read_fail_at = at
                guarded(lambda: do(slots, starts), name, at, also="bundle.hash")
                flash.read_fail_at = 0
                if not flash.read_failed:
                    break
                cases += 1
                slots = start(flash)
                slots.boot("power")
                got = version_of(slots)
                nothing += got == 0
                others += got not in may + between
                check(kind == "lfs" or got in may + between, "active", got, slots.why, name, at, starts)
                then(flash, may + between if kind == "fat" else (0, A, B, C, D), D, name, at, starts)
    return cases, others, nothing


def fill(leave=0):
    """Fill the file system until about `leave` bytes are left."""
    try:
        with open("/ballast", "wb") as file:
            while not leave or free() > leave:
                file.write(bytes(512))
                file.flush()
    except OSError as e:
        check(e.args[0] == 28, "fill", e)


def full(kind, stride):
    """On a flash without a free block everything goes on but an installation; that is refused, before or in between."""
    cases = 0
    for name, (before, act, may, _) in SCENARIOS.items():
        if name in ("first", "second", "install", "update", "over_probation", "over_first_probation", "adopt"):
            continue
        flash, image = prepared(kind, lambda slots: (before(slots), fill()))
        slots = start(flash)
        check(free() <= 0, "not full", name, free())
        what = guarded(lambda: act(slots) or "done", name)
        check(not str(what).startswith("slots."), "full", name, what)
        check(start(flash).boot("power") is not None, "start on a full flash", name)
        at = 0
        while True:  # and the power is cut besides
            at += 1
            flash.data[:] = image
            slots = start(flash)
            flash.ops = 0
            flash.cut_at = at
            try:
                act(slots)
                break
            except PowerCut:
                pass
            cases += 1
            slots = start(flash)
            slots.boot("power")
            check(version_of(slots) in may, "full", name, at, version_of(slots), slots.why)
    flash, image = prepared(kind, lambda slots: (SCENARIOS["install"][0](slots), fill(6000)))
    slots = start(flash)
    check(guarded(lambda: install(slots, bundle_of(C))) == "slots.space", "space")
    then(flash, (B,), B, "space")
    for leave in range(512, 8192, 512 * stride):
        # somebody else takes the space while it arrives
        flash, image = prepared(kind, SCENARIOS["install"][0])
        slots = start(flash)
        slots.journal.store = lambda real=slots.journal.store: (real(), fill(leave))
        said = guarded(lambda: install(slots, bundle_of(C)), "full", leave)
        check(said in ("slots.full", None), "full", leave, said)
        cases += 1
        slots = start(flash)
        check(slots.boot("power") and version_of(slots) == B, "full", leave)
        os.remove("/ballast")
        then(flash, (B,), D, "full", leave)
    return cases


def flips(kind, stride):
    """Each bit of the journal's records, and of the bundles' bytes: the bundle that is sound runs."""
    flash, image = prepared(kind, SCENARIOS["switch"][0])  # b is active, c whole in slot a
    slots = start(flash)
    slots.switch()
    slots.boot("power")
    slots.confirm()
    check(version_of(slots) == C, "C is active")
    end()
    image = bytes(flash.data)
    cases = survived = 0
    places = []
    for name in ("/slot/journal.0", "/slot/journal.1"):
        start(flash)
        with open(name, "rb") as file:
            places.append(("journal", file.read(), 1, (B, C)))
    places.append(("active", bundle_of(C)[:2048], 16, (B,)))
    places.append(("idle", bundle_of(B)[:2048], 16, (C,)))
    for what, content, step, may in places:
        copies = []  # the file system may have left older ones about
        at = image.find(content)
        while at >= 0:
            copies.append(at)
            at = image.find(content, at + 1)
        check(copies, "not in the image", what)
        for bit in range(0, len(content) * 8, step * stride):
            flash.data[:] = image
            for at in copies:
                flash.data[at + (bit >> 3)] ^= 1 << (bit & 7)
            slots = start(flash)
            guarded(lambda: slots.boot("power"), "boot", what, bit)
            cases += 1
            got = version_of(slots)
            survived += got == C
            check(got in may and not slots.safe, what, bit, got, slots.why)
            if what == "active":
                check(slots.journal.cause == "slots.hash", what, slots.journal.cause)
            if what == "idle":
                command.roll_back(slots)
                slots.boot("power")
                check(version_of(slots) == C and slots.journal.cause == "slots.hash", "roll back to", bit)
            if bit % 64 == 0:
                then(flash, (got, C), D, what, bit)
    return cases, survived


def flips_anywhere(kind, stride):
    """A bit anywhere in the blocks, even in the file system's own: that may be lost, but nothing broken runs."""
    flash, image = prepared(kind, SCENARIOS["switch"][0])
    cases = kept = lost = nothing = 0
    blank = 0xFF if kind == "lfs" else 0
    for at in range(0, len(image)):
        if image[at] == blank or at % stride:
            continue
        flash.data[:] = image
        flash.data[at] ^= 1 << (at // stride & 7)
        cases += 1
        try:
            slots = start(flash)
        except OSError:
            lost += 1
            continue
        guarded(lambda: slots.boot("power"), "boot", at)
        got = version_of(slots)
        check(got in (0, A, B, C), "anywhere", at, got)
        kept += got == B
        nothing += got == 0
    return cases, kept, nothing, lost


def leaks(kind, stride):
    """How many bytes of the flash a power cut can cost for good, at most, whichever operation of an update it hits."""
    before, act, _, _ = SCENARIOS["update"]
    flash, image = prepared(kind, before)
    worst = cases = 0
    at = 0
    slots = start(flash)
    act(slots)
    rest = free()
    while True:
        at += stride
        flash.data[:] = image
        slots = start(flash)
        flash.ops = 0
        flash.cut_at = at
        try:
            act(slots)
            break
        except PowerCut:
            pass
        cases += 1
        slots = start(flash)
        slots.boot("power")
        update(slots, bundle_of(C))
        worst = max(worst, rest - free())
    return cases, worst


def main(kind, what, stride):
    vfs.umount("/")
    said = globals()[what](kind, int(stride))
    end()
    gc.collect()
    print("DONE", said, len(failures))


main(*sys.argv[1:])
