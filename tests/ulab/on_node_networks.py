"""Networks over ulab's arrays, in node: the same numbers as over plain buffers, and no copy."""

from array import array

import nets
from lcg import Lcg
from sensewell.model import neural
from ulab import numpy as np


def test_a_network_reads_and_writes_ulab_arrays():
    lcg = Lcg(4)
    answers = set()
    for net, n, k in ((nets.classes(12, 3), 12, 3), (nets.autoencoder(8), 8, 8), (nets.value(8), 8, 2)):
        net = neural.open(net)
        given = np.zeros(n, dtype=np.int8)
        got = np.zeros(k, dtype=np.int8)
        plain_in = array("b", [0] * n)
        plain_out = array("b", [0] * k)
        for _ in range(20):
            for i in range(n):
                given[i] = plain_in[i] = lcg.next(256) - 128
            net.predict(given, got)
            net.predict(plain_in, plain_out)
            assert list(got) == list(plain_out)
            answers.add(tuple(plain_out))
    assert len(answers) > 30


def test_what_does_not_fit_is_a_value_error():
    net = neural.open(nets.classes(12, 3))
    good_in, good_out = np.zeros(12, dtype=np.int8), np.zeros(3, dtype=np.int8)
    for given, got in (
        (np.zeros(11, dtype=np.int8), good_out),
        (np.zeros(12, dtype=np.int16), good_out),
        (np.zeros(12), good_out),
        (good_in, np.zeros(4, dtype=np.int8)),
        (np.zeros(24, dtype=np.int8)[::2], good_out),  # its numbers do not lie side by side
    ):
        try:
            net.predict(given, got)
        except (ValueError, TypeError):
            continue
        raise AssertionError(repr((given, got)) + " were taken")
    net.predict(good_in, good_out)
