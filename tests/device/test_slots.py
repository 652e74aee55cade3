"""Slots, installing and commands: every step, every refusal by name, and what is found after files were damaged."""

import hashlib
import os

from sensewell import command
from sensewell.install import Install
from sensewell.journal import Journal
from sensewell.refusal import Refused
from sensewell.slots import Slots
from signer import reason_of

FOLDER = "slots_under_test"


def _clear():
    try:
        for name in os.listdir(FOLDER):
            os.remove(FOLDER + "/" + name)
        os.rmdir(FOLDER)
    except OSError:
        pass


def _bundle(version, counter=None, size=900):
    """A stand-in for a bundle: "B", version, counter, filling."""
    head = b"B %d %d " % (version, version if counter is None else counter)
    return head + bytes([version]) * (size - len(head))


def _prove(path):
    with open(path, "rb") as file:
        data = file.read()
    words = data.split(b" ")
    if words[0] != b"B":
        raise Refused("bundle.magic")
    return int(words[1]), int(words[2])


def _slots(prove=_prove):
    return Slots(prove, FOLDER)


def _fresh():
    _clear()
    return _slots()


def _job(slots, data):
    return Install(slots, len(data), hashlib.sha256(data).digest())


def _install(slots, data, **how):
    job = _job(slots, data)
    job.begin(**how)
    for at in range(0, len(data), 400):
        job.write(data[at : at + 400])
    job.commit()
    return job


def _update(slots, data):
    _install(slots, data)
    slots.switch()
    slots.boot("power")
    slots.confirm()


def _two():
    """Slots with version 1 in a, 2 in b; 2 is active."""
    slots = _fresh()
    _update(slots, _bundle(1))
    _update(slots, _bundle(2))
    return slots


def _on_probation():
    """As _two, and version 3 in slot a on probation, at its first start."""
    slots = _two()
    _install(slots, _bundle(3))
    slots.switch()
    slots.boot("power")
    return slots


def _version(slots):
    return _prove(slots.path)[0] if slots.path else None


def _states(slots):
    said = command.status(slots)["slots"]
    return said["a"]["state"] + " " + said["b"]["state"]


def _flip(name, at=50):
    path = FOLDER + "/" + name
    with open(path, "rb") as file:
        data = bytearray(file.read())
    data[at] ^= 4
    with open(path, "wb") as file:
        file.write(data)


# -- installing --------------------------------------------------------------------------------------------------------
def test_a_new_board_has_nothing_to_run_and_writes_nothing():
    slots = _fresh()
    assert slots.boot() is None and slots.why == "slots.empty" and not slots.safe
    assert FOLDER not in os.listdir()
    assert command.status(slots)["active"] is None


def test_a_first_installation_runs_and_is_confirmed():
    slots = _fresh()
    _install(slots, _bundle(1))
    assert slots.path is None and _states(slots) == "whole empty"
    assert slots.switch() == FOLDER + "/a.swb"
    slots = _slots()
    assert slots.boot("power") == FOLDER + "/a.swb" and slots.why == "probation" and slots.on_probation
    slots.confirm()
    slots = _slots()
    assert slots.boot("power") and slots.why == "confirmed" and _version(slots) == 1
    said = command.status(slots)
    assert (said["active"], said["floor"], said["slots"]["a"]["tries"]) == ("a", 1, 2)
    assert said["slots"]["a"]["sha256"] == hashlib.sha256(_bundle(1)).digest()[:16].hex()


def test_the_idle_slot_takes_the_next_one_by_turns():
    slots = _two()
    assert command.status(slots)["active"] == "b" and _states(slots) == "confirmed confirmed"
    _update(slots, _bundle(3))
    assert command.status(slots)["active"] == "a" and _version(slots) == 3
    assert _prove(slots.path_of(1)) == (2, 2)


def test_while_one_arrives_the_active_one_is_untouched():
    slots = _two()
    job = _job(slots, _bundle(3))
    job.begin()
    job.write(_bundle(3)[:500])
    assert _version(_slots()) == 2
    job.pause()
    slots = _slots()
    assert slots.boot() and _version(slots) == 2 and _states(slots) == "writing confirmed"


