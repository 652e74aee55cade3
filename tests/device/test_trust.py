"""Trust roots: thresholds, roles, rotations and revoked keys; every file that is not one is refused by its name."""

import hashlib
import os

from lcg import Lcg
from roots import BOTH, DIGEST, IDS, KEYS, block_by, root_body, root_file, signature_by, signed
from sensewell import signature, trust
from sensewell.trust import RELEASE, ROOT, Trust, accept
from signer import block, der, reason_of


def _why(data, old=None):
    return reason_of(accept, data, old)


def _check(root, *by, role=RELEASE):
    return reason_of(root.check, role, DIGEST, block_by(by))


TWO_OF_THREE = {1: ROOT, 2: ROOT, 3: ROOT, 4: RELEASE, 5: RELEASE}


# -- the first trust root, and bundles under it ------------------------------------------------------------------------
def test_a_first_trust_root_is_signed_by_its_own_root_keys():
    root = accept(root_file(1))
    assert (root.version, root.revoked) == (1, set())
    assert accept(root_file(1, 3, keys=TWO_OF_THREE, need=(2, 1))).version == 1
    assert _why(root_file(1, keys=TWO_OF_THREE, need=(2, 1))) == "trust.too_few_new"
    assert _why(root_file(4)) == "signature.role"
    assert _why(root_file(2)) == "trust.too_few_new"
    assert _why(signed(root_body())) == "signature.none"
    assert _why(root_body()) == "signature.none"
    assert accept(root_file(6, keys={6: BOTH})).check(RELEASE, DIGEST, block_by((6,))) == 1


def test_bundles_take_as_many_release_keys_as_the_threshold_says():
    one = accept(root_file(1))
    assert one.check(RELEASE, DIGEST, block_by((4,))) == 1
    two = accept(root_file(1, keys={1: ROOT, 4: RELEASE, 5: RELEASE, 6: BOTH}, need=(1, 2)))
    assert two.check(RELEASE, DIGEST, block_by((4, 5))) == 2
    assert two.check(RELEASE, DIGEST, block_by((6, 5, 4))) == 3
    assert _check(two, 4) == "signature.too_few"


def test_one_key_that_signs_twice_counts_once():
    two = accept(root_file(1, keys={1: ROOT, 4: RELEASE, 5: RELEASE}, need=(1, 2)))
    assert _check(two, 4, 4) == "signature.too_few"
    assert _check(two, 4, 4, 4, 5) is None
    n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    once = signature_by(4)
    rs = bytearray(64)
    assert signature._p256.parse(once, rs) == 0
    again = der(int.from_bytes(rs[:32], "big"), n - int.from_bytes(rs[32:], "big"))
    assert signature.verify(KEYS[4], DIGEST, again) is None
    assert reason_of(two.check, RELEASE, DIGEST, block((KEYS[4], once), (KEYS[4], again))) == "signature.too_few"


def test_what_does_not_count_gives_the_reason():
    root = accept(root_file(1, keys={1: ROOT, 4: RELEASE, 6: BOTH}, need=(1, 2), revoked=(5,)))
    assert _check(root, 4, 6) is None
    assert _check(root, 4, 2) == "signature.unknown_key"
    assert _check(root, 2) == "signature.unknown_key"
    assert _check(root, 4, 1) == "signature.role"
    assert _check(root, 2, 1) == "signature.role"
    assert _check(root, 4, 5) == "signature.revoked_key"
    assert _check(root, 5, 1, 2) == "signature.revoked_key"
    assert reason_of(root.check, RELEASE, DIGEST, b"") == "signature.none"
    assert _check(root, 4, 6, role=ROOT) is None and _check(root, 4, role=ROOT) == "signature.role"


def test_signatures_for_boards_with_other_trust_roots_are_passed_over():
    root = accept(root_file(1))
    assert _check(root, 2, 4, 6) is None
    unread = block((IDS[2], b"not read at all"), (KEYS[4], signature_by(4)))
    assert root.check(RELEASE, DIGEST, unread) == 1


def test_a_signature_by_a_key_that_counts_must_be_right():
    root = accept(root_file(1, keys={1: ROOT, 4: RELEASE, 5: RELEASE}))
    good = (KEYS[4], signature_by(4))
    for bad, reason in (
        (signature_by(4), "signature.wrong"),  # by the other key
        (signature_by(5, hashlib.sha256(b"another bundle").digest()), "signature.wrong"),
        (der(0, 1), "signature.r"),
        (der(1, 0), "signature.s"),
        (b"", "signature.der"),
    ):
        assert reason_of(root.check, RELEASE, DIGEST, block(good, (KEYS[5], bad))) == reason
        assert reason_of(root.check, RELEASE, DIGEST, block((KEYS[5], bad), good)) == reason
    assert reason_of(root.check, RELEASE, DIGEST, block_by((4,)) + bytes(8)) == "signature.block"


