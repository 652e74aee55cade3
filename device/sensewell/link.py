"""The link: hosts may ask a node while it runs, and bring it its next bundle. This listens where the node waits.

It must not know what is said: talk.py does, which is in RAM for as long as somebody talks.
"""

try:
    from time import sleep_us

    from micropython import const
except ImportError:
    from sensewell._port import micropython, sleep_us

    const = micropython.const

_MARK = const(35)  # "#": how a frame begins. At a prompt it is a comment
_NAP_US = const(100000)  # how long a host has to wait for its first answer


class Link:
    """Stands for time.sleep_us in `node`: sleeps for that long, or shorter, and hears what comes over `stream`.

    keeping: a list with the Slots while the node's probation may still change them; about: what talk.py says of the
    bundle. poller: has `stream` registered. Nothing is allocated while nobody talks, and nothing is raised.
    """

    def __init__(self, node, keeping, about, stream, poller):
        self.node = node
        self.keeping = keeping
        self.about = about
        self.take = stream.readinto
        self.poll = poller.ipoll
        self.byte = bytearray(1)
        self._talk = None

    def __call__(self, left_us):
        try:
            if self._talk:
                if not self._talk(left_us):
                    self._talk = None
                return
            for _ in self.poll(0):
                if self.take(self.byte):
                    if self.byte[0] == _MARK:
                        from sensewell.talk import Talk

                        self._talk = Talk(self)
                    return
        except Exception:  # of a host's making, or no memory for it: no concern of the node's
            self._talk = None
        sleep_us(left_us if left_us < _NAP_US else _NAP_US)