def test_an_interrupted_installation_goes_on_where_it_was():
    slots = _two()
    data = _bundle(3)
    job = _job(slots, data)
    assert job.partial() == (0, None)
    job.begin()
    job.write(data[:500])
    job.pause()
    slots = _slots()
    job = _job(slots, data)
    assert job.partial() == (500, hashlib.sha256(data[:500]).digest())
    assert reason_of(job.begin, 499) == "slots.partial"
    assert reason_of(_job(slots, _bundle(4)).begin, 500) == "slots.partial"
    assert _job(slots, _bundle(4)).partial() == (0, None)
    job.begin(500)
    records = slots.journal.sequence
    job.write(data[500:])
    job.commit()
    assert job.is_there() and slots.journal.sequence == records + 1
    slots.switch()
    assert _version(slots) == 3


def test_what_arrives_wrong_is_refused_by_name_and_the_next_one_is_taken():
    slots = _two()
    good = _bundle(3)
    job = _job(slots, good)
    assert reason_of(job.commit) == "slots.nothing"
    job.begin()
    job.write(good[:600])
    assert reason_of(job.commit) == "slots.size"
    assert job.partial()[0] == 600
    assert reason_of(job.write, good[:301]) == "slots.size"
    job.write(bytes(300))
    assert reason_of(job.commit) == "slots.hash"
    assert "a.swb" not in os.listdir(FOLDER)
    bad = b"C" + good[1:]
    assert reason_of(_install, slots, bad) == "bundle.magic"
    said = command.status(_slots())
    assert (said["refused"], said["refused_slot"], said["slots"]["a"]["state"]) == ("bundle.magic", "a", "refused")
    assert _slots().boot() and _version(_slots()) == 2
    _update(slots, good)
    assert _version(_slots()) == 3


def test_no_memory_and_no_reading_in_the_proof_have_their_names():
    def no_memory(path):
        raise MemoryError

    def no_reading(path):
        raise OSError(5)

    _two()
    slots = _slots(no_memory)
    assert reason_of(_install, slots, _bundle(3)) == "slots.memory"
    slots = _slots(no_reading)
    assert reason_of(_install, slots, _bundle(3)) == "slots.read"
    assert _states(slots) == "writing confirmed"  # it may be tried again
    slots = _slots()
    _job(slots, _bundle(3)).commit()
    assert _states(slots) == "whole confirmed"


def test_the_active_bundle_is_not_installed_again_unless_it_is_damaged():
    slots = _two()
    assert reason_of(_install, slots, _bundle(2)) == "slots.active"
    _flip("b.swb")
    slots = _slots()
    assert slots.boot() and _version(slots) == 1 and slots.journal.cause == "slots.hash"
    _update(slots, _bundle(2))
    assert _version(_slots()) == 2


def test_what_is_in_the_idle_slot_already_is_only_proven_again():
    slots = _two()
    job = _job(slots, _bundle(2))
    assert not job.is_there()
    _install(slots, _bundle(3))
    job = _job(slots, _bundle(3))
    assert job.is_there()
    records = slots.journal.sequence
    job.commit()
    assert slots.journal.sequence == records
    _flip("a.swb")
    assert reason_of(job.commit) == "slots.hash"


def test_no_space_is_said_before_anything_is_written():
    _two()
    slots = _slots()
    said = command.status(slots)
    job = Install(slots, 1 << 40, b"\1" * 32)
    assert reason_of(job.begin) == "slots.space"
    assert command.status(_slots()) == said
    assert sorted(os.listdir(FOLDER)) == ["a.swb", "b.swb", "journal.0", "journal.1"]


# -- the floor ---------------------------------------------------------------------------------------------------------
def test_a_lower_release_counter_does_not_come_in_once_a_higher_one_is_confirmed():
    slots = _two()
    _install(slots, _bundle(5, counter=7))
    slots.switch()
    slots.boot("power")
    assert slots.journal.floor == 2  # not before it is confirmed
    slots.confirm()
    assert _slots().journal.floor == 7
    assert reason_of(_install, slots, _bundle(6, counter=6)) == "slots.rollback"
    assert _version(_slots()) == 5
    _install(slots, _bundle(6, counter=7))


def test_what_is_in_a_slot_may_be_returned_to_below_the_floor_but_not_be_committed():
    slots = _two()
    job = _job(slots, _bundle(1))
    assert job.is_there() and reason_of(job.commit) == "slots.rollback"
    command.roll_back(slots)
    assert slots.boot() and _version(slots) == 1 and slots.journal.floor == 2


