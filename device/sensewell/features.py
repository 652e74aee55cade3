"""The feature vocabulary: one window of int16 samples -> one int16 vector, in 32-bit integers, without allocating.

It must not know where samples come from, what they mean or what a model does with the vector. Below, x[0..n-1] is the
window of channel c in counts, m its mean, z = x - m, L = log2 in Q8 (256 is a factor of two). Every value is rounded
to nearest unless said otherwise and saturates at -32768 / 32767. None grows with elapsed time.
P[k] and bins as in `spectrum.py`: N = next power of two >= n, bin k is at k * rate_hz / N, k = 1..N/2.

    name      parameters  formula                                                 unit, Q format
    mean                  m                                                       counts
    amean                 |mean|                                                  counts
    min max               least and greatest x                                    counts
    range                 max - min                                               counts
    half                  mean of x[n//2..] - mean of x[..n//2-1]                 counts
    mav                   sum |x| / n                                             counts
    jerk                  sum |x[i+1] - x[i]| / (n-1)                             counts per sample
    jmax                  greatest |x[i+1] - x[i]|                                counts per sample
    mad                   sum |z| / n                                             counts
    std                   sqrt(sum z^2 / n)                                       counts
    rms                   sqrt(std^2 + mean^2), down to the next (even) integer   counts
    energy                L(1 + sum z^2 / n)                                      Q8 of counts^2
    p5 p10 p25 p50        sorted x[(q * (n-1) + 50) // 100]: nearest rank         counts
    p75 p90 p95
    iqr                   p75 - p25                                               counts
    skew                  p90 + p10 - 2 * p50                                     counts
    dom                   the k of the greatest P[k], the lowest of equals        bin (0: constant window)
    centroid              sum k P[k] / sum P[k], rounded down                     bin, Q7
    entropy               -sum q[k] log2 q[k], q[k] = P[k] / sum P                bits, Q8
    mcross    [h]         how often z changes sign: up at z > h, down at z <= -h  crossings
    zcross    [h]         the same of x                                           crossings
    acorr     lag         sum z[i] z[i+lag] / (sum z^2 + 64), 1 <= lag < n        Q14 (16384 is 1)
    acpeak    lo hi       greatest acorr of the lags lo..hi-1 (dear: one pass     Q14
                          over the window for each lag)
    aclag     lo hi       its lag, the least of equals                            samples
    band      lo hi       L(1 + sum of P[lo..hi-1] / n), 1 <= lo < hi <= N/2 + 1  Q8 of counts^2
    share     lo hi       sum of P[lo..hi-1] / sum of all P                       Q14
    corr      d           correlation with channel d: sum z z' /                  Q14
                          sqrt((sum z^2 + 64) (sum z'^2 + 64))
    angle     d           atan2(mean of d, mean of c), 0 where both are 0         1/100 degree, -18000..18000
    tilt      d e         angle of the vector of means (c, d, e) to axis c        1/100 degree, 0..18000

    derived channel       formula, sample by sample (2 or 3 source channels)
    norm [a,b(,c)]        floor(sqrt(a^2 + b^2 + c^2)), in counts of the sources, saturates at 32767; with "shift": 1
                          half of that, which cannot saturate: floor(sqrt of the sum of squares >> 2 each)

How the sums fit 32 bits: the mean is kept in Q4, z is kept as int32 scaled by a power of two such that |z| <= 2047
(small signals keep the four bits below the count, n * 2047^2 < 2**30), so ratios of sums of products need no more.
"""

# Who computes it: the native module where the board has one, else viper code. Both give the same numbers, bit for bit.
try:
    import sensewell_features
except ImportError:
    sensewell_features = None

if sensewell_features:
    from sensewell.kernel.features_native import Features
else:
    from sensewell.kernel.features_viper import Features  # noqa: F401
