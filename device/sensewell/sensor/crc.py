"""CRC-8 as sensors use it, bit by bit: a table would cost more RAM than the few bytes of a sample are worth."""

try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8


@micropython.viper
def sensirion(buffer, at: int, n: int) -> int:
    """Of `n` bytes from `at`: polynomial x8 + x5 + x4 + 1, most significant bit first, from 0xFF."""
    b = ptr8(buffer)
    crc = 0xFF
    end = at + n
    while at < end:
        crc ^= b[at]
        i = 8
        while i:
            crc <<= 1
            if crc & 0x100:
                crc ^= 0x131
            i -= 1
        at += 1
    return crc


@micropython.viper
def onewire(buffer, at: int, n: int) -> int:
    """Of `n` bytes from `at`: the same polynomial, least significant bit first, from 0. 0 with the CRC at the end."""
    b = ptr8(buffer)
    crc = 0
    end = at + n
    while at < end:
        crc ^= b[at]
        i = 8
        while i:
            if crc & 1:
                crc = crc >> 1 ^ 0x8C
            else:
                crc >>= 1
            i -= 1
        at += 1
    return crc
