"""MAX_POOL_2D and AVERAGE_POOL_2D in viper. Must not know files; the words are those of build/neural_pool.py."""

# mypy: disable-error-code="valid-type"
# (ptr8 is a type of viper only)
try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr32, uint


@micropython.viper
def run(a: ptr8, y: ptr8, bases, words):
    p = ptr32(words)
    source = uint(ptr8(bases[p[0]])) + p[1]
    y = ptr8(uint(ptr8(bases[p[2]])) + p[3])
    depth = p[12]
    low = p[26]
    high = p[27]
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
                if p[4]:
                    n = rows * columns
                    c = 0
                    while c < depth:
                        total = 0 - (n << 7)
                        u = 0
                        while u < rows:
                            a = ptr8(corner + (u * p[11] * depth + c))
                            v = columns
                            while v:
                                total += a[0] ^ 128
                                a = ptr8(uint(a) + depth)
                                v -= 1
                            u += 1
                        if total > 0:
                            total = (total + (n >> 1)) // n + 128
                        else:
                            total = 128 - ((n >> 1) - total) // n
                        y[c] = total
                        c += 1
                else:
                    c = depth
                    while c:
                        c -= 1
                        y[c] = 0
                    u = 0
                    while u < rows:
                        a = ptr8(corner + u * p[11] * depth)
                        v = columns
                        while v:
                            c = depth
                            while c:
                                c -= 1
                                n = a[c] ^ 128
                                if n > y[c]:
                                    y[c] = n
                            a = ptr8(uint(a) + depth)
                            v -= 1
                        u += 1
                c = depth
                while c:
                    c -= 1
                    n = y[c]
                    if n < low:
                        n = low
                    if n > high:
                        n = high
                    y[c] = n ^ 128
                y = ptr8(uint(y) + depth)
                left += p[19]
                j -= 1
            top += p[18]
            i -= 1
        source += p[10] * p[11] * depth
        image -= 1
