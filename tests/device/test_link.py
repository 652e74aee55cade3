"""The link: frames in, answers out; a bundle that arrives in pieces; nothing that comes can end or stop a node."""

import gc
import hashlib
import json
import os
from array import array
from binascii import a2b_base64, b2a_base64, crc32, hexlify

from lcg import Lcg
from sensewell.install import Install
from sensewell.link import Link
from sensewell.node import Node
from sensewell.refusal import Refused
from sensewell.slots import Slots
from sensewell.talk import Talk

try:
    from select import POLLIN, poll
    from sys import stdin

    from micropython import heap_lock, heap_unlock
except ImportError:
    heap_lock = None

FOLDER = "link_under_test"


class Stream:
    """What a host sends; both a stream and its poller."""

    def __init__(self, data=b""):
        self.data = data
        self.at = 0

    def ipoll(self, timeout_ms):
        assert timeout_ms == 0
        return ((self, 1),) if self.at < len(self.data) else ()

    def readinto(self, buffer):
        buffer[0] = self.data[self.at]
        self.at += 1
        return 1


class Decision:
    rule_names = ("over",)
    label = "walk"
    note = "unsigned"
    confidence_pct = 70
    source_id = 2
    cause_id = 0
    rule_id = 0


class Pipeline:
    """As much of one as a node asks for in this test."""

    n_channels = 1
    rate_hz = 1000
    period_ms = 1
    windows = misses = bad = 3
    refusal = ""
    sources = array("i", [1, 0, 2, 0])
    best = -1

    def __init__(self):
        self.guard = self.window = self.arbiter = self
        self.counters = array("i", [0] * 9)
        self.quality_pct = 100
        self.decision = Decision()

    def feed(self, row, t_ms):
        return None

    def idle(self, t_ms):
        return None


class Sensor:
    left = 0

    def read(self, row):
        self.left -= 1
        return 5 if self.left >= 0 else -1


class Heard(Talk):
    """A talk whose answers are kept."""

    def __init__(self, link):
        self.said = []
        Talk.__init__(self, link)

    def _say(self, text):
        self.said.append(self._number + " " + text)


def _link(data=b"", keeping=None):
    stream = Stream(data)
    node = Node(Pipeline(), Sensor(), 1000)
    link = Link(node, [] if keeping is None else keeping, ["/slot/a.swb", "tiny", 4], stream, stream)
    node.sleep_us = link
    return link, stream


def frame(body):
    body = body.encode()
    return b"#sw %03d %08x %s\r" % (len(body), crc32(body), body)


class Host:
    """Says frames to a talk, and hears it."""

    def __init__(self, keeping=None):
        self.link, self.stream = _link(b"", keeping)
        self.talk = Heard(self.link)

    def hears(self, data):
        """Answers to these bytes."""
        self.stream.data = data
        self.stream.at = 0
        self.talk.said = []
        for _ in range(20000):
            if not self.talk._job and self.stream.at == len(data):
                break
            assert self.talk(1 << 28)
        assert not self.talk._job, "it does not come to an end"
        return self.talk.said

    def ask(self, words):
        """The words of an answer without data."""
        said = self.hears(frame("7 " + words))
        assert len(said) == 1 and said[0].startswith("7 "), said
        return said[0][2:]

    def fetch(self, words):
        said = self.hears(frame("7 " + words))
        data = b"".join([a2b_base64(line[7:].encode()) for line in said[:-1] if line[:7] == "7 more "])
        assert said[-1] == "7 ok %d" % len(data), said
        return data


# -- frames ------------------------------------------------------------------------------------------------------------
def test_a_frame_is_answered_under_its_number():
    host = Host()
    assert host.hears(frame("12 hello")) == ["12 ok 1"]
    assert host.hears(b"noise\r\n# a comment\r" + frame("13 hello")) == ["13 ok 1"]
    assert host.hears(b"#sw 00" + frame("14 hello")) == ["14 ok 1"]  # one was cut off
    assert host.hears(frame("a hello") + frame("b hello")) == ["a ok 1", "b ok 1"]


def test_what_is_not_whole_is_refused_by_name():
    host = Host()
    good = frame("5 hello")
    for at in range(4, len(good) - 1):
        for bit in (1, 4):
            bad = bytearray(good)
            bad[at] ^= bit
            said = host.hears(bytes(bad))
            # the space behind a number and upper-case hexadecimal mean the same
            assert said == ["- no link.frame"] or said == ["5 ok 1"] and at in (7, 16), (bad, said)
    assert host.hears(good[:-3] + b"\r") == ["- no link.frame"]
    assert host.hears(frame("lonely")) == ["- no link.frame"]
    assert host.hears(b"#sw " + b"x" * 400 + b"\r") == []  # longer than any frame
    assert host.hears(good) == ["5 ok 1"]


