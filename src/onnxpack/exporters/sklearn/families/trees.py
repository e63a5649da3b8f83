"""Converters of decision trees, forests, gradient boosting and isolation forests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import (
    Answer,
    Family,
    Table,
    ask,
    label_if,
    labels_at,
    private,
    two_columns,
)
from onnxpack.exporters.sklearn.families.meta import matrix_of
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.exporters.trees.columns import IN_SET, Columns
from onnxpack.exporters.trees.ensemble import Ensemble, Tree
from onnxpack.exporters.trees.write import add_ensemble
from onnxpack.signature import Array


def sum_of_leaves(x: Tensor, ensemble: Ensemble, columns: Columns | None = None) -> Tensor:
    """Return the sum of the leaves that each row reaches, float64 [batch, targets].

    Args:
        x: the rows, float64 [batch, features].
        columns: adds columns for tests on sets of categories, if the trees have any.
    """
    writer = x.graph.writer
    matrix = columns.write(writer, x.name) if columns else x.name
    return Tensor(x.graph, add_ensemble(writer, matrix, ensemble), "float64")


def grown(tree: Any, value: Array, target: int = 0) -> Tree:
    """Return a scikit-learn tree as a :class:`Tree` with these values of its nodes."""
    missing = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count))
    return Tree(
        tree.feature,
        tree.threshold,
        tree.children_left,
        tree.children_right,
        np.asarray(missing, bool),
        value,
        target,
    )


def rounded(x: Tensor) -> Tensor:
    """Return the rows as scikit-learn's trees compare them: rounded to float32, kept in float64."""
    return x.cast("float32").cast("float64")


class Forest(Family):
    """Converts regression trees and forests: the mean of one or several trees."""

    def ensemble(self, model: Any) -> Ensemble:
        """Return the model's trees in the shared tree format."""
        trees = [each.tree_ for each in getattr(model, "estimators_", [model])]
        values = [tree.value.reshape(tree.node_count, -1) for tree in trees]
        grown_ = tuple(grown(tree, value) for tree, value in zip(trees, values, strict=True))
        return Ensemble(grown_, targets=values[0].shape[1])

    def mean(self, model: Any, x: Tensor) -> Tensor:
        """Return the mean of the leaves' values, float64 [batch, outputs × classes]."""
        trees = self.ensemble(model)
        return sum_of_leaves(rounded(x), trees) / float(len(trees.trees))

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the mean, [batch]; for several outputs, [batch, outputs]."""
        found = self.mean(model, x)
        return n.flat(found) if model.n_outputs_ == 1 else found


class ForestClassifier(Forest):
    """Converts classification trees and forests: the mean class shares of the leaves."""

    def mean(self, model: Any, x: Tensor) -> Tensor:
        """Return the mean class shares, float64 [batch, outputs × classes].

        For two classes only the second class is summed. A sum of one number is a single operator,
        and takes half the time of two.
        """
        trees = self.ensemble(model)
        if trees.targets != 2 or model.n_outputs_ != 1 or not _are_shares(trees):
            return super().mean(model, x)
        second = tuple(replace(tree, value=tree.value[:, 1:]) for tree in trees.trees)
        total = sum_of_leaves(rounded(x), Ensemble(second, targets=1))
        return two_columns(n.flat(total / float(len(second))))

    def predict_proba(self, model: Any, x: Tensor) -> Answer:
        """Return the class probabilities, [batch, classes]; a list of them for several outputs."""
        found = self.mean(model, x)
        if model.n_outputs_ == 1:
            return found
        counts = [int(count) for count in model.n_classes_]
        widest = max(counts)
        return [
            n.gather(found, np.arange(count) + k * widest, axis=1) for k, count in enumerate(counts)
        ]

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the class with the largest share, [batch] or [batch, outputs]."""
        shares = self.predict_proba(model, x)
        if not isinstance(shares, list):
            return labels_at(model, n.argmax(shares))
        labels = [
            n.take(x.graph, classes, n.argmax(share))
            for classes, share in zip(model.classes_, shares, strict=True)
        ]
        return n.concat([n.as_column(label) for label in labels])


def _are_shares(ensemble: Ensemble) -> bool:
    """Return whether the values of each leaf sum to 1."""
    return all(
        np.allclose(tree.value[tree.leaves].sum(axis=1), 1, rtol=0, atol=1e-12)
        for tree in ensemble.trees
    )


