"""Updates on a virtual board whose power goes in the middle. Runs on the board; the host pulls the plug when told to.

The flash is the board's own; between it and littlefs stands a Meter that stops everything at one of the writes.
"""

import hashlib
import struct
import sys

import vfs
import virt
from sensewell.install import Install
from sensewell.refusal import Refused
from sensewell.slots import Slots


class Meter:
    """virt.flash, but the write or erase number `at` is done by half, and then there is nothing more: 0 = none is."""

    def __init__(self, at):
        self.at = at
        self.ops = 0
        self.readblocks = virt.flash.readblocks

    def writeblocks(self, block, buffer, offset=0):
        self.ops += 1
        if self.ops == self.at:
            virt.flash.writeblocks(block, memoryview(buffer)[: len(buffer) // 2], offset)
            _dark()
        return virt.flash.writeblocks(block, buffer, offset)

    def ioctl(self, operation, argument):
        if operation == 6:
            self.ops += 1
            if self.ops == self.at:
                virt.flash.writeblocks(argument, b"\xff" * 2048, 0)
                _dark()
            virt.flash.writeblocks(argument, b"\xff" * 4096, 0)
            return 0
        return virt.flash.ioctl(operation, argument)


def _dark():
    print("DARK")
    if how == "reset":
        import machine

        machine.reset()
    while True:
        pass


how = "plug"


def bundle(version, size):
    """Pieces of a stand-in for a bundle: version, filling, and the SHA-256 of both at the end."""
    state = hashlib.sha256()
    piece = struct.pack("<II", version, version) + bytes([version & 0xFF]) * 504
    while size > 0:
        state.update(piece)
        yield piece
        piece = hashlib.sha256(piece).digest() * 16
        size -= 512
    yield state.digest()


def prove(path):
    state = hashlib.sha256()
    version = None
    with open(path, "rb") as file:
        while True:
            piece = file.read(512)
            if version is None:
                version = struct.unpack("<II", piece)
            if len(piece) < 512:
                break
            state.update(piece)
    if piece != state.digest():
        raise Refused("bundle.hash")
    return version


def digest_of(version, size):
    state = hashlib.sha256()
    for piece in bundle(version, size):
        state.update(piece)
    return state.digest()


def update(version, size, at=0, how_=""):
    """From whatever is there to `version`, confirmed; the power goes at operation `at`. Says WHOLE where it did not."""
    global how
    how = how_
    meter = Meter(at)
    vfs.umount("/")
    vfs.mount(vfs.VfsLfs2(meter), "/")
    meter.ops = 0
    print("GO")
    slots = Slots(prove)
    digest = digest_of(version, size)
    job = Install(slots, size + 32, digest)
    if not job.is_there():
        have, sha = job.partial()
        state = hashlib.sha256()
        n = 0
        pieces = bundle(version, size)
        while n < have:
            piece = next(pieces)
            state.update(piece[: have - n])
            n += len(piece)
        if have & 511 or state.digest() != sha:
            have = 0
            pieces = bundle(version, size)
        job.begin(have)
        for piece in pieces:
            job.write(piece)
    job.commit()
    slots.switch()
    slots.boot("power")
    slots.confirm()
    print("WHOLE", meter.ops)


def up():
    """A start: which version is active, is it whole, is it safe mode?"""
    slots = Slots(prove)
    slots.boot("power")
    slots.stopped()
    print("UP", prove(slots.path)[0] if slots.path else 0, int(slots.safe), slots.why)


def heap(version, size):
    """How much the heap grows at most while a bundle is installed, apart from what comes with the code."""
    import gc

    slots = Slots(prove)
    digest = digest_of(version, size)
    gc.collect()
    before = most = gc.mem_alloc()
    job = Install(slots, size + 32, digest)
    job.begin()
    for piece in bundle(version, size):
        job.write(piece)
        gc.collect()
        most = max(most, gc.mem_alloc())
    slots.prove = lambda path: (version, version)
    job.commit()
    gc.collect()
    print("HEAP", max(most, gc.mem_alloc()) - before)


def modules():
    """Bytes of heap that each of the modules takes."""
    import gc

    for name in ("slots", "install", "command", "probation"):
        sys.modules.pop("sensewell." + name, None)
    sys.modules.pop("sensewell.journal", None)
    for name in ("journal", "slots", "install", "command", "probation"):
        gc.collect()
        before = gc.mem_alloc()
        __import__("sensewell." + name)
        gc.collect()
        print("RAM", name, gc.mem_alloc() - before)
