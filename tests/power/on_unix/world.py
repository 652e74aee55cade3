"""A board in small: a file system on a Flash, its slots, bundles that prove themselves, and a host that installs them.

Everything of a run is made anew by start(): as after a reset, nothing but the flash is left.
"""

import hashlib
import os
import struct

import vfs
from flash import Flash, PowerCut
from sensewell import command
from sensewell.install import Install
from sensewell.refusal import Refused
from sensewell.slots import Slots

KINDS = ("lfs", "fat")
_mounted = []


def bundle(version, size=3000, counter=None):
    """A stand-in: version and release counter, bytes of its own, the SHA-256 of all that."""
    counter = version if counter is None else counter
    body = bytearray(struct.pack("<II", version, counter))
    value = version * 77 + 1
    while len(body) < size - 32:
        value = (value * 1103 + 12345) & 0xFFFFF
        body.append(value >> 8 & 0xFF)
    return bytes(body) + hashlib.sha256(body).digest()


def prove(path):
    """Like a bundle's own proof: every byte counts."""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < 40 or hashlib.sha256(data[:-32]).digest() != data[-32:]:
        raise Refused("bundle.hash")
    return struct.unpack("<II", data[:8])


def new_flash(kind, blocks=0):
    """A formatted flash: littlefs on blocks of 4096 bytes, or FAT on sectors of 512."""
    if kind == "lfs":
        flash = Flash(4096, blocks or 20, True)
        vfs.VfsLfs2.mkfs(flash.port)
    else:
        flash = Flash(512, blocks or 160, False)
        vfs.VfsFat.mkfs(flash.port)
    flash.kind = kind
    return flash


def start(flash):
    """Power on: mount, Slots. What was left of the run before is thrown away."""
    end()
    port = flash.power_on()
    fs = vfs.VfsLfs2(port) if flash.kind == "lfs" else vfs.VfsFat(port)
    vfs.mount(fs, "/")
    _mounted.append(fs)
    return Slots(prove)


def end():
    if _mounted:
        vfs.umount("/")
        _mounted.pop()


def install(slots, data, block=1000):
    """What a deploy does: go on where the last one was interrupted, if what is there is right; else anew."""
    digest = hashlib.sha256(data).digest()
    job = Install(slots, len(data), digest)
    at, have = job.partial()
    if at and hashlib.sha256(data[:at]).digest() != have:
        at = 0
    try:
        job.begin(at)
        for n in range(at, len(data), block):
            job.write(data[n : n + block])
        job.commit()
    finally:
        job.pause()


def update(slots, data):
    """To `data` by all the ways there are: nothing to do, only a switch, or an installation."""
    digest = hashlib.sha256(data).digest()
    if command.status(slots)["pinned"]:
        command.unpin(slots)
    if slots.path and active(slots) == data:
        return
    job = Install(slots, len(data), digest)
    if job.is_there():
        job.commit()
    else:
        install(slots, data)
    slots.switch()


def active(slots):
    """The content of the active bundle, None where nothing is fit to run."""
    if slots.path is None:
        return None
    with open(slots.path, "rb") as file:
        return file.read()


def free():
    stat = os.statvfs("/")
    return stat[0] * stat[3] if stat[3] <= stat[2] else 0  # littlefs: less than none


__all__ = ["KINDS", "PowerCut", "active", "bundle", "end", "free", "install", "new_flash", "prove", "start", "update"]
