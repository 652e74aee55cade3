"""The trust root on flash: taken, followed, and what becomes of it when the flash forgets or the power goes."""

import hashlib
import os

from roots import RELEASE, ROOT, root_file
from sensewell import trust_store
from sensewell.refusal import Refused

FOLDER = "t_trust"
SECOND = {"version": 2, "keys": {1: ROOT, 2: ROOT, 4: RELEASE}}
THIRD = {"version": 3, "keys": {2: ROOT, 5: RELEASE}}


def clean():
    for name in ("/a", "/b", ""):
        try:
            (os.remove if name else os.rmdir)(FOLDER + name)
        except OSError:
            pass


def version():
    root = trust_store.stored(FOLDER)
    return root.version if root else None


def spoil(name, at, end=None):
    with open(FOLDER + name, "rb") as file:
        data = bytearray(file.read())
    if end is None:
        data[at] ^= 4
    with open(FOLDER + name, "wb") as file:
        file.write(data[:end])


def test_the_newest_whole_one_counts_and_a_damaged_file_brings_back_no_older_one():
    clean()
    try:
        assert version() is None
        assert trust_store.store(root_file(1), FOLDER).version == 1 and version() == 1
        assert trust_store.store(root_file(1, **SECOND), FOLDER).version == 2 and version() == 2
        assert trust_store.store(root_file(1, 2, **THIRD), FOLDER).version == 3 and version() == 3
        newest = [name for name in ("/a", "/b") if os.stat(FOLDER + name)[6] > 0]
        assert len(newest) == 2
        for at in (0, 9, 30, 100, -1, -40):
            for name in newest:
                before = version()
                spoil(name, at)
                assert version() == before == 3
                spoil(name, at)
        for end in (0, 5, 31, 32, 33, 90):
            kept = {}
            for name in newest:
                with open(FOLDER + name, "rb") as file:
                    kept[name] = file.read()
            for name in newest:
                spoil(name, 0, end)
                assert version() == 3, (name, end)
                with open(FOLDER + name, "wb") as file:
                    file.write(kept[name])
        with open(FOLDER + "/b", "wb") as file:  # cut between the two
            data = root_file(1, **SECOND)
            file.write(data + hashlib.sha256(data).digest())
        assert version() == 3
        for name in newest:
            spoil(name, 12)
        assert version() is None  # as never given one: the wire brings it anew
        assert trust_store.store(root_file(1), FOLDER).version == 1 and version() == 1
        for name in newest:  # and a second time at once
            spoil(name, 20)
            assert version() == 1
            spoil(name, 20)
    finally:
        clean()


def test_what_may_not_follow_changes_nothing():
    clean()
    try:
        trust_store.store(root_file(1, **SECOND), FOLDER)
        for data, reason in (
            (root_file(1), "trust.rollback"),
            (root_file(2, **THIRD)[:-8], "signature.block"),
            (root_file(3, version=3, keys={3: ROOT, 5: RELEASE}), "trust.too_few_old"),
            (b"", "trust.truncated"),
        ):
            try:
                trust_store.store(data, FOLDER)
                raise AssertionError("taken: " + reason)
            except Refused as e:
                assert e.reason == reason, (e.reason, reason)
            assert version() == 2
    finally:
        clean()
