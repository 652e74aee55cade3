"""What is refused is brought to a board by the way that a deploy takes; after each refusal it decides as before, and
takes the next good bundle. Runs on a board. What is in the crate is cases.py's.

A board comes with a file system to write to; unix has one in RAM that can be made to fail (`flash`), others have none.
"""

import gc
import hashlib
import json
import os
import struct
import sys
from binascii import hexlify

from sensewell import command, trust_store
from sensewell.build.node import compose
from sensewell.install import Install
from sensewell.journal import Journal
from sensewell.policy import of_board
from sensewell.refusal import Refused
from sensewell.sensor.replay import Replay
from sensewell.slots import Slots
from sensewell.start import prover

try:
    from time import ticks_ms
except ImportError:
    from sensewell._port import ticks_ms

BOARD = "here"
BLOCK = 512


class Crate:
    """The records of a file, one after the other."""

    def __init__(self, file):
        self._file = file
        self._next = 0

    def next(self):
        """The next record's text as a dict, None at the end; its data begins at `at`."""
        self._file.seek(self._next)
        head = self._file.read(4)
        if len(head) < 4:
            return None
        found = json.loads(self._file.read(struct.unpack("<I", head)[0]))
        found["at"] = self._file.seek(0, 1)
        self._next = found["at"] + found["bytes"]
        found["size"] = found["bytes"] + found.get("fill", 0)
        return found

    def data(self, record):
        """The bytes of a record in pieces."""
        left = record["bytes"]
        at = record["at"]
        while left:
            self._file.seek(at)
            piece = self._file.read(min(left, BLOCK))
            yield piece
            left -= len(piece)
            at += len(piece)
        fill = record.get("fill", 0)
        while fill:
            yield bytes(min(fill, BLOCK))
            fill -= min(fill, BLOCK)

    def whole(self, record):
        return b"".join(list(self.data(record)))


