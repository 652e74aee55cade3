"""Forests by the native module sensewell_trees; the form stands in model/trees.py. No bundles, no labels."""

from sensewell_trees import predict

from sensewell.refusal import Refused


class Forest:
    """A forest in `buffer` (bytes-like, 4-byte aligned, not copied: it must stay as it is).

    Refused("model....") if it is not entirely sound or not made for `n_features` features and `n_classes` outputs.
    .n_outputs scores; .score_total what the scores of one prediction sum to at most: confidence_pct is 100 * best //
    that; 0 where the score is a value, and there is no confidence.
    """

    engine = "native"

    def __init__(self, buffer, n_features, n_classes):
        from sensewell.build.trees_native import prove

        self.score_total = prove(buffer, n_features, n_classes)
        self._s = buffer
        self.n_features = n_features
        self.n_outputs = n_classes

    def predict(self, features, scores):
        """The class for `features` (array('h', n_features)); allocates nothing.

        `scores`, array('i', n_outputs), is filled as the table in model/trees.py says. Lengths in bytes are checked.
        """
        best = predict(self._s, features, scores)
        if best < 0:
            raise Refused("model.schema")
        return best
