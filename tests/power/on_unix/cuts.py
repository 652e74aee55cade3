"""Cuts the power at every write and erase of what is done to the slots, once or twice, and looks at what comes up.

Arguments: kind of file system, kind of cut, scenario, "single" or "pairs", stride: of the second cuts every so many-th.
Prints FAIL lines and at last DONE, cut points, cases.
"""

import gc
import sys

import vfs
from scenarios import SCENARIOS, D, E, bundle_of
from world import PowerCut, active, end, new_flash, start, update

MOST = 5000  # operations; nothing here takes so many


class Run:
    def __init__(self, kind, cut, name):
        self.kind = kind
        self.cut = cut
        self.name = name
        self.before, self.act, self.may, self.between = SCENARIOS[name]
        self.flash = new_flash(kind)
        self.before(start(self.flash))
        end()
        self.snapshot = bytes(self.flash.data)
        self.points = self.cases = self.failures = 0

    def fail(self, what, *where):
        self.failures += 1
        print("FAIL", self.kind, self.cut, self.name, where, what)

    def cut_act(self, at):
        """Do what the scenario does, cut at operation `at`; False when there was none."""
        self.flash.data[:] = self.snapshot
        slots = start(self.flash)
        self.flash.ops = 0  # mounting may write, too; that is not what is cut here
        self.flash.cut_at = at
        self.flash.cut = self.cut
        try:
            self.act(slots)
        except PowerCut:
            return True
        return False

    def comes_up(self, may, *where):
        """Start anew: one of `may` must be active, whole, and not in safe mode."""
        slots = start(self.flash)
        slots.boot("power")
        got = active(slots)
        for version in may:
            if got == (bundle_of(version) if version else None):
                if slots.safe:
                    self.fail("safe mode: " + slots.why, *where)
                return slots
        self.fail("active is " + ("nothing" if got is None else "another or not whole") + ": " + slots.why, *where)
        return slots

    def recover(self, slots, version, *where):
        """The next deploy goes through, starts and is confirmed."""
        if active(slots) == bundle_of(version):
            slots.confirm()
        update(slots, bundle_of(version))
        self.comes_up((version,), *where).confirm()

    def single(self):
        at = 0
        while at < MOST and self.guarded(self.one, at + 1):
            at += 1
        self.points = self.cases = at

    def one(self, at):
        if not self.cut_act(at):
            self.comes_up(self.may[-1:], "uncut")
            return False
        slots = self.comes_up(self.may, at)
        # the deploy is repeated, or there is another one
        again = max(self.may)
        self.recover(slots, again if at & 1 and again and not any(slots.journal.failed) else D, at)
        return True

    def pairs(self, stride):
        first = 1
        while self.cut_act(first):
            second = 1 + first % stride
            image = bytes(self.flash.data)
            while second < MOST and self.guarded(self.two, first, second, image):
                second += stride
                self.cases += 1
            first += 1
        self.points = first - 1

    def two(self, first, second, image):
        self.flash.data[:] = image
        try:
            slots = start(self.flash)
            self.flash.ops = 0
            self.flash.cut_at = second
            self.flash.cut = self.cut
            slots.boot("power")
            update(slots, bundle_of(D))
            return False
        except PowerCut:
            pass
        slots = self.comes_up(self.may + self.between + (D,), first, second)
        self.recover(slots, E, first, second)
        return True

    def guarded(self, function, *args):
        try:
            return function(*args)
        except Exception as error:
            sys.print_exception(error, sys.stdout)
            self.fail(repr(error), *args[:2])
            return True


def main(kind, cut, names, how, stride):
    vfs.umount("/")
    points = cases = failures = wrong = 0
    for name in names.split(","):
        run = Run(kind, cut, name)
        if how == "pairs":
            run.pairs(int(stride))
        else:
            run.single()
        points += run.points
        cases += run.cases
        failures += run.failures
        wrong += run.flash.wrong
        print("RUN", kind, cut, name, run.points, run.cases, run.failures)
        gc.collect()
    print("DONE", points, cases, failures, wrong)


main(*sys.argv[1:])
