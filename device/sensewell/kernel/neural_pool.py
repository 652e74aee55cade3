"""MAX_POOL_2D and AVERAGE_POOL_2D in viper. Must not know files; the words are those of build/neural_pool.py."""

# mypy: disable-error-code="valid-type"
# (ptr8 is a type of viper only)
try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr32, uint


@micropython.viper
def run(a: ptr8, unused: ptr8, bases, words):
    p = ptr32(words)
    source = uint(ptr8(bases[p[0]])) + p[1]
    y = ptr8(uint(ptr8(bases[p[2]])) + p[3])
    depth = p[12]
    image = p[9]
    while image:
        top = 0 - p[22]
        i = p[13]
        while i:
            # the part of the window that lies in the image
            line = top
            if line < 0:
                line = 0
            rows = top + p[16]
            if rows > p[10]:
                rows = p[10]
            rows -= line
            left = 0 - p[23]
            j = p[14]
            while j:
                column = left
                if column < 0:
                    column = 0
                columns = left + p[17]
                if columns > p[11]:
                    columns = p[11]
                columns -= column
                corner = source + (line * p[11] + column) * depth
                c = 0
                while c < depth:
                    most = 0
                    total = 0
                    u = 0
                    while u < rows:
                        a = ptr8(corner + u * p[11] * depth)
                        v = columns
                        at = c
                        while v:
                            s = a[at] ^ 128
                            total += s
                            if s > most:
                                most = s
                            at += depth
                            v -= 1
                        u += 1
                    if p[4]:
                        n = rows * columns
                        total -= n << 7
                        if total > 0:
                            most = (total + (n >> 1)) // n + 128
                        else:
                            most = 128 - ((n >> 1) - total) // n
                    if most < p[26]:
                        most = p[26]
                    if most > p[27]:
                        most = p[27]
                    y[c] = most ^ 128
                    c += 1
                y = ptr8(uint(y) + depth)
                left += p[19]
                j -= 1
            top += p[18]
            i -= 1
        source += p[10] * p[11] * depth
        image -= 1
