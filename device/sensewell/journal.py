"""The journal: what this board knows of its bundle slots, one record of 128 bytes, kept in two files by turns.

Knows bytes and files. What may follow what, slots.py says.

A record, little-endian; of the two the whole one with the higher sequence counts, so a torn write costs nothing:

| at  | bytes | what                                                                                |
|-----|-------|-------------------------------------------------------------------------------------|
|   0 |   2   | magic, b"J1"                                                                        |
|   2 |   4   | sequence                                                                            |
|   6 |   1   | the active slot: 0 a, 1 b, 255 none                                                 |
|   7 |   1   | flags: 1 pinned, 2 safe mode                                                        |
|   8 |   1   | starts in a row of a confirmed bundle that did not come to be confirmed again       |
|   9 |   1   | which slot the cause is of; 255 none                                                |
|  10 |   4   | floor: no bundle with a lower release counter comes in                              |
|  14 |   2   | how often the floor was reset                                                       |
|  16 |  30   | slot a: state, tries left, bytes (4), version (4), release counter (4), digest (16) |
|  46 |  30   | slot b                                                                              |
|  76 |  24   | bundles that failed on probation: the first 8 bytes of each one's SHA-256, newest first |
| 100 |  24   | cause: name of the last refusal, cut off there, zero bytes behind                   |
| 124 |   4   | CRC-32 of all before                                                                |

A digest is the first 16 bytes of the file's SHA-256. 128 bytes are the most that littlefs, as boards mount it, keeps in
its directory block: a record then takes no block of its own, and is written even when the flash is full. For the same
reason on FAT a file once made is written over in place. Either file system has the data on flash when close() returns
(it syncs its device itself; os.sync() adds nothing to it), and no rename is asked for: on FAT it is not atomic.
"""

import os
import struct
from binascii import crc32

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

_MAGIC = const(b"J1")
_HEAD = const("<2sIBBBBIH")
_SLOT = const("<BBIII16s")
_SLOT_AT = const(16)
_SLOT_BYTES = const(30)
_FAILED_AT = const(76)
_CAUSE_AT = const(100)
_TEXT_BYTES = const(24)
_CRC_AT = const(124)
_BYTES = const(128)
NONE = 255


class Slot:
    """state, tries (left), size (bytes), version, counter (of releases), digest (16 bytes)."""

    def __init__(self, data):
        self.state, self.tries, self.size, self.version, self.counter, self.digest = struct.unpack(_SLOT, data)


class Journal:
    """The record in RAM, as attributes; slots: two Slot; failed: 24 bytes; cause: str. Blank until load() found one."""

    def __init__(self, folder):
        self.folder = folder
        self._at = 1  # of the file that holds the record
        self._take(bytes(6) + b"\xff\0\0\xff" + bytes(_BYTES - 10))

    def load(self):
        """Read the record that counts. Returns how many of the two files hold a whole one; 0: nothing was changed."""
        found = 0
        for at in (0, 1):
            data = _read(self._path(at))
            if len(data) == _BYTES and data[:2] == _MAGIC and crc32(data[:_CRC_AT]) == _word(data, _CRC_AT):
                if not found or _word(data, 2) > self.sequence:
                    self._take(data)
                    self._at = at
                found += 1
        return found

    def store(self):
        """Write the record to the file that holds the older one, and read it back.

        OSError where that fails: then a later load() finds either record.
        """
        at = 1 - self._at
        data = self._pack(self.sequence + 1)
        try:
            _write(self._path(at), data, "r+b")
        except OSError:  # it is not there yet, or at odds with itself; the other file is the good one
            make_folder(self.folder)
            remove(self._path(at))
            _write(self._path(at), data, "wb")
        self._at = at
        self.sequence += 1

    def _path(self, at):
        return self.folder + "/journal.%d" % at

    def _take(self, data):
        head = struct.unpack(_HEAD, data[:_SLOT_AT])
        _, self.sequence, self.active, self.flags, self.starts, self.cause_of, self.floor, self.resets = head
        self.slots = [Slot(data[at : at + _SLOT_BYTES]) for at in (_SLOT_AT, _SLOT_AT + _SLOT_BYTES)]
        self.failed = data[_FAILED_AT:_CAUSE_AT]
        self.cause = data[_CAUSE_AT:_CRC_AT].rstrip(b"\0").decode()

    def _pack(self, sequence):
        data = struct.pack(
            _HEAD, _MAGIC, sequence, self.active, self.flags, self.starts, self.cause_of, self.floor, self.resets
        )
        for s in self.slots:
            data += struct.pack(_SLOT, s.state, s.tries, s.size, s.version, s.counter, s.digest)
        cause = self.cause.encode()[:_TEXT_BYTES]
        data += self.failed + cause + bytes(_TEXT_BYTES - len(cause))
        return data + struct.pack("<I", crc32(data))


def _word(data, at):
    return struct.unpack("<I", data[at : at + 4])[0]


def _write(path, data, mode):
    file = open(path, mode)
    try:
        file.write(data)
    finally:
        close(file)
    if _read(path) != data:
        raise OSError(5, path)


def close(file):
    """Close it, whatever it says: that the data is there must be read anyway.

    What FAT fails to close the garbage collector would close later, over whatever is in its place by then.
    """
    for _ in (0, 1):
        try:
            file.close()
        except OSError:
            pass


def make_folder(path):
    try:
        os.mkdir(path)
    except OSError:
        pass  # it is there; if not, the next to use it says so


def remove(path):
    try:
        os.remove(path)
    except OSError:
        pass


def _read(path):
    # a reader may stumble once: what then counts would be the record before the last
    for _ in (0, 1):
        try:
            with open(path, "rb") as file:
                return file.read(_BYTES + 1)
        except OSError:
            pass
    return b""
