"""Signatures: known answers, every refusal by its name, blocks; native code, where there is some, equal to plain."""

import hashlib
from binascii import unhexlify

from lcg import Lcg
from sensewell import signature
from sensewell.kernel import p256_plain as p256
from signer import block, der, key, reason_of, sign

try:
    import micropython
except ImportError:
    from sensewell._port import micropython

try:
    import sensewell_p256
except ImportError:
    sensewell_p256 = None
    print("no native module here: nothing to compare")

# RFC 6979, A.2.5: key, r and s over SHA-256 of "sample" and of "test"
KEY = unhexlify(
    "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
)
SAMPLE = hashlib.sha256(b"sample").digest()
TEST = hashlib.sha256(b"test").digest()
R = 0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
S = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8
R_TEST = 0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367
S_TEST = 0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083
GOOD = der(R, S)

P, N, _, (GX, GY) = p256.CURVE
VALID, LENGTH, DER, BAD_R, BAD_S = range(5)  # verdicts


def _reason(one, of=KEY, digest=SAMPLE):
    return reason_of(signature.verify, of, digest, one)


def _engines():
    return (p256, sensewell_p256) if sensewell_p256 else (p256,)


def test_known_answers():
    assert _reason(GOOD) is None
    assert _reason(der(R_TEST, S_TEST), KEY, TEST) is None
    assert _reason(der(R, N - S)) is None  # as good by the standard
    assert _reason(GOOD, KEY, TEST) == "signature.wrong"
    assert _reason(der(R_TEST, S_TEST)) == "signature.wrong"
    assert _reason(der(S, R)) == "signature.wrong"


def test_the_native_module_computes_where_there_is_one():
    assert signature.engine == ("native" if sensewell_p256 else "plain")


def test_any_buffer_will_do():
    for kind in (bytearray, memoryview):
        assert reason_of(signature.verify, kind(KEY), kind(SAMPLE), kind(GOOD)) is None


def test_numbers_out_of_range_have_their_names():
    for bad in (0, N, N + 1, (1 << 256) - 1, 1 << 256, 1 << 300):
        assert _reason(der(bad, S)) == "signature.r", bad
        assert _reason(der(R, bad)) == "signature.s", bad
    assert _reason(der(0, 0)) == "signature.r"
    # without the zero byte in front they are negative
    assert _reason(b"\x30\x45\x02\x20" + GOOD[5:]) == "signature.r"
    assert _reason(b"\x30\x45" + GOOD[2:38] + b"\x20" + GOOD[40:]) == "signature.s"
    for one in (1, N - 1):
        assert _reason(der(one, S)) == _reason(der(R, one)) == "signature.wrong"


def test_encodings_that_are_not_strict_der_are_refused():
    r, s = GOOD[4:37], GOOD[39:]
    assert GOOD == b"\x30\x46\x02\x21" + r + b"\x02\x21" + s
    for bad in (
        b"",
        b"\x30",
        b"\x30\x00",
        b"\x31" + GOOD[1:],  # a SET
        b"\x30\x80" + GOOD[2:] + b"\0\0",  # of indefinite length
        b"\x30\x81\x46" + GOOD[2:],  # a length longer than it need be
        b"\x30\x45" + GOOD[2:],
        b"\x30\x47" + GOOD[2:],
        GOOD + b"\0",
        b"\x30\x47" + GOOD[2:] + b"\0",
        b"\x30\x48" + GOOD[2:] + b"\x05\x00",
        b"\x30\x47\x02\x22\0" + r + b"\x02\x21" + s,  # zero bytes in front
        b"\x30\x47\x02\x21" + r + b"\x02\x22\0" + s,
        b"\x30\x46\x03\x21" + r + b"\x02\x21" + s,
        b"\x30\x46\x02\x21" + r + b"\x82\x21" + s,
        b"\x30\x47\x02\x81\x21" + r + b"\x02\x21" + s,
        b"\x30\x46\x02\x22" + r + b"\x02\x21" + s,
        b"\x30\x46\x02\x21" + r + b"\x02\x22" + s,
        b"\x30\x46\x02\x21" + r + b"\x02\x20" + s,
        b"\x30\x25\x02\x00\x02\x21" + s,  # no byte at all
        b"\x30\x25\x02\x21" + r + b"\x02\x00",
        b"\x30\x23\x02\x21" + r,
        b"\x30\x26\x02\x21" + r + b"\x02\x02\xff\x80",
        R.to_bytes(32, "big") + S.to_bytes(32, "big"),
    ):
        assert _reason(bad) == "signature.der", bad
    for end in range(len(GOOD)):
        assert _reason(GOOD[:end]) == "signature.der"


def test_a_key_off_the_curve_is_refused():
    x, y = KEY[:32], KEY[32:]
    prime = P.to_bytes(32, "big")
    root_of_b = 0x66485C780E2F83D72433BD5D84A06BB6541C2AF31DAE871728BF856A174F93F4
    assert signature.on_curve(KEY)
    assert signature.on_curve(bytes(32) + root_of_b.to_bytes(32, "big"))
    for bad in (
        bytes(64),
        y + x,
        KEY[:-1] + b"\0",
        b"\0" + KEY[1:],
        prime + root_of_b.to_bytes(32, "big"),  # x = 0, said as P
        bytes(32) + (P + P - root_of_b).to_bytes(33, "big")[1:],
        b"\xff" * 64,
    ):
        assert not signature.on_curve(bad)
        assert _reason(GOOD, bad) == "signature.point"


