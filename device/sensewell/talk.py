"""What is said over the link: frames, and the verbs by which hosts ask a running node and stream a bundle to it.

Knows the node's counters and install.py; it must not prove or switch anything: for that a host stops the program. What
is to be done is cut into steps of at most a few ms (but for what a flash takes to erase a block), and a step is only
taken while the longest of the last ones would end before the next sample is due, or as the first one behind a sample.

A frame is a line of printable ASCII, so that no Ctrl-C is ever in it, of at most 255 bytes, as some consoles hold no
more. One at a time: a host waits for its answer.

    to the board    #sw LLL CCCCCCCC NUMBER VERB ARGUMENTS
    answers         =sw LLL CCCCCCCC NUMBER more BASE64        any number of them (ok BYTES tells if one is lost), then
                    =sw LLL CCCCCCCC NUMBER ok WORDS      or   =sw LLL CCCCCCCC NUMBER no REASON WORDS

LLL: bytes behind the space that follows the CRC, decimal; CCCCCCCC: their CRC-32, hexadecimal; NUMBER: the host's own,
"-" where the frame could not be read. Whatever else the program prints stands on lines of its own.

| verb                  | answer                                                                                  |
|-----------------------|-----------------------------------------------------------------------------------------|
| hello                 | ok VERSION of all this                                                                  |
| board                 | JSON: machine, version, mpy, device, path of the bundle that runs                       |
| health                | JSON: see _do_health                                                                    |
| read PATH AT BYTES    | a piece of a file, ok BYTES; link.file                                                  |
| have BYTES SHA256     | ok BYTES SHA256: how much of this bundle has arrived before; link.probation: not now    |
| begin AT AGAIN        | makes the idle slot ready for it, see Install.begin: ok AT                              |
| data AT BASE64        | the next bytes: ok AT, of the next ones; link.offset AT                                 |
| copy AT FROM BYTES    | the next bytes, from the bundle that runs: the same                                     |
| end                   | all of it is on flash, and its SHA-256 right: ok; slots.size, slots.hash                |

Reasons besides those of install.py: link.frame, link.verb, link.order, link.memory, link.failed. A host that says
nothing for three seconds is gone: what has arrived stays, to be gone on with.
"""

import gc
import os
import sys
from binascii import a2b_base64, b2a_base64, crc32, hexlify, unhexlify

from sensewell.refusal import Refused

try:
    from time import sleep_us, ticks_ms, ticks_us

    from micropython import const
except ImportError:
    from sensewell._port import micropython, sleep_us, ticks_ms, ticks_us

    const = micropython.const

VERSION = "1"
_FRAME = const(255)
_HEAD = const(17)
_GULP = const(64)  # bytes heard in a step
_PIECE = const(72)  # bytes of an answer in a line: a slow console takes 10 ms for it
_BLOCK = const(512)  # of files
_MOST = const(1024)
_SLICE_US = const(1000)  # how long an answer may be late
_SPARE_US = const(500)
_QUIET_MS = const(3000)
_T_MASK = const((1 << 30) - 1)


