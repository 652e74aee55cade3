"""May a bundle run here: who must have signed it, and what it was made for; each refusal by its name."""

import tiny_bundle
from roots import RELEASE, ROOT, block_by, root_file
from sensewell.bundle import Bundle
from sensewell.policy import UNSIGNED, Policy
from sensewell.refusal import Refused
from sensewell.trust import accept

PLAIN = {"model": {"family": "none"}, "guard": {}, "condition": {}, "rules": []}
NAMES = [["c%d" % i, "g"] for i in range(2)]


def refusal(data, policy):
    """Why `data` is refused; '' if it is not."""
    try:
        Bundle.open(data, policy)
        return ""
    except Refused as e:
        return e.reason


def made(**changes):
    """A small bundle whose manifest says what it is made for."""
    return tiny_bundle.write(tiny_bundle.manifest(**PLAIN, **changes), {})


def signed(data, *by):
    return tiny_bundle.signed(data, block_by(by, tiny_bundle.digest_of(data)))


def test_a_board_that_believes_nobody_runs_nothing_until_it_is_told_otherwise():
    data = made()
    assert refusal(data, Policy()) == "trust.missing"
    assert refusal(signed(data, 4), Policy()) == "trust.missing"
    assert refusal(data, Policy(trust=UNSIGNED)) == "" and Policy(trust=UNSIGNED).note == "unsigned"
    assert Policy(trust=accept(root_file(1))).note == ""


def test_a_bundle_is_believed_if_enough_release_keys_signed_it():
    data = made()
    one = Policy(trust=accept(root_file(1)))
    assert refusal(signed(data, 4), one) == ""
    assert refusal(data, one) == "signature.none"
    assert refusal(signed(data, 5), one) == "signature.unknown_key"
    assert refusal(signed(data, 1), one) == "signature.role"
    two = Policy(trust=accept(root_file(1, keys={1: ROOT, 4: RELEASE, 5: RELEASE}, need=(1, 2))))
    assert refusal(signed(data, 4), two) == "signature.too_few"
    assert refusal(signed(data, 4, 5), two) == ""
    revoked = Policy(trust=accept(root_file(1, keys={1: ROOT, 5: RELEASE}, revoked=(4,))))
    assert refusal(signed(data, 4), revoked) == "signature.revoked_key"


def test_one_more_signature_changes_nothing_for_those_before():
    data = made()
    assert tiny_bundle.digest_of(signed(data, 4)) == tiny_bundle.digest_of(data)
    assert refusal(signed(data, 4, 5), Policy(trust=accept(root_file(1)))) == ""


def test_one_bit_changed_in_header_manifest_or_signature_is_refused():
    data = made()
    good = signed(data, 4)
    policy = Policy(trust=accept(root_file(1)))
    manifest_end = 56 + int.from_bytes(data[8:12], "little")
    block_at = manifest_end + -manifest_end % 8
    seen = set()
    for at in list(range(0, 56, 3)) + list(range(56, manifest_end, 97)) + list(range(block_at, len(good), 5)):
        changed = bytearray(good)
        changed[at] ^= 1 << at % 8
        reason = refusal(changed, policy)
        assert reason.startswith(("bundle.", "signature.")), (at, reason)
        seen.add(reason)
    assert {"bundle.hash.manifest", "signature.wrong"} <= seen and len(seen) > 6, seen


def test_a_manifest_with_its_hash_made_right_again_still_needs_the_signature():
    data = signed(made(), 4)
    other = made(what="something else")
    at = 56 + int.from_bytes(data[8:12], "little")
    end = at + -at % 8
    forged = tiny_bundle.signed(other, bytes(data[end : end + int.from_bytes(data[16:20], "little")]))
    assert refusal(forged, Policy(trust=accept(root_file(1)))) == "signature.wrong"


def test_the_block_of_signatures_has_a_shape():
    data = made()
    policy = Policy(trust=accept(root_file(1)))
    for size in (1, 12, 1032, 0x7FFFFFF8):
        changed = bytearray(data)
        changed[16:20] = size.to_bytes(4, "little")
        assert refusal(changed, policy) in ("bundle.signatures", "bundle.truncated"), size
    assert refusal(tiny_bundle.signed(data, b"\x09" + bytes(7)), policy) == "signature.block"
    assert refusal(tiny_bundle.signed(data, bytes(8)), policy) == "signature.none"


def test_what_a_bundle_is_made_for_is_asked():
    def why(bundle, **board):
        return refusal(made(**bundle), Policy(trust=UNSIGNED, **board))

    assert why({"boards": ["esp32"]}, board="virt_c3") == "bundle.board"
    assert why({"boards": ["esp32", "virt_c3"]}, board="virt_c3") == ""
    assert why({"boards": ["esp32"]}) == ""
    assert why({"arch": ["xtensawin"]}, arch="rv32imc") == "bundle.arch"
    assert why({"arch": ["xtensawin", "rv32imc"]}, arch="rv32imc") == ""
    assert why({"devices": ["aabb"]}, device="ccdd") == "bundle.device"
    assert why({"devices": ["aabb"]}) == "bundle.device"
    assert why({"devices": ["aabb", "ccdd"]}, device="ccdd") == ""
    assert why({}, channels=[["c0", "g"]]) == "bundle.channels"


def test_channels_are_compared_where_the_board_states_its_own():
    channels = [(one["name"], one["unit"]) for one in tiny_bundle.manifest()["channels"]]
    assert refusal(made(), Policy(trust=UNSIGNED, channels=channels)) == ""
    for wrong in (channels[::-1], channels[:1], [(name, "V") for name, _ in channels]):
        assert refusal(made(), Policy(trust=UNSIGNED, channels=wrong)) == "bundle.channels"


def test_a_bundle_that_expires_needs_a_clock_or_says_that_it_does_not():
    strict = made(expires={"at": 2000000000})
    lax = made(expires={"at": 2000000000, "without_clock": "run"})
    for data in (strict, lax):
        assert refusal(data, Policy(trust=UNSIGNED, now_s=1999999999)) == ""
        assert refusal(data, Policy(trust=UNSIGNED, now_s=2000000000)) == "bundle.expired"
    assert refusal(strict, Policy(trust=UNSIGNED)) == "bundle.clock"
    assert refusal(lax, Policy(trust=UNSIGNED)) == ""


def test_nonsense_in_what_it_is_made_for_is_refused():
    for changes in ({"arch": "x64"}, {"arch": []}, {"devices": [1]}, {"release": -1}, {"release": 1 << 30},
                    {"release": True}, {"expires": 5}, {"expires": {}}, {"expires": {"at": "x"}},
                    {"expires": {"at": 5, "without_clock": "maybe"}}):  # fmt: skip
        reason = refusal(made(**changes), Policy(trust=UNSIGNED))
        assert reason.startswith("bundle.schema."), (changes, reason)
