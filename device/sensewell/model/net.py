"""Networks in bundles: a window or a feature vector becomes int8 input, and what the net says becomes scores.

Integers only. Knows the engine (model/neural.py) and the two arrays it reads from; no labels, no manifest but its own
part, which is described here.
"""

try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ptr32

# The manifest's `model`, with family "neural" (all numbers are integers):
#
#   input "window"     the net sees the last `length` rows after conditioning, oldest first, row by row
#         "features"   (default) it sees the feature vector
#   take  lists, an entry a channel or feature: centre_raw, gain 0..16383, shift 0..30; `of`: which ones, in this order,
#         if not all. The net has one int8 input of exactly so many numbers, in whatever shape:
#         q = clamp(((x - centre_raw) * gain + half >> shift) + zero point of the input), half = 1 << shift >> 1
#   output, of one port:
#     "classes"  int8, scale 1/256, zero point -128, as SOFTMAX and LOGISTIC have it; n_classes numbers, or one where
#                n_classes is 2. scores[k] = q + 128 (of one number p: 256 - p, p); score_total 256.
#                Class: the greatest score, ties to the lowest
#     "anomaly"  int8, as many numbers as the input: an autoencoder. n_classes 2. `error`: gain_in, gain_out 1..16383,
#                shift, limit_q8 1..2**28-1. Per number, clamped to +-16383:
#                  e = (q_in - zero_in) * gain_in - (q_out - zero_out) * gain_out + half >> shift
#                error = sum of e * e // numbers. With gain_in = 16 << shift e counts 1/16 of a quantum of the input,
#                and the error is in such quanta squared, Q8. scores[1] = 16384 * error // (error + limit_q8), both
#                halved until their sum is below 2**16; scores[0] = 16384 - scores[1]; score_total 16384.
#                Class: 1 where error > limit_q8
#     "value"    int8 or int16. `give`: gain 1..16383, shift, offset_raw; `index`: which number of the output, default
#                the last. `edges_raw`: n_classes - 1 ascending numbers.
#                value = clamp16(((q - zero point) * gain + half >> shift) + offset_raw), in counts.
#                scores[0] = value, scores[k] = value - edges_raw[k - 1]; score_total 0: there is no confidence.
#                Class: how many edges are not above the value. The decision carries the value: model/value.py
#                `forecast`: of which `channel`, and how many rows `ahead` of the window's last: for the host's reports
#
# States of recurrent layers are forgotten before each prediction: an answer depends on its window alone.
# Refused (the rules decide then): neural.<what>, see build/neural.py; model.input, .outputs: numbers, kinds or scales
# of a port do not fit; model.take, .error, .give, .edges: a setting is missing, wrong or beyond what 32 bits can hold;
# model.average: values have no mean score.


@micropython.viper
def take(source, ring, plan, out):
    """Fill `out` (int8) from the rows of `source`, array('h'), in the order of `ring`: the state of a full Window.

    plan: array('i'): how many a row, zero point + 128, then for each: index, centre + 32768, gain, shift.
    """
    x = ptr16(source)
    q = ptr8(out)
    s = ptr32(ring)
    p = ptr32(plan)
    n = s[0]
    length = s[1]
    at = s[3] * n
    end = length * n
    last = 2 + (p[0] << 2)
    i = 0
    while length > 0:
        length -= 1
        if at == end:
            at = 0
        k = 2
        while k < last:
            shift = p[k + 3]
            v = (x[at + p[k]] ^ 0x8000) - p[k + 1]
            v = (v * p[k + 2] + (1 << shift >> 1) >> shift) + p[1]
            if v < 0:
                v = 0
            elif v > 255:
                v = 255
            q[i] = v ^ 0x80
            i += 1
            k += 4
        at += n


class Model:
    """The network in `buffer` (4-byte aligned, used in place: it must stay as it is), as `spec` describes it.

    n_features: of the bundle; spec: the manifest's `model`; window: the pipeline's. Raises Refused. .n_outputs scores,
    .score_total what they sum to at most, 0: no confidence; .engine; .given and .said: arrays, input and output of the
    net at the last prediction.
    """

    def __init__(self, buffer, n_features, spec, window):
        from sensewell.build.net import make

        self._rows, self._ring, self._plan, self._net, self.given, self.said, self._answer, self._facts, made = make(
            buffer, spec, window, n_features
        )
        self.n_outputs, self.score_total = made

    @property
    def engine(self):
        return self._net.engine

    def predict(self, features, scores):
        """The class for the window as it is now, or for `features` (array('h')); allocates nothing.

        `scores`, array('i', n_outputs), is filled as said above.
        """
        take(self._rows or features, self._ring, self._plan, self.given)
        net = self._net
        net.reset()
        net.predict(self.given, self.said)
        return self._answer(self.given, self.said, self._facts, scores)


def open(buffer, n_features, spec, window):
    """The Model of a bundle, see there."""
    return Model(buffer, n_features, spec, window)