def test_the_floor_is_reset_only_by_whoever_may_and_each_permission_serves_once():
    slots = _two()
    asked = []

    def never(message):
        raise Refused("signature.wrong")

    assert reason_of(command.reset_floor, slots, 1, never) == "signature.wrong"
    assert _slots().journal.floor == 2
    command.reset_floor(slots, 1, asked.append)
    assert asked == [b"SWFR" + bytes(4) + b"\2\0\0\0\1\0\0\0"]
    slots = _slots()
    assert (slots.journal.floor, slots.journal.resets) == (1, 1)
    assert command.floor_message(slots, 1) not in asked
    _install(slots, _bundle(6, counter=1))


def test_a_floor_that_was_set_back_stays_there_while_the_bundle_that_jumped_runs_on():
    slots = _two()
    _install(slots, _bundle(5, counter=1000000))
    slots.switch()
    slots.boot("power")
    slots.confirm()
    command.reset_floor(slots, 2, lambda message: None)
    for _ in range(2):
        slots = _slots()
        slots.boot("power")
        slots.confirm()
        assert _version(slots) == 5 and slots.why == "confirmed" and slots.journal.floor == 2
    command.pin(slots)
    command.unpin(slots)
    assert _slots().journal.floor == 2
    _install(slots, _bundle(6, counter=3))
    slots.switch()
    slots.boot("power")
    slots.confirm()
    assert _slots().journal.floor == 3


# -- probation ---------------------------------------------------------------------------------------------------------
def test_a_bundle_that_never_is_confirmed_returns_after_its_tries_with_the_cause():
    slots = _on_probation()
    for _ in range(2):
        slots = _slots()
        assert slots.boot("watchdog") and _version(slots) == 3
    slots = _slots()
    assert slots.boot("watchdog") and _version(slots) == 2 and slots.why == "confirmed" and not slots.safe
    said = command.status(slots)
    assert said["refused"] == "probation.watchdog" and said["refused_slot"] == "a"
    assert said["failed"] == [hashlib.sha256(_bundle(3)).digest()[:8].hex()]
    assert _version(_slots()) == 2


def test_a_bundle_that_failed_is_not_taken_again_unless_it_must():
    slots = _on_probation()
    assert slots.give_up("probation.quality") == FOLDER + "/b.swb"
    slots = _slots()
    assert slots.boot() and _version(slots) == 2 and command.status(slots)["refused"] == "probation.quality"
    assert reason_of(_install, slots, _bundle(3)) == "slots.failed_before"
    assert reason_of(slots.give_up, "probation.quality") == "slots.confirmed"
    _install(slots, _bundle(3), again=True)
    assert command.status(slots)["failed"] == []


def test_the_last_three_that_failed_are_remembered():
    slots = _two()
    for version in (3, 4, 5, 6):
        _install(slots, _bundle(version))
        slots.switch()
        slots.give_up("probation.silent")
    for version in (4, 5, 6):
        assert reason_of(_install, _slots(), _bundle(version)) == "slots.failed_before"
    _install(slots, _bundle(3))


def test_tries_are_given_back_where_the_run_was_stopped_and_not_taken_for_a_sleep():
    slots = _on_probation()
    assert slots.journal.slots[0].tries == 2
    slots.stopped()
    slots.stopped()
    assert _slots().journal.slots[0].tries == 3
    for _ in range(5):
        slots = _slots()
        slots.boot("power")
        slots.stopped()
    for _ in range(5):
        assert _slots().boot("wake")
    assert _slots().journal.slots[0].tries == 3
    slots = _slots()
    slots.switch()
    assert _version(slots) == 2
    slots.switch(1)
    assert _slots().journal.slots[0].tries == 1


def test_the_first_bundle_of_a_board_that_fails_stays_in_safe_mode_and_the_next_one_leaves_it():
    slots = _fresh()
    _install(slots, _bundle(1))
    slots.switch()
    slots.boot("power")
    slots.give_up("probation.confidence")
    slots = _slots()
    assert slots.boot("crash") and slots.safe and slots.why == "probation.confidence" and _version(slots) == 1
    slots.confirm()
    slots.stopped()
    assert reason_of(command.pin, slots) == "slots.safe"
    assert _slots().safe and reason_of(_install, _slots(), _bundle(1)) == "slots.failed_before"
    _update(slots, _bundle(2))
    slots = _slots()
    assert slots.boot() and not slots.safe and _version(slots) == 2