def test_verbs_that_are_none_and_wrong_words_are_refused():
    host = Host()
    assert host.ask("sing").startswith("no link.verb")
    assert host.ask("__init__").startswith("no link.verb")
    for words in ("hello you", "read", "read /x 1", "have 5", "have x y", "copy 1"):
        assert host.ask(words).startswith("no link.failed"), words
    for size, digest in ((-1, "00" * 32), (0, "00" * 32), (1 << 30, "00" * 32), (9, "00")):
        assert host.ask("have %d %s" % (size, digest)).startswith("no slots.size")
    assert host.ask("read no/such/file 0 10").startswith("no link.file")
    with open("a_file", "wb") as file:
        file.write(bytes(3000))
    assert host.fetch("read a_file 0 -1") == b"" and len(host.fetch("read a_file 0 99999")) == 1024
    os.remove("a_file")
    for words in ("begin 0 0", "data 0 AAAA", "copy 0 0 8", "end"):
        assert host.ask(words).startswith("no link.order"), words


def test_health_is_what_the_node_and_its_stations_count():
    host = Host()
    found = json.loads(host.fetch("health"))
    assert found["bundle"] == "tiny" and found["version"] == 4 and found["period_ms"] == 1
    assert (found["label"], found["rule"], found["note"]) == ("walk", "over", "unsigned")
    assert found["sources"] == [1, 0, 2, 0] and found["refused"] == [0] * 9 and not found["probation"]
    assert json.loads(host.fetch("board"))["path"] == "/slot/a.swb"


def test_random_bytes_neither_end_nor_stop_it():
    lcg = Lcg(3)
    host = Host()
    alphabet = b"#sw 0123456789abcdef\r\n helo read data begin end have copy"
    for turn in range(60):
        noise = bytearray()
        for _ in range(200):
            noise.append(lcg.next(256) if turn & 1 else alphabet[lcg.next(len(alphabet))])
        host.hears(bytes(noise))
        assert host.hears(b"\r" + frame("9 hello"))[-1] == "9 ok 1"


def test_random_words_in_sound_frames_neither_end_nor_stop_it():
    lcg = Lcg(5)
    words = ("hello", "read", "have", "begin", "data", "copy", "end", "-1", "0", "99999999999", "AAAA", "=", "", "/")
    host = Host([_slots()])
    for _ in range(150):
        text = " ".join([words[lcg.next(len(words))] for _ in range(1 + lcg.next(4))])
        assert host.hears(frame("7 " + text)), text
    assert host.ask("hello") == "ok 1"
    _clear()


# -- in the place of a sleep -------------------------------------------------------------------------------------------
def test_a_node_takes_its_samples_whatever_comes():
    lcg = Lcg(7)
    noise = bytes([lcg.next(128) for _ in range(600)]) + b"#sw " + frame("1 nothing")
    link, stream = _link(noise)
    link.node.sensor.left = 700  # more than there are bytes: a wait may take but one
    assert link.node.run() == 700
    assert stream.at == len(noise)


def test_a_talk_that_fails_is_over_and_the_node_goes_on():
    link, _ = _link()

    def broken(left_us):
        raise ValueError

    link._talk = broken
    link.node.sensor.left = 20
    assert link.node.run() == 20 and link._talk is None


def test_silence_ends_a_talk():
    host = Host()
    host.talk._heard -= 4000
    assert host.talk(1000) is False


def test_noise_without_end_is_as_good_as_silence():
    host = Host()
    host.stream.data = b"noise # \r" * 100
    assert host.talk(1 << 28) is True
    host.talk._heard -= 4000
    assert host.talk(1 << 28) is False and host.stream.at < len(host.stream.data)


def test_a_talk_that_has_no_memory_left_closes_what_has_arrived():
    slots = _slots()
    new = _bundle(2)
    host = Host([slots])
    _have(host, new)
    assert host.ask("begin 0 0") == "ok 0"
    _data(host, new, 0, 720)
    install = host.talk._install

    def say(text):
        raise MemoryError

    host.talk._say = say
    host.stream.data = frame("7 hello")
    host.stream.at = 0
    left = 100
    while host.talk(1 << 28):
        left -= 1
        assert left
    assert install._file is None and host.talk._install is None
    assert Install(slots, 2000, hashlib.sha256(new).digest()).partial()[0] == 720
    _clear()


def test_nothing_is_allocated_while_nobody_talks():
    if not heap_lock:
        return  # not a board
    poller = poll()
    stream = getattr(stdin, "buffer", stdin)
    poller.register(stream, POLLIN)
    link, _ = _link()
    link = Link(link.node, [], [], stream, poller)
    link(10)
    gc.collect()
    before = gc.mem_alloc()
    heap_lock()
    for _ in range(50):
        link(10)
    heap_unlock()
    assert gc.mem_alloc() == before


