"""Operators that only move numbers, in viper: by steps through five dimensions, or as parts of a whole.

Must not know files; the words are those of build/neural_move.py.
"""

# mypy: disable-error-code="valid-type"
# (ptr8 is a type of viper only)
try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr32, uint


@micropython.viper
def steps(x: ptr8, y: ptr8, bases, words):
    """PAD, STRIDED_SLICE, TRANSPOSE."""
    # words: 0..3 places, 4 bytes of a piece, 5 what to fill with: 0 nothing, 1 the byte in 6, 2 the number at 7, 8;
    # 9 bytes of that number, 10 bytes of y; five each from 11: sizes, x's steps (signed), y's, counters; 31, 32 starts
    p = ptr32(words)
    top = 1
    top <<= 31
    mask = top + top - 1
    if p[5]:
        y = ptr8(uint(ptr8(bases[p[2]])) + p[3])
        n = p[10]
        if p[5] == 1:
            while n:
                n -= 1
                y[n] = p[6]
        else:
            x = ptr8(uint(ptr8(bases[p[7]])) + p[8])
            c = p[9]
            while n:
                n -= 1
                c -= 1
                y[n] = x[c]
                if c == 0:
                    c = p[9]
    i = 0
    while i < 5:
        p[26 + i] = 0
        i += 1
    from_ = uint(ptr8(bases[p[0]])) + p[1]
    to = uint(ptr8(bases[p[2]])) + p[3]
    x_at = p[31]
    y_at = p[32]
    is_more = 1
    while is_more:
        x = ptr8(from_ + x_at)
        y = ptr8(to + y_at)
        n = p[4]
        while n:
            n -= 1
            y[n] = x[n]
        is_more = 0
        i = 5
        while i:
            i -= 1
            step = (p[16 + i] & mask ^ top) - top
            x_at += step
            y_at += p[21 + i]
            n = p[26 + i] + 1
            p[26 + i] = n
            if n < p[11 + i]:
                is_more = 1
                i = 0
            else:
                x_at -= n * step
                y_at -= n * p[21 + i]
                p[26 + i] = 0


@micropython.viper
def parts(x: ptr8, y: ptr8, bases, words):
    """CONCATENATION, PACK, SPLIT, SPLIT_V, UNPACK, and RESHAPE and its kin where they have to move."""
    # words: 0, 1 the whole; 2 joins, 3 rounds, 4 how many parts; for each its place and its bytes a round
    p = ptr32(words)
    whole = uint(ptr8(bases[p[0]])) + p[1]
    j = 0
    while j < p[3]:
        i = 5
        n = p[4]
        while n:
            c = p[i + 2]
            if p[2]:
                x = ptr8(uint(ptr8(bases[p[i]])) + (p[i + 1] + j * c))
                y = ptr8(whole)
            else:
                x = ptr8(whole)
                y = ptr8(uint(ptr8(bases[p[i]])) + (p[i + 1] + j * c))
            whole += c
            while c:
                c -= 1
                y[c] = x[c]
            i += 3
            n -= 1
        j += 1