def test_safe_mode_is_left_by_command_on_probation():
    slots = _fresh()
    _install(slots, _bundle(1))
    slots.switch()
    slots.give_up("probation.lost")
    assert command.leave_safe(_slots()) == FOLDER + "/a.swb"
    slots = _slots()
    assert slots.boot() and slots.on_probation and not slots.safe
    slots.confirm()
    assert _slots().why == "confirmed"


def test_a_confirmed_bundle_that_starts_over_and_over_ends_in_safe_mode():
    _two()
    for _ in range(8):
        slots = _slots()
        assert slots.boot("watchdog") and not slots.safe
    slots = _slots()
    assert slots.boot("watchdog") and slots.safe and slots.why == "slots.starts" and _version(slots) == 2
    assert _slots().safe
    command.leave_safe(slots)
    slots = _slots()
    slots.boot()
    assert not slots.safe and slots.why == "confirmed" and slots.journal.starts == 1
    slots.confirm()
    assert _slots().journal.starts == 0


def test_starts_that_went_well_are_no_loop():
    _two()
    for _ in range(20):
        slots = _slots()
        slots.boot("power")
        slots.confirm()
    for _ in range(20):
        slots = _slots()
        slots.boot("power")
        slots.stopped()
    assert not _slots().safe
    records = slots.journal.sequence
    slots.confirm()
    assert slots.journal.sequence == records  # nothing new: nothing written


def test_a_bundle_on_probation_gives_way_to_the_next_and_the_confirmed_one_stays():
    slots = _on_probation()
    job = _job(slots, _bundle(4))
    assert job.begin() == FOLDER + "/a.swb"
    assert _version(_slots()) == 2 and _states(_slots()) == "writing confirmed"
    job.write(_bundle(4))
    job.commit()
    slots.switch()
    assert _version(_slots()) == 4
    assert command.status(slots)["failed"] == []


def test_two_in_a_row_on_probation_fall_back_one_after_the_other_and_end():
    slots = _fresh()
    _install(slots, _bundle(1))
    slots.switch()
    _install(slots, _bundle(2))
    slots.switch()
    assert _states(slots) == "whole probation"
    slots.give_up("probation.silent")
    assert _states(slots) == "probation refused"
    slots.give_up("probation.silent")
    slots = _slots()
    assert slots.boot() and slots.safe and _version(slots) == 1


# -- by command --------------------------------------------------------------------------------------------------------
def test_roll_back_and_forth():
    slots = _two()
    command.roll_back(slots)
    slots = _slots()
    assert slots.boot() and _version(slots) == 1 and slots.why == "confirmed"
    command.roll_back(slots)
    assert _version(_slots()) == 2
    slots = _fresh()
    assert reason_of(command.roll_back, slots) == "slots.nothing"
    assert reason_of(slots.switch) == "slots.nothing"
    _update(slots, _bundle(1))
    assert reason_of(command.roll_back, slots) == "slots.nothing"
    slots = _on_probation()
    command.roll_back(slots)
    assert _version(_slots()) == 2 and _states(_slots()) == "whole confirmed"


def test_a_pin_holds_until_it_is_taken_off():
    slots = _on_probation()
    command.pin(slots)
    slots = _slots()
    assert slots.boot() and slots.why == "confirmed" and slots.journal.floor == 3
    assert reason_of(_install, slots, _bundle(4)) == "slots.pinned"
    assert reason_of(slots.switch) == reason_of(command.roll_back, slots) == "slots.pinned"
    assert command.status(_slots())["pinned"]
    command.unpin(slots)
    _update(slots, _bundle(4))
    assert reason_of(command.pin, _fresh()) == "slots.nothing"


def test_no_pin_keeps_a_bundle_that_is_not_sound():
    slots = _two()
    command.pin(slots)
    _flip("b.swb")
    slots = _slots()
    assert slots.boot() and _version(slots) == 1 and not command.status(slots)["pinned"]


