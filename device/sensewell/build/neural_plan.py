"""When each tensor lives, and where it lies in the arena: what lives at the same time never overlaps.

The same checks and places as in device/native/neural, sw_neural_plan.c and sw_neural_file.c. Offsets that the file's
own plan gives are proven; the others, the largest first, go into the lowest gap among those that live when they do.
"""

from sensewell.build.neural_graph import FLOAT32, INT8

MODEL, ARENA, PORT = 0, 1, 2  # numbers of buffers; ports from 2 on
_FOREVER = 0xFFFE
_LIMIT = 1 << 24


class Life:
    """A tensor, or the scratch of an operator. size: bytes of its own in the arena; first None: not written."""

    def __init__(self):
        self.size = self.last = 0
        self.offset = self.first = None
        self.root = None  # the tensor whose memory it is
        self.place = None  # (buffer, offset) that is known beforehand

    def live(self, first, last, n_bytes):
        self.first = first
        self.last = last
        self.size = (n_bytes + 3) & ~3


class Lives:
    """The tensors of graph `g`, operator by operator. .states: (tensor, bytes, value) of variables to be reset."""

    def __init__(self, g):
        self.g = g
        self.all = [Life() for _ in range(g.n_tensors)]
        self.states = []
        self.ports = []
        for i, index in enumerate(g.net_inputs + g.net_outputs):
            t = g.tensor(index)
            life = self.all[index]
            g.need(life.place is None and not t.data and not t.is_variable, "graph")
            life.place = (PORT + i, 0)
            self.ports.append(t)
            if i < len(g.net_inputs):
                life.live(0, _FOREVER, 0)

    def read(self, index):
        """The operator at hand reads tensor `index`."""
        if index == -1:
            return
        g = self.g
        t = g.tensor(index)
        life = self.all[index]
        if t.data and not t.is_variable:
            g.need(life.place in (None, (MODEL, t.data)), "order")
            life.place = (MODEL, t.data)
            return
        if t.is_variable and life.first is None and life.place is None:
            life.live(0, _FOREVER, t.bytes)
            if t.type != FLOAT32:
                g.is_quantised(t)
            self.states.append((index, t.bytes, t.zero & 255 if t.type == INT8 else 0))
        g.need(life.first is not None, "order")
        while life.root is not None:
            life = life.root
        life.last = max(life.last, g.op)

    def write(self, index):
        g = self.g
        t = g.tensor(index)
        life = self.all[index]
        g.need(not t.data and not t.is_variable and life.first is None, "order")
        life.live(g.op, g.op, t.bytes if life.place is None else 0)

    def share(self, x, y):
        """y is x, unless it has to go to a place of its own."""
        if self.all[y].place is None:
            self.all[y].root = self.all[x]
            self.all[y].size = 0

    def scratch(self, n_bytes):
        """Memory for the operator at hand alone: where is said in its .offset, once planned."""
        life = Life()
        life.live(self.g.op, self.g.op, n_bytes)
        self.all.append(life)
        return life

    def given(self):
        """The offsets of the file's own plan, if it has one: metadata "OfflineMemoryAllocation", int32s: version 1,
        subgraph 0, how many tensors, then an offset for each, -1 for none."""
        g = self.g
        f = g.file
        for i in range(g.metadata[1]):
            table = f.follow(g.metadata[0] + 4 * i)
            name, length = f.vector(table, 0, 1)
            buffer = f.number(table, 1)
            # 23 letters, of which these suffice
            if length != 23 or f.u32(name) != 0x6C66664F or f.u32(name + 19) != 0x6E6F6974:
                continue
            g.need(0 <= buffer < g.n_buffers, "plan")
            at, n_bytes = f.vector(f.follow(g.buffers + 4 * buffer), 0, 1)
            head = n_bytes == 12 + 4 * g.n_tensors and f.u32(at) == 1 and f.u32(at + 4) == 0
            g.need(head and f.u32(at + 8) == g.n_tensors, "plan")
            for k in range(g.n_tensors):
                offset = f.u32(at + 12 + 4 * k)
                life = self.all[k]
                if life.size and offset != 0xFFFFFFFF:
                    g.need(offset <= _LIMIT and not offset & 3, "plan")
                    life.offset = offset
        f.outside = False  # other metadata may be as they are: nobody reads them

    def plan(self):
        """Gives all their offsets -> bytes of the arena."""
        todo = [life for life in self.all if life.size]
        done = []
        most = 0
        while todo:
            best = 0
            weight = -1
            for i, life in enumerate(todo):
                w = life.size + (_LIMIT if life.offset is not None else 0)
                if w > weight:
                    best = i
                    weight = w
            one = todo.pop(best)
            at = gap(done, one)
            self.g.need(at is not None, "plan")
            end = at + one.size
            self.g.need(end <= _LIMIT, "arena")
            one.offset = at
            i = 0
            while i < len(done) and done[i].offset < at:
                i += 1
            done.insert(i, one)
            most = max(most, end)
        return most

    def place(self, index):
        """(buffer, offset) of a tensor, once planned."""
        life = self.all[index]
        if life.place is not None:
            return life.place
        while life.root is not None:
            life = life.root
        return life.place if life.place is not None else (ARENA, life.offset)


def gap(done, one):
    """The offset for `one` among `done`, in the order of offsets; None where it has one that does not fit."""
    at = one.offset or 0
    for other in done:
        if other.offset >= at + one.size:
            break
        if other.first <= one.last and one.first <= other.last and other.offset + other.size > at:
            if one.offset is not None:
                return None
            at = (other.offset + other.size + 15) & ~15
    return at