def test_other_lengths_are_refused():
    assert _reason(GOOD, b"\x04" + KEY) == "signature.length"
    assert _reason(GOOD, KEY[:63]) == "signature.length"
    assert _reason(GOOD, KEY, SAMPLE[:31]) == "signature.length"
    assert _reason(GOOD, KEY, SAMPLE + b"\0") == "signature.length"
    for engine in _engines():
        assert engine.parse(GOOD, bytearray(64)) == VALID
        assert engine.verify(KEY, SAMPLE, bytes(63)) == engine.point(bytes(63)) == LENGTH


def test_sums_of_equal_and_of_opposite_points_are_right():
    # keys G and -G: all the cases in which adding points is not adding points
    g = GX.to_bytes(32, "big") + GY.to_bytes(32, "big")
    minus_g = GX.to_bytes(32, "big") + (P - GY).to_bytes(32, "big")
    assert signature.verify(g, SAMPLE, sign(1, SAMPLE)) is None
    assert signature.verify(minus_g, SAMPLE, _sign_as(N - 1, SAMPLE)) is None
    digest = (N - R).to_bytes(32, "big")  # u1 + u2 = 0: infinity
    assert _reason(der(R, S), g, digest) == "signature.wrong"
    digest = R.to_bytes(32, "big")  # u1 = u2: with -G infinity, too
    assert _reason(der(R, S), minus_g, digest) == "signature.wrong"
    for zero in (bytes(32), N.to_bytes(32, "big")):
        assert _reason(sign(3, zero), key(3), zero) is None
        assert _reason(GOOD, KEY, zero) == "signature.wrong"


def _sign_as(d, digest):
    r = GX % N  # nonce 1
    return der(r, (int.from_bytes(digest, "big") + r * d) % N)


def test_no_bit_of_a_signature_a_digest_or_a_key_may_change():
    random = Lcg(5)
    for data in (GOOD, SAMPLE, KEY):
        for _ in range(6):
            changed = bytearray(data)
            changed[random.next(len(data))] ^= 1 << random.next(8)
            changed = bytes(changed)
            if data is GOOD:
                assert _reason(changed) is not None
            elif data is SAMPLE:
                assert _reason(GOOD, KEY, changed) == "signature.wrong"
            else:
                assert _reason(GOOD, changed) == "signature.point"


def test_native_verdicts_equal_plain_ones():
    if not sensewell_p256:
        return
    random = Lcg(7)
    seen = set()
    for turn in range(400):
        changed = bytearray(GOOD)
        for _ in range(1 + random.next(3)):
            changed[random.next(len(changed)) if random.next(2) else random.next(6)] = random.next(256)
        if turn % 5 == 0:
            changed = changed[: random.next(len(changed))] + bytes(random.next(99))
        rs = bytearray(64), bytearray(64)
        plain = p256.parse(changed, rs[0])
        assert sensewell_p256.parse(changed, rs[1]) == plain, changed
        seen.add(plain)
        if plain == VALID:
            assert rs[0] == rs[1]
    assert seen == {VALID, DER, BAD_R, BAD_S}
    for turn in range(12):
        digest = hashlib.sha256(bytes([turn])).digest()
        signer = 1 + turn % 4
        rs = bytearray(64)
        assert p256.parse(sign(signer, digest), rs) == VALID
        if turn % 3 == 2:
            rs[random.next(64)] ^= 1
        of = key(signer)
        assert p256.point(of) == sensewell_p256.point(of) == VALID
        assert p256.verify(of, digest, rs) == sensewell_p256.verify(of, digest, rs)


def test_native_verification_leaves_the_heap_alone():
    if not sensewell_p256:
        return
    rs = bytearray(64)
    micropython.heap_lock()
    try:
        verdict = sensewell_p256.parse(GOOD, rs) + sensewell_p256.point(KEY) + sensewell_p256.verify(KEY, SAMPLE, rs)
    finally:
        micropython.heap_unlock()
    assert verdict == 0


def test_a_full_heap_is_a_refusal():
    class Full:
        @staticmethod
        def parse(der, rs):
            raise MemoryError

    kept = signature._p256
    signature._p256 = Full
    try:
        assert _reason(GOOD) == "signature.memory"
    finally:
        signature._p256 = kept
    assert _reason(GOOD) is None


def test_the_id_of_a_key():
    assert signature.key_id(KEY) == hashlib.sha256(b"\x04" + KEY).digest()[:16]


def test_blocks_are_split_and_what_is_not_a_block_is_refused():
    name = signature.key_id(KEY)
    other = b"0123456789abcdef"
    one = block((KEY, GOOD))
    assert signature.split(one) == [(name, GOOD)]
    assert signature.split(memoryview(block((KEY, GOOD), (other, b"")))) == [(name, GOOD), (other, b"")]
    many = block(*((KEY, GOOD),) * 8)
    assert len(signature.split(many)) == 8
    for bad in (b"", b"\0", bytes(8)):
        assert reason_of(signature.split, bad) == "signature.none"
    for bad in (
        one[:-8],
        one + bytes(8),
        one[:-1],
        one[:-1] + b"\1",
        b"\2" + one[1:],
        b"\x09" + many[1:] + bytes(96),
        one[:17] + b"\xff" + one[18:],
        one[:17] + b"\x40" + one[18:],
        b"\1" + bytes(7),
    ):
        assert reason_of(signature.split, bad) == "signature.block", bad