class Embedding(Forest):
    """Converts ``RandomTreesEmbedding``: marks the leaf of each tree that a row reaches."""

    def ensemble(self, model: Any) -> Ensemble:
        """Return trees with one target for each leaf that is a category of the encoder."""
        trees, target = [], 0
        for each, leaves in zip(model.estimators_, model.one_hot_encoder_.categories_, strict=True):
            value = np.zeros((each.tree_.node_count, len(leaves)))
            value[np.asarray(leaves, int), np.arange(len(leaves))] = 1
            trees.append(grown(each.tree_, value, target))
            target += len(leaves)
        return Ensemble(tuple(trees), targets=target)

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return 1 at the leaves that each row reaches, else 0, float64 [batch, leaves]."""
        return sum_of_leaves(rounded(x), self.ensemble(model))


class Isolation(Family):
    """Converts ``IsolationForest``: rows that few random tests isolate are outliers."""

    def ensemble(self, model: Any) -> Ensemble:
        """Return trees whose leaves hold the path length to reach them."""
        lengths = private(model, "_decision_path_lengths")
        averages = private(model, "_average_path_length_per_tree")
        trees = []
        for i, (each, features) in enumerate(
            zip(model.estimators_, model.estimators_features_, strict=True)
        ):
            tree = each.tree_
            value = np.asarray(lengths[i] + averages[i] - 1.0, np.float64)
            plain = grown(tree, value[:, None])
            feature = np.asarray(features)[np.maximum(tree.feature, 0)]
            trees.append(
                Tree(
                    feature,
                    plain.threshold,
                    plain.left,
                    plain.right,
                    plain.missing_left,
                    plain.value,
                )
            )
        return Ensemble(tuple(trees), targets=1)

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """Return the scores, float64 [batch]; outliers have negative scores."""
        depths = n.flat(sum_of_leaves(rounded(x), self.ensemble(model)))
        size = float(_average_path_length(private(model, "_max_samples")))
        denominator = len(model.estimators_) * size
        if denominator == 0:
            raise ExportError("it was fitted with one row per tree")
        scores = n.exp(depths * (-np.log(2.0) / denominator))
        return -scores - float(model.offset_)

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return 1 for inliers and -1 for outliers, [batch]."""
        return n.where(self.decision_function(model, x) < 0.0, -1, 1)


def _average_path_length(count: int) -> float:
    """Return the mean path length of an unsuccessful search in a binary tree of ``count`` rows."""
    if count <= 1:
        return 0.0
    if count == 2:
        return 1.0
    return float(2.0 * (np.log(count - 1.0) + np.euler_gamma) - 2.0 * (count - 1.0) / count)


class Boosted(Family):
    """Converts gradient boosting: a sum of trees, followed by a link function."""

    columnwise = True

    def raw(self, model: Any, x: Table) -> Tensor:
        """Return the sum of the trees and the initial prediction, [batch, trees per iteration]."""
        matrix = matrix_of(x)
        return sum_of_leaves(rounded(matrix), self.ensemble(model)) + _start(model, matrix)

    def ensemble(self, model: Any) -> Ensemble:
        """Return the model's trees in the shared tree format."""
        stages = np.asarray(model.estimators_)
        trees = [
            grown(each.tree_, each.tree_.value[:, 0, :1] * model.learning_rate, k)
            for stage in stages
            for k, each in enumerate(stage)
        ]
        return Ensemble(tuple(trees), targets=stages.shape[1])

    def predict(self, model: Any, x: Table) -> Tensor:
        """Return the predicted mean, or the class with the largest sum, [batch]."""
        raw = self.raw(model, x)
        if not hasattr(model, "classes_"):
            return _link(model, n.flat(raw))
        if len(model.classes_) == 2:
            return label_if(model, self.positive(n.flat(raw)))
        return labels_at(model, n.argmax(raw))

    def positive(self, raw: Tensor) -> Tensor:
        """Return whether each sum stands for the second class, bool [batch]."""
        return raw >= 0.0

    def decision_function(self, model: Any, x: Table) -> Tensor:
        """Return the sums, [batch, classes]; for two classes, [batch]."""
        raw = self.raw(model, x)
        return n.flat(raw) if len(model.classes_) == 2 else raw

    def predict_proba(self, model: Any, x: Table) -> Tensor:
        """Return the class probabilities, [batch, classes]."""
        raw = self.raw(model, x)
        if len(model.classes_) > 2:
            return n.softmax(raw)
        loss = type(private(model, "_loss")).__name__
        factor = 2.0 if loss == "ExponentialLoss" else 1.0
        return two_columns(n.expit(n.flat(raw) * factor))