# -- a bundle that arrives ---------------------------------------------------------------------------------------------
def _clear():
    try:
        for name in os.listdir(FOLDER):
            os.remove(FOLDER + "/" + name)
        os.rmdir(FOLDER)
    except OSError:
        pass


def _prove(path):
    return 1, 1


def _slots():
    """One bundle of 2,000 bytes, confirmed, in slot a."""
    _clear()
    slots = Slots(_prove, FOLDER)
    data = _bundle(1)
    job = Install(slots, len(data), hashlib.sha256(data).digest())
    job.begin()
    job.write(data)
    job.commit()
    slots.switch()
    slots.confirm()
    return Slots(_prove, FOLDER)


def _bundle(seed):
    lcg = Lcg(seed)
    return bytes([lcg.next(256) for _ in range(2000)])


def _have(host, data):
    return host.ask("have %d %s" % (len(data), hexlify(hashlib.sha256(data).digest()).decode()))


def _data(host, data, start, end):
    for at in range(start, end, 144):
        block = data[at : min(at + 144, end)]
        said = host.ask("data %d %s" % (at, b2a_base64(block).decode().rstrip()))
        assert said == "ok %d" % (at + len(block)), said


def test_a_bundle_comes_in_pieces_and_goes_on_after_a_silence():
    slots = _slots()
    new = _bundle(2)
    host = Host([slots])
    assert _have(host, new) == "ok 0 -"
    assert host.ask("begin 0 0") == "ok 0"
    _data(host, new, 0, 720)
    assert host.ask("data 0 AAAA") == "no link.offset 720"
    assert host.ask("data 576 " + b2a_base64(new[576:720]).decode().rstrip()) == "ok 720"  # an answer was lost
    assert host.ask("end").startswith("no slots.size")
    host.talk.close()

    host = Host([slots])
    assert _have(host, new) == "ok 720 " + hexlify(hashlib.sha256(new[:720]).digest()).decode()
    assert host.ask("begin 0 0") == "ok 0" and host.ask("begin 720 0").startswith("no slots.partial")
    assert host.ask("begin 0 0") == "ok 0"
    _data(host, new, 0, 2000)
    assert host.ask("data 2000 AAAA").startswith("no slots.size")
    assert _have(host, new).startswith("ok 2000 ")
    assert host.ask("begin 2000 0") == "ok 2000"
    assert host.ask("end") == "ok "
    Install(slots, 2000, hashlib.sha256(new).digest()).commit()
    slots.switch()
    assert slots.path.endswith("b.swb")
    _clear()


def test_pieces_are_copied_from_the_bundle_that_runs():
    slots = _slots()
    old = _bundle(1)
    new = _bundle(3)[:496] + old[16:1016] + _bundle(4)[:504]
    host = Host([slots])
    _have(host, new)
    assert host.ask("begin 0 0") == "ok 0"
    _data(host, new, 0, 496)
    assert host.ask("copy 496 16 1000") == "ok 1496"
    assert host.ask("copy 496 16 1000") == "ok 1496"
    _data(host, new, 1496, 2000)
    assert host.ask("end") == "ok "
    assert host.ask("copy 2000 1990 20").startswith("no ")
    _clear()


def test_what_is_not_what_it_should_be_is_refused():
    slots = _slots()
    new = _bundle(2)
    host = Host([slots])
    _have(host, new)
    assert host.ask("begin 0 0") == "ok 0"
    _data(host, new[:999] + b"?" + new[1000:], 0, 2000)
    assert host.ask("end").startswith("no slots.hash")
    assert slots.path.endswith("a.swb")

    slots.journal.flags |= 1
    assert _have(host, new).startswith("ok")
    assert host.ask("begin 0 0").startswith("no slots.pinned")
    slots.journal.flags = 0
    slots.journal.slots[0].state = 3
    assert _have(host, new).startswith("no link.probation")
    _clear()


def test_a_lost_journal_is_the_prompts_affair():
    slots = _slots()
    slots.journals = 0
    host = Host([slots])
    assert _have(host, _bundle(2)).startswith("no link.journal")
    _clear()


def test_reasons_are_those_of_what_was_raised():
    host = Host()

    def job(error):
        raise error
        yield

    for error, said in (
        (Refused("slots.full", "28"), "no slots.full"),
        (MemoryError(), "no link.memory"),
        (KeyError("x"), "no link.failed"),
    ):
        host.talk._job = job(error)
        found = host.hears(b"")
        assert len(found) == 1 and found[0].startswith("- " + said), found