# -- rotation ----------------------------------------------------------------------------------------------------------
def test_a_rotation_takes_enough_old_and_enough_new_signatures():
    old = accept(root_file(1, 2, keys=TWO_OF_THREE, need=(2, 1)))
    what = {"version": 2, "keys": {2: ROOT, 3: ROOT, 6: BOTH}, "need": (2, 1)}
    for by in ((2, 3), (1, 2, 6), (1, 3, 6), (6, 3, 2, 1)):
        assert accept(root_file(*by, **what), old).version == 2
    assert _why(root_file(3, 6, **what), old) == "trust.too_few_old"
    assert _why(root_file(1, 2, **what), old) == "trust.too_few_new"
    assert _why(root_file(1, 1, 6, **what), old) == "trust.too_few_old"
    assert _why(root_file(6, **what), old) == "trust.too_few_old"
    assert _why(root_file(4, 5, 6, **what), old) == "signature.role"
    assert accept(root_file(6, 3, **what)).version == 2  # to a board that has none


def test_a_threshold_of_the_old_root_holds_for_a_new_one_that_lowers_it():
    old = accept(root_file(1, 2, keys=TWO_OF_THREE, need=(2, 1)))
    what = {"version": 2, "keys": {1: ROOT, 4: RELEASE}}
    assert _why(root_file(1, **what), old) == "trust.too_few_old"
    assert accept(root_file(1, 3, **what), old).version == 2


def test_a_trust_root_is_never_followed_by_an_older_one():
    old = accept(root_file(1, version=5))
    for version in (1, 4, 5):
        assert _why(root_file(1, version=version), old) == "trust.rollback"
    assert accept(root_file(1, version=6), old).version == 6
    assert accept(root_file(1, version=(1 << 31) - 1), old).version == (1 << 31) - 1


def test_revoked_keys_are_remembered():
    first = accept(root_file(1, 2, keys={1: ROOT, 2: ROOT, 4: RELEASE}))
    # a stolen key may help to revoke itself, and nothing more
    second = accept(root_file(1, 2, version=2, keys={2: ROOT, 4: RELEASE}, revoked=(1,)), first)
    assert second.revoked == {IDS[1]}
    assert _why(root_file(1, 2, version=3, keys={1: ROOT, 2: ROOT, 4: RELEASE}), second) == "trust.forgotten"
    assert _why(root_file(2, version=3, keys={2: ROOT, 4: RELEASE}, revoked=(5,)), second) == "trust.forgotten"
    again = root_file(2, version=3, keys={1: ROOT, 2: ROOT, 4: RELEASE}, revoked=(1,))
    assert _why(again, second) == "trust.revoked_key"
    assert _why(root_file(1, version=3, keys={3: ROOT, 4: RELEASE}, revoked=(1,)), second) == "signature.revoked_key"
    assert _why(root_file(1, 3, version=3, keys={3: ROOT, 4: RELEASE}, revoked=(1,)), second) == "signature.revoked_key"
    third = accept(root_file(2, version=3, keys={2: ROOT, 4: RELEASE}, revoked=(1, 5)), second)
    assert third.revoked == {IDS[1], IDS[5]}
    assert _check(third, 5) == "signature.revoked_key"
    # one that was let go, but not revoked, may come back
    assert accept(root_file(2, 3, version=4, keys={3: ROOT, 4: RELEASE}, revoked=(1, 5)), third).version == 4


def test_a_wrong_signature_spoils_a_rotation_that_would_do_without():
    old = accept(root_file(1, keys={1: ROOT, 2: ROOT, 4: RELEASE}))
    body = root_body(version=2, keys={1: ROOT, 2: ROOT, 4: RELEASE})
    digest = hashlib.sha256(body).digest()
    assert accept(body + block_by((1, 2), digest), old)
    assert _why(body + block((KEYS[1], signature_by(1, digest)), (KEYS[2], signature_by(2))), old) == "signature.wrong"