def _link(model: Any, raw: Tensor) -> Tensor:
    name = type(private(model, "_loss").link).__name__
    return {"IdentityLink": lambda v: v, "LogLink": n.exp}[name](raw)


def _start(model: Any, x: Tensor) -> Any:
    """Return the initial prediction, to which the trees add."""
    if isinstance(model.init_, str):
        return 0.0
    if type(model.init_).__name__.startswith("Dummy"):
        rows = np.zeros((1, model.n_features_in_), np.float32)
        return private(model, "_raw_predict_init")(rows)
    if not hasattr(model, "classes_"):
        return n.as_column(ask(model.init_, "predict", x.cast("float32")))
    least = float(np.finfo(np.float64).eps)
    shares = ask(model.init_, "predict_proba", x.cast("float32")).cast("float64")
    shares = n.clip(shares, least, 1 - least)
    if len(model.classes_) > 2:
        logarithm = n.log(shares)
        return logarithm - n.mean(logarithm, keepdims=True)
    second = n.column(shares, 1)
    half = type(private(model, "_loss").link).__name__ == "HalfLogitLink"
    return n.log(second / (1.0 - second)) * (0.5 if half else 1.0)


class Histogram(Boosted):
    """Converts histogram gradient boosting, which compares in float64 and splits by categories."""

    def ensemble(self, model: Any) -> Ensemble:
        """Return the model's trees in the shared tree format."""
        return self._planted(model, Columns(model.n_features_in_))

    def raw(self, model: Any, x: Table) -> Tensor:
        """Return the sum of the trees and the initial prediction, [batch, trees per iteration]."""
        before = private(model, "_preprocessor")
        matrix = matrix_of(x) if before is None else ask(before, "transform", x)
        columns = Columns(model.n_features_in_)
        ensemble = self._planted(model, columns)
        found = sum_of_leaves(matrix.cast("float64"), ensemble, columns)
        return found + np.asarray(private(model, "_baseline_prediction")).reshape(1, -1)

    def positive(self, raw: Tensor) -> Tensor:
        """Return whether each sum stands for the second class, bool [batch]."""
        return raw > 0.0

    def _planted(self, model: Any, columns: Columns) -> Ensemble:
        stages = private(model, "_predictors")
        trees = [_histogram_tree(p, k, columns) for stage in stages for k, p in enumerate(stage)]
        return Ensemble(tuple(trees), targets=len(stages[0]))


def _histogram_tree(predictor: Any, target: int, columns: Columns) -> Tree:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    feature = nodes["feature_idx"].astype(np.int64)
    limit = nodes["num_threshold"].astype(np.float64)
    for at in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~leaf):
        bits = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][at]]
        missing = bool(nodes["missing_go_to_left"][at])
        feature[at] = columns.subset(int(feature[at]), _members(bits), other=False, missing=missing)
        limit[at] = IN_SET
    return Tree(
        feature,
        np.where(leaf, 0.0, limit),
        np.where(leaf, -1, nodes["left"].astype(np.int64)),
        np.where(leaf, -1, nodes["right"].astype(np.int64)),
        nodes["missing_go_to_left"].astype(bool),
        nodes["value"].astype(np.float64)[:, None],
        target,
    )


def _members(bits: Array) -> list[int]:
    """Return the numbers whose bits are set in an array of 32-bit words."""
    words = [int(word) for word in bits]
    return [i for i in range(32 * len(words)) if words[i // 32] >> (i % 32) & 1]


TREE_CLASSIFIER, TREE = ForestClassifier(), Forest()
FAMILIES: dict[str, Family] = {
    **dict.fromkeys(
        (
            "DecisionTreeClassifier", "ExtraTreeClassifier", "ExtraTreesClassifier",
            "RandomForestClassifier",
        ),
        TREE_CLASSIFIER,
    ),
    **dict.fromkeys(
        (
            "DecisionTreeRegressor", "ExtraTreeRegressor", "ExtraTreesRegressor",
            "RandomForestRegressor",
        ),
        TREE,
    ),
    "GradientBoostingClassifier": Boosted(),
    "GradientBoostingRegressor": Boosted(),
    "HistGradientBoostingClassifier": Histogram(),
    "HistGradientBoostingRegressor": Histogram(),
    "IsolationForest": Isolation(),
    "RandomTreesEmbedding": Embedding(),
}  # fmt: skip
