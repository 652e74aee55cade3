"""One step of a network in viper: its kernel and the words it will be given. Must not know operators.

Places of tensors are left open in the words until the arena is planned: two words each, the number of a buffer (0 the
model, 1 the arena, then the ports) and the offset in it.
"""

from array import array

NO_TENSOR = 255  # in place of the number of a buffer


class Step:
    """kernel: module of sensewell.kernel and function; words: numbers, none negative but where a kernel says so."""

    def __init__(self, kernel, words, tail=b""):
        self.kernel = kernel
        self.words = words
        self.tail = tail  # bytes behind the words
        self.tensors = []  # (where in the words, number of a tensor)
        self.scratch = 0  # bytes of the arena, offset at words[scratch_at]
        self.scratch_at = 0
        self.prepares = False  # call the kernel's prepare() once
        self.shares = None  # (x, y): y may lie where x does, then there is nothing to do

    def place(self, at, tensor):
        """The place of tensor `tensor` goes to words[at], words[at + 1]."""
        if tensor is None:
            self.words[at] = NO_TENSOR
        else:
            self.tensors.append((at, tensor))

    def packed(self):
        """The words as array('i') for the kernel."""
        words = array("i", self.words)
        words.extend(array("i", self.tail + bytes(-len(self.tail) % 4)))
        return words


def multiplier(by):
    """m and shift as words."""
    return [by[0], by[1] + 32]