# -- files that are none -----------------------------------------------------------------------------------------------
def test_no_byte_of_a_trust_root_may_change():
    good = root_file(1, keys={1: ROOT, 4: RELEASE}, revoked=(5,))
    assert accept(good)
    random = Lcg(3)
    reasons = set()
    for turn in range(60):
        bad = bytearray(good)
        bad[turn % 30 if turn < 30 else random.next(len(bad))] ^= 1 << random.next(8)
        reason = _why(bad)
        assert reason is not None
        assert reason.startswith("trust.") or reason.startswith("signature.")
        reasons.add(reason)
    assert len(reasons) > 6, reasons


def test_truncated_and_extended_files_are_refused():
    good = root_file(1)
    body = len(root_body())
    for end in list(range(0, body, 7)) + [15, 16, body - 1]:
        assert _why(good[:end]) == "trust.truncated", end
    assert _why(good[:body]) == "signature.none"
    for end in (body + 1, body + 9, body + 17, body + 40, len(good) - 8, len(good) - 1):
        assert _why(good[:end]) == "signature.block", end
    assert _why(good + b"\0") == _why(good + bytes(8)) == "signature.block"


def _with(at, value):
    body = bytearray(root_body(keys={1: ROOT, 2: ROOT, 4: RELEASE}, revoked=(5, 6)))
    body[at : at + len(value)] = value
    return reason_of(Trust, body)


def test_every_field_is_checked():
    assert _with(0, b"S") is None
    assert _with(3, b"2") == "trust.magic"
    assert _with(0, b"SWB1") == "trust.magic"  # no bundle's signature serves a trust root
    assert _with(4, b"\2") == "trust.format"
    assert _with(6, b"\0") == _with(7, b"\1") == "trust.length"
    assert _with(8, b"\0") == _with(11, b"\x80") == "trust.version"
    assert _with(12, b"\0") == _with(13, b"\0") == "trust.threshold"
    assert _with(12, b"\3") == _with(13, b"\2") == _with(12, b"\xff") == "trust.threshold"
    assert _with(14, b"\0") == _with(14, b"\x11") == _with(15, b"\x41") == "trust.keys"
    assert _with(14, b"\2") == _with(15, b"\1") == "trust.length"
    for row in (16, 81, 146):
        assert _with(row, b"\0") == _with(row, b"\4") == _with(row, b"\x81") == "trust.roles"
    assert reason_of(Trust, root_body(keys={4: RELEASE})) == "trust.threshold"
    assert reason_of(Trust, root_body(keys={1: ROOT})) == "trust.threshold"
    assert reason_of(Trust, root_body(revoked=(1,))) == "trust.revoked_key"


def test_keys_and_revoked_ids_stand_in_order_and_once():
    body = root_body(keys={1: ROOT, 2: ROOT, 4: RELEASE}, revoked=(5, 6))
    rows = [body[at : at + 65] for at in (16, 81, 146)]
    ids = body[-32:-16], body[-16:]

    def why(rows, ids):
        return reason_of(Trust, body[:16] + b"".join(rows) + b"".join(ids))

    assert why(rows, ids) is None
    assert why([rows[1], rows[0], rows[2]], ids) == "trust.order"
    assert why([rows[0], rows[0], rows[2]], ids) == "trust.order"
    assert why(rows, (ids[1], ids[0])) == why(rows, (ids[0], ids[0])) == "trust.order"


def test_a_key_off_the_curve_is_refused():
    off = KEYS[4][:63] + bytes([KEYS[4][63] ^ 1])
    rows = sorted([(IDS[1], b"\1" + KEYS[1]), (signature.key_id(off), b"\2" + off)])
    body = root_body()[:16] + rows[0][1] + rows[1][1]
    assert reason_of(Trust, body) == "trust.point"


def test_as_many_keys_and_revoked_ones_as_there_may_be():
    names = [bytes([n]) + bytes(15) for n in range(1, 65)]
    full = root_file(1, revoked=names)
    assert len(accept(full).revoked) == 64
    body = bytearray(root_body(revoked=names + [b"\x41" + bytes(15)]))
    assert reason_of(Trust, body) == "trust.keys"


def test_files_are_read_and_what_cannot_be_is_refused():
    name = "trust-test.tmp"
    good = root_file(1)
    try:
        with open(name, "wb") as f:
            f.write(good)
        assert accept(trust.read(name)).version == 1
        with open(name, "wb") as f:
            f.write(bytes(4097))
        assert reason_of(trust.read, name) == "trust.large"
    finally:
        os.remove(name)
    assert reason_of(trust.read, name) == "trust.missing"
    os.mkdir(name)
    try:
        assert reason_of(trust.read, name) in ("trust.unreadable", "trust.large")  # the unix port opens folders
    finally:
        os.rmdir(name)
