"""RELU, RELU6, LEAKY_RELU, LOGISTIC, TANH and QUANTIZE from bytes to bytes, in viper: a table of all 256 answers.

Must not know files; the table is made by build/neural_curve.py.
"""

# mypy: disable-error-code="valid-type"
# (ptr8 is a type of viper only)
try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr32, uint


@micropython.viper
def run(x: ptr8, y: ptr8, bases, words):
    # words: 0..3 places, 4 how many, then the table, by the byte as it is
    p = ptr32(words)
    x = ptr8(uint(ptr8(bases[p[0]])) + p[1])
    y = ptr8(uint(ptr8(bases[p[2]])) + p[3])
    table = ptr8(uint(p) + 20)
    n = p[4]
    while n:
        n -= 1
        y[n] = table[x[n]]
