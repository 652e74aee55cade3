"""The multiplication behind every int8 operator, in 32-bit integers. Must not know what is multiplied.

rescale(t): t[0] * m * 2**shift for m = t[1], an int32 over 2**31, and shift = t[2] - 32, -31..30: rounded twice, as the
TFLite quantisation specification has it. Numbers go through memory: a viper function that returns more than 30 bits
allocates. The kernels for whole tensors have the same lines in their loops.
"""

try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr32


# How the 64-bit product is made of four of 16 x 16 bits: with x = a * 2**16 + b and m = c * 2**16 + d, b, d unsigned,
#   t = b c + (b d >> 16), u = a d:  x m = a c 2**32 + (t + u) 2**16 + what is below; none of these exceeds 32 bits.
# The sign of a 32-bit number is brought to 64 bits (viper on x64) by (x & mask ^ top) - top; on 32 bits that does
# nothing.
@micropython.viper
def rescale(numbers):
    t = ptr32(numbers)
    top = 1
    top <<= 31
    mask = top + top - 1
    v = (t[0] & mask ^ top) - top
    m = (t[1] & mask ^ top) - top
    right = 32 - t[2]
    if right < 0:
        v = (v << 0 - right & mask ^ top) - top
        right = 0
    b = v & 0xFFFF
    a = v >> 16
    d = m & 0xFFFF
    m >>= 16
    u = a * d
    d = b * m + (b * d >> 16 & 0xFFFF)
    v = (a * m + (d >> 16) + (u >> 16) << 1) + ((d & 0xFFFF) + (u & 0xFFFF) + 16384 >> 15)
    if right:
        if v < 0:
            v = 0 - ((0 - v >> right - 1) + 1 >> 1)
        else:
            v = (v >> right - 1) + 1 >> 1
    t[0] = v
