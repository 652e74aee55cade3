"""An update that is cut, and the start after it, each in a process of its own; between them goes an image of the flash.

Arguments: kind of file system, the image's path, "cut" or "up", the operation that is cut. Says DONE and, for "cut",
"cut" or "whole" (there was no such operation), for "up" the active version and whether it is in safe mode.
"""

import struct
import sys

import vfs
from scenarios import SCENARIOS
from world import PowerCut, active, end, new_flash, prove, start

before, act, _, _ = SCENARIOS["update"]


def main(kind, image, what, at):
    said = "whole"
    flash = new_flash(kind)
    if what == "up":
        with open(image, "rb") as file:
            file.readinto(flash.data)
    vfs.umount("/")
    if what == "up":
        slots = start(flash)
        slots.boot("power")
        prove(slots.path)
        said = "%d %s" % (struct.unpack("<I", active(slots)[:4])[0], slots.safe)
    else:
        before(start(flash))
        slots = start(flash)
        flash.ops = 0
        flash.cut_at = int(at)
        try:
            act(slots)
        except PowerCut:
            said = "cut"
    end()
    vfs.mount(vfs.VfsPosix(), "/")
    if what == "cut":
        with open(image, "wb") as file:
            file.write(flash.data)
    print("DONE", said)


main(*sys.argv[1:])
