"""SVDF in viper. Must not know files; the words are those of build/neural_state.py."""

from sensewell.kernel.neural_scale import rescale

# mypy: disable-error-code="valid-type"
# (ptr8 is a type of viper only)
try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ptr32, uint


@micropython.viper
def run(x: ptr8, w: ptr8, bases, words):
    # words: 0..2 for rescale; 3..14 places of x, y, features, times, bias (255: none), state; 15 batches, 16 inputs,
    # 17 units, 18 rank, 19 memory; 20 x's zero point + 128, 21 the state's + 32768, 22 y's + 128; 23 int16 state;
    # 24 multiplier, shift + 32 by feature, by time
    p = ptr32(words)
    top = 1
    top <<= 31
    mask = top + top - 1
    x = ptr8(uint(ptr8(bases[p[3]])) + p[4])
    y = ptr8(uint(ptr8(bases[p[5]])) + p[6])
    times_8 = ptr8(uint(ptr8(bases[p[9]])) + p[10])
    times_16 = ptr16(uint(ptr8(bases[p[9]])) + p[10])
    state_8 = ptr8(uint(ptr8(bases[p[13]])) + p[14])
    state_16 = ptr16(uint(ptr8(bases[p[13]])) + p[14])
    add = p
    if p[11] != 255:
        add = ptr32(uint(ptr8(bases[p[11]])) + p[12])
    n = p[16]
    zero = p[21] - 32768
    most = 127
    if p[23]:
        most = 32767
    at = 0
    image = p[15]
    while image:
        w = ptr8(uint(ptr8(bases[p[7]])) + p[8])
        weight = 0
        unit = 0
        while unit < p[17]:
            s = 0
            if p[11] != 255:
                s = add[unit]
            k = p[18]
            while k:
                f = 0
                i = 0
                while i < n:
                    f += ((x[i] ^ 128) - p[20]) * ((w[i] ^ 128) - 128)
                    i += 1
                w = ptr8(uint(w) + n)
                p[0] = f
                p[1] = p[24]
                p[2] = p[25]
                rescale(words)
                f = (p[0] & mask ^ top) - top
                if f > most:
                    f = most
                if f < 0 - most - 1:
                    f = 0 - most - 1
                # the state moves on by one, the feature comes last; where it does not fit, its low bits stay
                f += zero
                i = p[19]
                while i:
                    i -= 1
                    if p[23]:
                        v = f & 0xFFFF
                        if i:
                            v = state_16[at + 1]
                        state_16[at] = v
                        v = (v ^ 0x8000) - 0x8000
                        u = (times_16[weight] ^ 0x8000) - 0x8000
                    else:
                        v = f & 0xFF
                        if i:
                            v = state_8[at + 1]
                        state_8[at] = v
                        v = (v ^ 128) - 128
                        u = (times_8[weight] ^ 128) - 128
                    s += u * (v - zero)
                    at += 1
                    weight += 1
                k -= 1
            p[0] = s
            p[1] = p[26]
            p[2] = p[27]
            rescale(words)
            s = (p[0] & mask ^ top) - top + p[22]
            if s < 0:
                s = 0
            if s > 255:
                s = 255
            y[0] = s ^ 128
            y = ptr8(uint(y) + 1)
            unit += 1
        x = ptr8(uint(x) + n)
        image -= 1
