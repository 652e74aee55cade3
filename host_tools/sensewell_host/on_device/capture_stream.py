"""Streams the samples of a sensor at a fixed rate, each with its time and number; sent to a board by capture/wire.py.

Lines, each a letter, numbers in base64 and a CRC-32 in hexadecimal over the record:
  H  once, JSON: channels, unit of time and time of sample 0, which board it is and its calibration
  S  samples: uint32 number of the first, uint32 lost so far, then for each: uint16 low, uint16 high half of its ticks
     (30 bits; above them 1: the sensor raised, 2: nothing new), int16 counts of all channels
  E  the end: samples, lost, errors, stale
A period that was slept through has no number of its own row: numbers count periods, so that what is lost shows.
"""

import gc
import json
import struct
import sys
import time
from array import array
from binascii import b2a_base64, crc32, hexlify

_MASK = (1 << 30) - 1
_HALF = 1 << 29
_NAP = 500000


def _say(letter, record):
    print(letter, str(b2a_base64(record)[:-1], "ascii"), hex(crc32(record)))


def _id():
    try:
        import machine

        return str(hexlify(machine.unique_id()), "ascii")
    except (ImportError, AttributeError):
        return ""


def _calibration(setup):
    # As a node takes it: setup.py's own word comes first
    said = getattr(setup, "CALIBRATION", None)
    if said is not None:
        return said
    try:
        with open("/calibration.json") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def _channels(sensor, setup):
    # As the sensor says, else as setup.py does; None: the host must know
    try:
        return sensor.channels()
    except AttributeError:
        pass
    names = getattr(setup, "CHANNELS", None)
    return [{"name": one[0], "unit": one[1]} for one in names] if names else None


def stream(sensor, setup, n_channels, period, samples, block, slow):
    """period: us, ms where slow. samples: 0: for ever. block: samples a line."""
    channels = _channels(sensor, setup)
    n = getattr(sensor, "n_channels", 0) or len(channels or ()) or n_channels
    if not n:
        raise ValueError("the sensor does not say how many channels it has: use --channels")
    ticks = time.ticks_ms if slow else time.ticks_us
    sleep = time.sleep_ms if slow else time.sleep_us
    nap = 500 if slow else _NAP
    row = array("h", [-32768] * n)
    size = 4 + 2 * n
    record = bytearray(8 + block * size)
    have = number = lost = taken = errors = stale = 0
    last = -1
    start = (ticks() + (20 if slow else 20000)) & _MASK
    head = {
        "channels": channels,
        "n": n,
        "start": start,
        "ms": slow,
        "id": _id(),
        "machine": sys.implementation._machine,
    }
    head["version"] = sys.version
    head["calibration"] = _calibration(setup)
    head = json.dumps(head)
    print("H", head, hex(crc32(head.encode())))
    due = start
    gc.collect()
    try:
        while not samples or number < samples:
            left = (due - ticks()) & _MASK
            while 0 < left < _HALF:
                sleep(left if left < nap else nap)
                left = (due - ticks()) & _MASK
            over = (-left & _MASK) // period
            if over:  # periods slept through
                if have:
                    _say("S", memoryview(record)[: 8 + have * size])
                    have = 0
                if samples and over > samples - number:
                    over = samples - number  # what was never asked for is not lost
                lost += over
                number += over
                due = (due + over * period) & _MASK
                if samples and number >= samples:
                    break
            now = ticks() & _MASK
            flag = 0
            try:
                t_ms = sensor.read(row)
                if t_ms == -1:
                    break
                if t_ms == last:
                    flag = 2
                    stale += 1
                last = t_ms
            except Exception as error:
                errors += 1
                flag = 1
                if errors == 1:
                    print("X", repr(error))
            if not have:
                struct.pack_into("<II", record, 0, number, lost)
            at = 8 + have * size
            struct.pack_into("<HH", record, at, now & 0xFFFF, now >> 16 | flag << 14)
            record[at + 4 : at + size] = bytes(row)
            have += 1
            taken += 1
            number += 1
            due = (due + period) & _MASK
            if have == block:
                _say("S", record)
                have = 0
    except KeyboardInterrupt:
        pass
    if have:
        _say("S", memoryview(record)[: 8 + have * size])
    _say("E", struct.pack("<IIII", taken, lost, errors, stale))
