"""Goes through a crate on MicroPython's unix port, on littlefs over a flash in RAM. Arguments: the crate, names."""

import sys

import vfs

HOST = "/host"
vfs.mount(vfs.VfsPosix("/"), HOST)  # code is imported from there, whatever is mounted on / later
sys.path[:] = [HOST + path for path in sys.path if path.startswith("/")]

from flash import Flash  # noqa: E402


class Chip(Flash):
    """Loses no power, so it need not know what was not synced; and takes no more RAM than it has bytes."""

    def __init__(self, blocks):
        super().__init__(4096, 1, True)
        empty = bytes(self.data)
        self.blocks = blocks
        self.data = bytearray(4096 * blocks)
        for block in range(blocks):
            self.data[4096 * block : 4096 * (block + 1)] = empty

    def change(self, at, new, over):
        self.ops += 1
        if self.fail_at <= self.ops < self.fail_at + self.fail_n:
            return -5
        self._put(at, new, over)
        return 0


flash = Chip(128)  # it wants its room in one piece
import refusing  # noqa: E402

mounted = []


def remount():
    """As after a reset: nothing but the flash is left."""
    if mounted:
        vfs.umount("/")
    vfs.mount(vfs.VfsLfs2(flash.power_on()), "/")
    mounted[:] = [flash]


vfs.VfsLfs2.mkfs(flash.port)
with open(sys.argv[1], "rb") as crate:
    remount()
    refusing.run(crate, sys.argv[2:] or None, flash, remount)
    vfs.umount("/")
