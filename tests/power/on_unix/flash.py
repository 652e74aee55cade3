"""A flash in RAM that counts what is written to it, and fails when a test wants it to. For MicroPython's unix port.

It speaks the block protocols of littlefs (erase, then program: bits only go from 1 to 0) and of FAT (sectors).
"""

import micropython


class PowerCut(BaseException):
    """The power went: nobody but the test may catch it."""


# What a power cut leaves of the operation that it hits, and of those before it that the device was not yet told to sync
CUTS = ("clean", "scrap", "torn", "noise", "late", "gaps", "lost")
#  clean: nothing of it; scrap: its first bytes; torn: its first half; noise: its first bytes, then what a dying supply
#  makes of the rest; late: all of it, but nothing else since the last sync; gaps: every second one since then; lost:
#  none since then


@micropython.viper
def _program(data_, at: int, block_, n: int) -> int:
    # NOR flash: returns how many bytes did not come out as written
    data = ptr8(data_)  # noqa: F821
    block = ptr8(block_)  # noqa: F821
    wrong = 0
    i = 0
    while i < n:
        data[at + i] = data[at + i] & block[i]
        if data[at + i] != block[i]:
            wrong += 1
        i += 1
    return wrong


class Flash:
    """`blocks` blocks of `block_bytes`. nor: a flash chip that must be erased; else sectors that are overwritten.

    ops: writes and erases so far; cut_at: the number of the one that the power cut hits (0: none), cut: how; fail_at,
    fail_n: the operations that fail with EIO; read_fail_at: the read that does. wrong: bytes programmed over others.
    """

    def __init__(self, block_bytes, blocks, nor):
        self.block_bytes = block_bytes
        self.blocks = blocks
        self.nor = nor
        self.data = bytearray(b"\xff" * (block_bytes * blocks) if nor else block_bytes * blocks)
        self.wrong = 0
        self.port = None
        self.power_on()

    def power_on(self):
        """What was mounted before can do nothing any more; returns the device to mount."""
        if self.port:
            self.port.dead = True  # files of it may be closed by the garbage collector, much later
        self.port = Port(self)
        self.ops = self.reads = self.cut_at = self.fail_at = self.read_fail_at = 0
        self.fail_n = 1
        self.cut = "clean"
        self.unsynced = []  # (at, old, new)
        return self.port

    def change(self, at, new, over):
        self.ops += 1
        if self.fail_at <= self.ops < self.fail_at + self.fail_n:
            return -5
        if self.ops == self.cut_at:
            self.port.dead = True
            self._die(at, bytes(new), over)
            raise PowerCut
        self.unsynced.append((at, bytes(self.data[at : at + len(new)]), bytes(new), over))
        self._put(at, new, over)
        return 0

    def _put(self, at, new, over):
        if over:
            self.data[at : at + len(new)] = new
        else:
            self.wrong += _program(self.data, at, new, len(new))

    def _die(self, at, new, over):
        cut = self.cut
        half = len(new) // (2 if cut == "torn" else 12)
        if cut in ("scrap", "torn", "noise"):
            self._put(at, new[:half], over)
        if cut == "noise":
            old = self.data[at + half : at + len(new)]
            value = self.ops
            for i in range(half, len(new)):
                value = (value * 1103 + 12345) & 0xFFFFF
                mask = value >> 8 & 0xFF
                # between what was and what was to be, bit by bit
                self.data[at + i] = (old[i - half] & mask) | (new[i] & ~mask & 0xFF)
        if cut in ("late", "gaps", "lost"):
            done = self.unsynced
            for then, before, _, _ in reversed(done):
                self.data[then : then + len(before)] = before
            if cut == "gaps":
                for i in range(len(done) & 1, len(done), 2):
                    self._put(done[i][0], done[i][2], done[i][3])
            if cut != "lost":
                self._put(at, new, over)
        self.unsynced = []


class Port:
    """The block device of one run."""

    def __init__(self, flash):
        self._flash = flash
        self.dead = False

    def readblocks(self, block, buffer, offset=0):
        if self.dead:
            return 0
        flash = self._flash
        flash.reads += 1
        if flash.reads == flash.read_fail_at:
            flash.read_failed = True
            return -5
        at = block * flash.block_bytes + offset
        buffer[:] = memoryview(flash.data)[at : at + len(buffer)]
        return 0

    def writeblocks(self, block, buffer, offset=None):
        if self.dead:
            return 0
        flash = self._flash
        return flash.change(block * flash.block_bytes + (offset or 0), buffer, offset is None or not flash.nor)

    def ioctl(self, operation, argument):
        flash = self._flash
        if operation == 4:
            return flash.blocks
        if operation == 5:
            return flash.block_bytes
        if operation == 3 and not self.dead:
            flash.unsynced = []
        if operation == 6 and flash.nor and not self.dead:
            return flash.change(argument * flash.block_bytes, b"\xff" * flash.block_bytes, True)
        return 0