class Bench:
    """The board, its crate and the good bundles; `active`: the name of the one that runs. flash, remount: see run()."""

    def __init__(self, crate, flash, remount):
        self.crate = crate
        self.flash = flash
        self.remount = remount
        self.trust = crate.next()
        self.rows = crate.whole(crate.next())
        self.good = {}
        for _ in range(4):
            record = crate.next()
            self.good[record["name"]] = record
        self.active = self.got = ""

    # -- the way of a deploy -------------------------------------------------------------------------------------------
    def slots(self, case=None):
        case = case or {}
        return Slots(prover(of_board(case.get("board", BOARD), case.get("now_s"), case.get("channels"))))

    def job(self, slots, record):
        return Install(slots, record["size"], bytes.fromhex(record["sha256"]))

    def send(self, job, record, at=0, change=None):
        """Write it; change(number of the piece, piece): what arrives of it."""
        try:
            job.begin(at)
            for number, piece in enumerate(self.crate.data(record)):
                job.write(change(number, piece) if change else piece)
        finally:
            job.pause()

    def install(self, record, case=None, change=None):
        slots = self.slots(case)
        job = self.job(slots, record)
        self.send(job, record, 0, change)
        gc.collect()
        job.commit()
        return slots

    # -- what must be true after each refusal --------------------------------------------------------------------------
    def decides(self, slots):
        """Of the active bundle, composed as a start does it: label, source, confidence, quality, reason of each."""
        made = []

        def note(d):
            made.append([d.label, d.source, d.confidence_pct, d.quality_pct, d.reason])

        policy = of_board(BOARD)
        node = compose(Replay(self.rows, 2, 20), slots.path, outputs=(note,), policy=policy)
        node.rate_hz = None
        node.pipeline.deadline_us = 0
        node.run()
        assert not node.pipeline.refusal, node.pipeline.refusal
        return made

    def check(self):
        """As after a reset: the good bundle is active, confirmed, byte for byte what was sent, and decides."""
        record = self.good[self.active]
        slots = self.slots()
        path = slots.boot("power")
        slots.confirm()
        assert not slots.safe and slots.why == "confirmed", slots.why
        state = hashlib.sha256()
        with open(path, "rb") as file:
            while True:
                piece = file.read(BLOCK)
                if not piece:
                    break
                state.update(piece)
        assert hexlify(state.digest()).decode() == record["sha256"], "another bundle is active"
        gc.collect()
        made = self.decides(slots)
        assert made == record["decides"], made
        return slots

    def update(self, name):
        """To the good bundle of that name, by the whole way; it decides, and is confirmed."""
        record = self.good[name]
        slots = self.slots()
        job = self.job(slots, record)
        if job.is_there():  # it was here before: bring it all the same
            os.remove(slots.path_of(job._target()))
        job = None
        slots = self.install(record)
        slots.switch()
        self.active = name
        self.check()

    # -- cases ---------------------------------------------------------------------------------------------------------
    def run(self, case):
        """Go through a case; "" or what is wrong. After it the good bundle `case["good"]` runs."""
        before = in_force()
        self.got = got = self.provoke(case)
        gc.collect()
        if in_force() != before:
            return "the journal has another bundle active"
        if got not in case["reason"].split():
            return "refused as %s, not as %s" % (got, case["reason"])
        if case["how"] == "install" and got != "slots.space":
            known = self.slots().journal.cause
            if known != got[:24]:  # there is room for so much
                return "the journal says " + known
        self.check()
        if case["good"] == self.active:
            return "the same good bundle twice"
        gc.collect()
        self.update(case["good"])
        return ""

    def provoke(self, case):
        try:
            getattr(self, "do_" + case["how"])(case)
        except Refused as e:
            return e.reason
        except MemoryError:
            return "memory"  # sensewell deploy says so, too
        finally:
            self.mend()
        return "-"

    def mend(self):
        if self.flash:
            self.flash.fail_at = 0
            self.remount()

    def do_install(self, case):
        self.install(case, case)

    def do_root(self, case):
        trust_store.store(self.crate.whole(case))

    def do_nobody(self, case):
        # The trust root is lost; it comes again, and all is well
        kept = {}
        for name in os.listdir(trust_store.FOLDER):
            with open(trust_store.FOLDER + "/" + name, "rb") as file:
                kept[name] = file.read()
            os.remove(trust_store.FOLDER + "/" + name)
        try:
            self.install(case)
        finally:
            trust_store.store(self.crate.whole(self.trust))

    def do_active(self, case):
        self.install(self.good[self.active])

    def do_pinned(self, case):
        slots = self.slots()
        command.pin(slots)
        try:
            self.install(case)
        finally:
            command.unpin(slots)

    def do_failed_before(self, case):
        slots = self.install(case)
        slots.switch()
        slots.boot("power")
        slots.give_up("probation.test")
        self.install(case)

    def do_partial(self, case):
        self.send(self.job(self.slots(), case), case, 100)

    def do_nothing(self, case):
        self.job(self.slots(), case).commit()

    def do_size(self, case):
        # Too little has come
        slots = self.slots()
        job = self.job(slots, case)
        job.begin()
        for number, piece in enumerate(self.crate.data(case)):
            if number == 2:
                break
            job.write(piece)
        job.commit()

    def do_larger(self, case):
        # More comes than was said
        self.install(case, None, lambda number, piece: piece + piece)

    def do_hash(self, case):
        self.install(case, None, lambda number, piece: piece if number != 1 else bytes([piece[0] ^ 1]) + piece[1:])

    def do_full(self, case):
        # The flash fills up while it comes
        def fill(number, piece):
            if number == 1:
                try:
                    with open("/ballast", "wb") as file:
                        while True:
                            file.write(bytes(4096))
                            file.flush()  # else nothing of it would stay
                except OSError:
                    pass
            return piece * 16

        try:
            record = dict(case)
            record["size"] = 60000
            self.send(self.job(self.slots(), record), record, 0, fill)
        finally:
            os.remove("/ballast")

    def do_write(self, case):
        def fail(number, piece):
            if number == 1:
                self.flash.ops = 0
                self.flash.fail_n = 1 << 28
                self.flash.fail_at = 1
            return piece * 16

        record = dict(case)
        record["size"] = 60000
        self.send(self.job(self.slots(), record), record, 0, fail)

    def do_journal(self, case):
        slots = self.slots()
        job = self.job(slots, case)
        self.flash.ops = 0
        self.flash.fail_n = 1 << 28
        self.flash.fail_at = 1
        job.begin()

    def do_read(self, case):
        # The flash does not give back what it holds, once
        slots = self.slots()
        prove = slots.prove

        def failing(path):
            self.flash.read_fail_at = self.flash.reads + 2
            return prove(path)

        slots.prove = failing
        job = self.job(slots, case)
        self.send(job, case)
        job.commit()

    def do_memory(self, case):
        # All but some KiB of the heap is taken
        slots = self.slots()
        job = self.job(slots, case)
        self.send(job, case)
        gc.collect()
        room = [bytearray(case["kib"] * 1024)]
        taken = None
        size = 1 << 20
        while size >= 32:
            try:
                taken = (taken, bytearray(size))
            except MemoryError:
                size >>= 1
        room.clear()
        gc.collect()
        try:
            job.commit()
        finally:
            taken = None
            gc.collect()


def in_force():
    """What the journal on flash says of the active slot: which, and its bundle's digest."""
    journal = Journal("/slot")
    assert journal.load()
    return journal.active, journal.slots[journal.active].digest


def run(crate, only=None, flash=None, remount=None):
    """All cases of the crate (a binary file), or those named in `only`; a line of JSON for each: name, reason given,
    what is wrong, ms. flash: a device that can be made to fail, and remount(): as after a reset; None: there is none.
    """
    bench = Bench(Crate(crate), flash, remount)
    trust_store.store(bench.crate.whole(bench.trust))
    bench.active = "a"
    slots = bench.install(bench.good["a"])
    slots.switch()
    bench.check()
    slots = None
    while True:
        gc.collect()
        case = bench.crate.next()
        if case is None:
            break
        if only is not None and case["name"] not in only:
            continue
        start = ticks_ms()
        if case["good"] == bench.active:  # of some cases others are left out
            bench.update({"a": "b", "b": "a", "c": "d", "d": "c"}[bench.active])
        try:
            wrong = bench.run(case)
        except Exception as error:
            sys.print_exception(error)
            wrong = repr(error)
        if wrong and bench.active != case["good"]:
            bench.update(case["good"])
        print("CASE", json.dumps([case["name"], bench.got, wrong, ticks_ms() - start]))
    print("DONE", bench.active)