class Talk:
    """A conversation. link: see there. Call it with the us until the next sample; False: it is over."""

    def __init__(self, link):
        self._link = link
        self._line = bytearray(_FRAME)
        self._line[0] = 35
        self._n = 1  # bytes of the line so far; 0: it is none
        self._job = self._slots = self._install = None
        self._number = "-"
        self._at = -1  # of the bundle: where the next bytes go
        self._left = self._longest = 0
        self._heard = ticks_ms()

    def __call__(self, left_us):
        try:
            return self._turn(left_us)
        except Exception:  # no memory for an answer: what has arrived must not stay open, nor the code in RAM
            self.close()
            return False

    def _turn(self, left_us):
        first = left_us > self._left
        self._left = left_us
        if not first and left_us < self._longest:
            self._left = 0  # what comes next is the first of the next sample, however long that leaves
            sleep_us(left_us)
            return True
        start = ticks_us()
        if self._job:
            self._step(self._job)
        elif (ticks_ms() - self._heard) & _T_MASK > _QUIET_MS:  # noise is no word
            self.close()
            return False
        elif not self._hear():
            sleep_us(left_us if left_us < _SLICE_US else _SLICE_US)
            return True
        cost = ((ticks_us() - start) & _T_MASK) + _SPARE_US
        self._longest = max(cost, self._longest >> 1)
        return True

    def close(self):
        """What has arrived is on flash then, and what only a conversation needs is dropped from RAM."""
        self._job = None
        install = self._install
        self._install = self._slots = None
        if install:
            install.pause()
        if sys.implementation.name == "micropython":
            import sensewell

            for name in ("talk", "install", "slots", "journal"):
                if sys.modules.pop("sensewell." + name, None) and hasattr(sensewell, name):
                    setattr(sensewell, name, None)  # the slot of a deleted attribute would keep the old value alive
                    delattr(sensewell, name)

    # -- frames --------------------------------------------------------------------------------------------------------
    def _hear(self):
        # Some of what has come, at most to the end of a line; False: nothing has. Most of the time goes by here
        link = self._link
        poll = link.poll
        take = link.take
        byte = link.byte
        line = self._line
        n = self._n
        left = _GULP
        while left:
            for _ in poll(0):
                break
            else:
                break
            if not take(byte):  # the stream has ended
                break
            left -= 1
            c = byte[0]
            if c == 35:
                n = 0
            elif not n:
                continue
            elif c < 32:
                self._n = 0
                self._frame(bytes(line[:n]))
                return True
            if n == _FRAME:
                n = 0
            else:
                line[n] = c
                n += 1
        self._n = n
        return left < _GULP

    def _frame(self, line):
        if line[:4] != b"#sw ":
            return
        self._heard = ticks_ms()
        body = line[_HEAD:]
        try:
            if int(line[4:7]) != len(body) or int(line[8:16], 16) != crc32(body):
                raise ValueError
            words = body.decode().split(" ")
            verb = words[1]
        except Exception:
            self._number = "-"
            self._say("no link.frame")
            return
        self._number = words[0]
        try:
            job = getattr(self, "_do_" + verb, None)
            if not job:
                raise Refused("link.verb", verb)
            self._job = job(*words[2:])
        except Exception as error:
            self._refuse(error)

    def _step(self, job):
        try:
            next(job)
            return
        except StopIteration as end:
            self._job = None
            self._say("ok " + (end.value or ""))
        except Exception as error:
            self._job = None
            self._refuse(error)
        self._heard = ticks_ms()

    def _refuse(self, error):
        if isinstance(error, Refused):
            self._say("no " + error.reason + str(error)[len(error.reason) + 1 :][:120])
        elif isinstance(error, MemoryError):
            self._say("no link.memory")
        else:
            self._say("no link.failed " + repr(error)[:120])

    def _say(self, text):
        body = (self._number + " " + text).encode()
        print("=sw %03d %08x %s" % (len(body), crc32(body), body.decode()))

    def _send(self, data):
        for at in range(0, len(data), _PIECE):
            self._say("more " + b2a_base64(data[at : at + _PIECE]).decode().rstrip())
            yield
        return str(len(data))

    # -- asking --------------------------------------------------------------------------------------------------------
    def _do_hello(self):
        yield
        return VERSION

    def _do_board(self):
        device = None
        try:
            from machine import unique_id

            device = hexlify(unique_id()).decode()
        except ImportError:
            pass
        it = sys.implementation
        facts = {
            "machine": getattr(it, "_machine", ""),
            "version": ".".join([str(n) for n in it.version[:3]]),
            "mpy": getattr(it, "_mpy", 0),
            "device": device,
            "path": self._link.about[0],
        }
        yield
        return (yield from self._send_json(facts))

    def _do_health(self):
        # sources, refused: counts in the order of words.SOURCES and reasons.REASONS
        node = self._link.node
        way = node.pipeline
        decision = way.arbiter.decision
        rule = decision.rule_id
        keeping = self._link.keeping
        facts = {
            "bundle": self._link.about[1],
            "version": self._link.about[2],
            "runs_s": (node.samples + node.lost) * way.period_ms // 1000,
            "period_ms": way.period_ms,
            "samples": node.samples,
            "windows": way.windows,
            "decisions": node.decisions,
            "bad": way.bad,
            "refused": list(way.guard.counters),
            "sources": list(way.sources),
            "quality_pct": way.window.quality_pct,
            "misses": way.misses,
            "lost": node.lost,
            "sensor_errors": node.sensor_errors,
            "output_errors": node.output_errors,
            "late_us": node.late.max_us,
            "window_us": node.window_cost.max_us,
            "free": gc.mem_free() if hasattr(gc, "mem_free") else 0,
            "probation": bool(keeping) and keeping[0].on_probation,
            "refusal": way.refusal,
            "note": decision.note,
            "label": decision.label,
            "confidence_pct": decision.confidence_pct,
            "source": decision.source_id,
            "cause": decision.cause_id,
            "rule": decision.rule_names[rule] if rule >= 0 else "",
        }
        yield
        return (yield from self._send_json(facts))

    def _send_json(self, facts):
        from json import dumps

        text = dumps(facts).encode()
        yield
        return (yield from self._send(text))

    def _do_read(self, path, at, size):
        try:
            with open(path, "rb") as file:
                file.seek(int(at))
                data = file.read(max(0, min(int(size), _MOST)))
        except OSError:
            raise Refused("link.file", path)
        yield
        return (yield from self._send(data))

    # -- installing ----------------------------------------------------------------------------------------------------
    def _do_have(self, size, digest):
        self._at = -1
        if self._install:
            self._install.pause()
        self._size = int(size)
        self._digest = unhexlify(digest)
        if not 0 < self._size < 1 << 30 or len(self._digest) != 32:
            raise Refused("slots.size", size)
        # a module a step: loading takes its time
        from sensewell.journal import Journal  # noqa: F401

        yield
        from sensewell.slots import Slots

        yield
        from sensewell.install import Install

        yield
        keeping = self._link.keeping
        self._slots = slots = keeping[0] if keeping else Slots(_unproven)
        yield
        if not slots.journals:
            raise Refused("link.journal")
        if slots.on_probation:
            raise Refused("link.probation", "the bundle that runs must show itself first")
        self._install = install = Install(slots, self._size, self._digest)
        path = install.arriving()
        there, found = (yield from _digest(path)) if path else (0, b"")
        if there > self._size:
            there = 0
        return "%d %s" % (there, hexlify(found).decode() if there else "-")

    def _do_begin(self, at, again):
        if not self._install:
            raise Refused("link.order", "have comes first")
        self._at = -1
        self._install.pause()
        self._install.begin(int(at), again == "1", True)
        self._at = int(at)
        yield
        return at

    def _do_data(self, at, text):
        block = a2b_base64(text.encode())
        if self._goes_on(int(at), len(block)):
            self._write(block)
        else:
            yield
        return str(self._at)

    def _do_copy(self, at, source, size):
        at = int(at)
        left = int(size)
        if self._goes_on(at, left):
            with open(self._slots.path, "rb") as file:
                file.seek(int(source))
                while left > 0:
                    block = file.read(min(left, _BLOCK))
                    if not block:
                        raise Refused("link.file", "it ends there")
                    self._write(block)
                    left -= len(block)
                    yield
        yield
        return str(self._at)

    def _do_end(self):
        if self._at < 0:
            raise Refused("link.order", "begin comes first")
        self._install.pause()
        there, found = yield from _digest(self._install.path)
        if there != self._size:
            raise Refused("slots.size", "%d of %d bytes" % (there, self._size))
        if found != self._digest:
            raise Refused("slots.hash")

    def _goes_on(self, at, size):
        # False: these bytes are there, and only the answer was lost
        if self._at < 0:
            raise Refused("link.order", "begin comes first")
        if at + size == self._at:
            return False
        if at != self._at:
            raise Refused("link.offset", str(self._at))
        return True

    def _write(self, block):
        at = self._at
        self._at = -1
        self._install.write(block)
        self._at = at + len(block)


def _digest(path):
    # Steps to (bytes, SHA-256) of a file; (0, b"") where there is none
    from hashlib import sha256

    state = sha256()
    size = 0
    block = bytearray(_BLOCK)
    try:
        os.stat(path)
    except OSError:
        return 0, b""
    with open(path, "rb") as file:
        while True:
            n = file.readinto(block)
            if not n:
                return size, state.digest()
            state.update(memoryview(block)[:n])
            size += n
            yield


def _unproven(path):
    raise Refused("link.journal", "the flash has lost it")