# -- damage ------------------------------------------------------------------------------------------------------------
def test_a_bundle_that_its_own_proof_refuses_gives_way_without_being_barred():
    slots = _two()
    slots.boot()
    assert slots.refuse("bundle.hash.model") == FOLDER + "/a.swb" and not slots.safe
    assert _version(_slots()) == 1 and command.status(slots)["refused"] == "bundle.hash.model"
    assert slots.refuse("bundle.memory") is None and slots.why == "bundle.memory"
    slots = _slots()
    assert slots.boot() and _version(slots) == 1  # tried again: there is no other
    _update(slots, _bundle(2))


def test_a_bundle_that_is_gone_or_the_only_one_and_damaged_is_named():
    slots = _two()
    os.remove(FOLDER + "/b.swb")
    slots = _slots()
    assert slots.boot() and _version(slots) == 1 and slots.journal.cause == "slots.missing"
    _flip("a.swb")
    slots = _slots()
    assert slots.boot() is None and slots.why == "slots.hash"
    records = slots.journal.sequence
    assert _slots().boot() is None
    assert _slots().journal.sequence <= records + 1
    _update(slots, _bundle(4))
    assert _version(_slots()) == 4


def test_every_bit_of_the_newest_record_may_flip_and_the_one_before_it_counts():
    slots = _two()
    newest = "journal.%d" % slots.journal._at
    path = FOLDER + "/" + newest
    with open(path, "rb") as file:
        record = file.read()
    assert len(record) == 128
    for at in range(0, 128):
        data = bytearray(record)
        data[at] ^= 1 << (at & 7)
        with open(path, "wb") as file:
            file.write(data)
        journal = Journal(FOLDER)
        assert journal.load() == 1 and journal.sequence == slots.journal.sequence - 1, at
    for cut in (record[:127], record + b"\0", b""):
        with open(path, "wb") as file:
            file.write(cut)
        assert Journal(FOLDER).load() == 1
    slots = _slots()
    assert slots.boot() and _version(slots) == 2 and slots.journals == 1
    slots.confirm()
    assert _slots().journals == 2


def test_without_a_journal_the_higher_sound_bundle_goes_on_probation():
    _two()
    for name in ("journal.0", "journal.1"):
        _flip(name, 10)
    slots = _slots()
    assert slots.boot("power") and _version(slots) == 2 and slots.on_probation
    said = command.status(slots)
    assert (said["floor"], said["refused"], said["slots"]["a"]["state"]) == (1, "slots.adopted", "whole")
    slots.give_up("probation.crash")
    assert _version(_slots()) == 1
    _two()
    os.remove(FOLDER + "/journal.0")
    os.remove(FOLDER + "/journal.1")
    _flip("b.swb", 0)
    slots = _slots()
    assert slots.boot("power") and _version(slots) == 1 and slots.journal.cause == "bundle.magic"
    os.remove(FOLDER + "/journal.0")
    os.remove(FOLDER + "/journal.1")
    _flip("a.swb", 0)
    slots = _slots()
    assert slots.boot("power") is None and slots.why == "bundle.magic"


def test_a_bundle_that_was_put_there_by_hand_is_adopted():
    _clear()
    os.mkdir(FOLDER)
    with open(FOLDER + "/a.swb", "wb") as file:
        file.write(_bundle(1))
    slots = _slots()
    assert slots.boot("power") and slots.on_probation and slots.journal.floor == 1
    slots.confirm()
    assert _slots().why == "confirmed"


def test_a_journal_that_cannot_be_written_stops_no_start_but_takes_no_uncounted_try():
    def no_store():
        raise OSError(28)

    slots = _two()
    slots.journal.store = no_store
    assert slots.boot() and not slots.safe and _version(slots) == 2
    slots = _on_probation()
    slots.journal.store = no_store
    assert slots.boot() and slots.safe and slots.why == "slots.journal"
    assert reason_of(slots.confirm) == "slots.journal"
    assert slots.on_probation  # as the flash has it
    slots = _two()
    slots.journal.store = no_store
    assert reason_of(_install, slots, _bundle(3)) == "slots.journal"
    assert _states(slots) == "confirmed confirmed" and _version(_slots()) == 2


def test_a_long_cause_is_cut_off():
    slots = _on_probation()
    slots.give_up("probation.a_name_that_is_too_long")
    assert _slots().journal.cause == "probation.a_name_that_is"


def test_nothing_is_left_behind():
    _clear()
    assert FOLDER not in os.listdir()
