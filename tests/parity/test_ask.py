"""The model is asked first: what it refuses, what varies, and what its signature shows to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from onnxpack.comparison.tolerance import Tolerance
from onnxpack.errors import ExportError, NondeterministicError, SampleError, UsageError
from onnxpack.pack.manifest import SkippedCase
from onnxpack.parity import ask as ask_module
from onnxpack.parity.ask import ask, ask_at, measure_signature
from onnxpack.parity.doubts import doubts
from onnxpack.parity.subject import Strategy, Subject
from onnxpack.parity.subset import MAX_CALLS

Answers = Callable[[Mapping[str, Any]], dict[str, Any]]
X = np.arange(8, dtype=np.float32).reshape(2, 4)
BATCH = {"x": {0: "batch"}}
TOKENS = {"x": {0: "batch", 1: "tokens"}}


class Plain(Subject):
    """A model of numpy."""

    framework, framework_version, model_class = "numpy", "2", "plain"

    def __init__(self, function: Answers, sample: Any = None) -> None:
        self.function = function
        self.sample = sample or {"x": X}

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        return self.function(feeds)

    def strategies(self, axes: Any, opset: int, outputs: Sequence[str]) -> Iterator[Strategy]:
        return iter(())


def signature(function: Answers, axes: Any = BATCH, sample: Any = None) -> str:
    subject = Plain(function, sample)
    asked, _ = ask(subject, axes, Tolerance())
    return str(measure_signature(subject.sample, axes, asked)).partition(" -> ")[2]


def pairs(feeds: Mapping[str, Any]) -> dict[str, Any]:
    return {"boxes": feeds["x"], "scores": feeds["x"][:, 0], "sums": feeds["x"].sum(0)}


@pytest.mark.parametrize(
    ("unordered", "message"),
    [
        ((("boxes", "labels"),), "'labels', which is not an output; the outputs are: boxes, sc"),
        ((("boxes", "sums"),), r"same number of rows, but they are boxes\[2, 4\], sums\[4\]"),
        ((("boxes",), ("boxes", "scores")), "names the output 'boxes' twice"),
    ],
)
def test_sets_that_are_none(unordered: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ask(Plain(pairs), BATCH, Tolerance(), unordered)


def test_sets_are_the_users_or_else_the_models() -> None:
    class Detector(Plain):
        def unordered(self, outputs: Mapping[str, Any]) -> Any:
            assert list(outputs) == ["boxes", "scores", "sums"]
            return (("boxes", "scores"),)

    for subject, given, wanted in (
        (Plain(pairs), (), ()),
        (Plain(pairs), (("scores",),), (("scores",),)),
        (Detector(pairs), (), (("boxes", "scores"),)),
        (Detector(pairs), (("scores",),), (("scores",),)),
    ):
        asked, _ = ask(subject, BATCH, Tolerance(), given)
        assert {question.unordered for question in asked} == {wanted}
        (further,), _ = ask_at(subject, BATCH, [{"batch": 7}], wanted)
        assert further.unordered == wanted


def test_rows_that_change_places_are_another_answer_unless_they_are_a_set() -> None:
    turns: list[int] = []

    def turning(feeds: Mapping[str, Any]) -> dict[str, Any]:
        turns.append(1)
        return {"boxes": np.roll(feeds["x"], len(turns), 0)}

    with pytest.raises(NondeterministicError):
        ask(Plain(turning), BATCH, Tolerance())
    asked, _ = ask(Plain(turning), BATCH, Tolerance(), (("boxes",),))
    assert asked


def picked(x: Any) -> Any:
    return x[x > 3]


@pytest.mark.parametrize(
    ("function", "axes", "wanted"),
    [
        (lambda f: {"y": f["x"] * 2}, BATCH, "(y: float32[batch, 4])"),
        (lambda f: {"y": f["x"] * 2}, TOKENS, "(y: float32[batch, tokens])"),
        (lambda f: {"y": f["x"].T}, TOKENS, "(y: float32[tokens, batch])"),
        (lambda f: {"y": f["x"].sum(1)}, TOKENS, "(y: float32[batch])"),
        (lambda f: {"y": f["x"].sum()}, TOKENS, "(y: float32[])"),
        (lambda f: {"y": f["x"].ravel()}, TOKENS, "(y: float32[y_0])"),
        (lambda f: {"y": np.repeat(f["x"], 2, 0)}, BATCH, "(y: float32[y_0, 4])"),
        (lambda f: {"y": f["x"] > 0}, BATCH, "(y: bool[batch, 4])"),
        (lambda f: {"y": f["x"].astype("O")}, BATCH, "(y: str[batch, 4])"),
        (lambda f: {"y": picked(f["x"])}, BATCH, "(y: float32[y_0])"),
        (lambda f: {"y": f["x"].squeeze()}, BATCH, "(y: float32[...])"),
        (lambda f: {"y": f["x"][:1]}, BATCH, "(y: float32[1, 4])"),
        (
            lambda f: {"a": f["x"], "b": f["x"].argmax(1)},
            BATCH,
            "(a: float32[batch, 4], b: int64[batch])",
        ),
    ],
)
def test_measured_signatures(function: Answers, axes: Any, wanted: str) -> None:
    assert signature(function, axes) == wanted


def refuses(sizes: Callable[[int], bool]) -> Answers:
    def function(feeds: Mapping[str, Any]) -> dict[str, Any]:
        if sizes(len(feeds["x"])):
            raise ValueError("\n  no such size\nand more")
        return {"y": feeds["x"]}

    return function


def test_what_the_model_refuses_is_skipped_with_its_reason() -> None:
    asked, skipped = ask(Plain(refuses(lambda n: n in (1, 5))), BATCH, Tolerance())
    assert [case.name for case in skipped] == ["batch=1", "batch=5"]
    for case in skipped:
        assert case.reason.startswith("ValueError: no such size (test_ask.py:")
    assert [question.case.name for question in asked][:3] == ["sample", "batch=2", "batch=3"]


def counting() -> Answers:
    calls = iter(range(100))
    return lambda feeds: {"y": feeds["x"] + next(calls)}


def drifting() -> Answers:
    """The same answer twice in a row, and another one after other inputs."""
    seen: set[bytes] = set()

    def function(feeds: Mapping[str, Any]) -> dict[str, Any]:
        seen.add(feeds["x"].tobytes())
        return {"y": feeds["x"] + len(seen)}

    return function


def changing() -> Answers:
    calls = iter("ab" * 50)
    return lambda feeds: {next(calls): feeds["x"]}


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (refuses(lambda n: n == 2), SampleError, "the model refuses the sample: ValueError: no su"),
        (
            refuses(lambda n: n != 2),
            SampleError,
            r"axis 0 of input 'x' is declared dynamic \('batch'\).* size than 2: ValueError",
        ),
        (counting(), NondeterministicError, "twice in a row: output 'y': 8 of 8"),
        (drifting(), NondeterministicError, "before and after other inputs: output 'y'"),
        (changing(), ExportError, r"returns other outputs in case 'sample' \(b\) than.*\(a\)"),
        (
            lambda f: {"y": f["x"]} | ({"z": f["x"]} if len(f["x"]) > 2 else {}),
            ExportError,
            r"case 'batch=3' \(y, z\) than for the sample \(y\)",
        ),
        (lambda f: {"y": f["x"][:, :0]}, ExportError, "output 'y' was empty in every case"),
    ],
)
def test_refusals(function: Answers, error: Any, words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        ask(Plain(function), BATCH, Tolerance())
    assert type(caught.value) is error


def test_errors_of_our_own_pass_through() -> None:
    def function(feeds: Mapping[str, Any]) -> dict[str, Any]:
        raise ExportError("ours")

    with pytest.raises(ExportError, match="ours"):
        ask(Plain(function), BATCH, Tolerance())


def test_an_error_without_words_is_named() -> None:
    def function(feeds: Mapping[str, Any]) -> dict[str, Any]:
        raise AssertionError

    with pytest.raises(
        SampleError, match=r"the sample: AssertionError \(test_ask.py:\d+: raise Ass"
    ):
        ask(Plain(function), BATCH, Tolerance())


def test_noise_between_two_runs_is_no_randomness() -> None:
    factors = iter(1 + 1e-6 * np.arange(100))
    ask(Plain(lambda f: {"y": (f["x"] * next(factors)).astype("f4")}), BATCH, Tolerance())


def test_further_sizes() -> None:
    subject = Plain(refuses(lambda n: n == 9))
    asked, refused = ask_at(subject, BATCH, [{"batch": 3}, {"batch": 9}, {"batch": 7}])
    assert [question.case.name for question in asked] == ["batch=3", "batch=7"]
    np.testing.assert_array_equal(asked[0].case.feeds["x"], X[[0, 1, 0]])
    assert [each.case.name for each in refused] == ["batch=9"]


def test_a_size_that_is_too_large_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask_module, "MAX_PROBE_BYTES", 100)
    with pytest.raises(ExportError, match="may be wrong at batch=100, which is too large to try"):
        ask_at(Plain(refuses(lambda n: False)), BATCH, [{"batch": 100}])


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda f: {"y": f["x"] * 2}, []),
        (lambda f: {"y": np.ones(3)}, ["output 'y' is the same in every case"]),
        (lambda f: {"y": f["x"][f["x"] > 100]}, ["y: empty in "]),
    ],
)
def test_what_the_proof_tells_little_about(function: Answers, told: list[str]) -> None:
    asked, _ = ask(Plain(function), BATCH, Tolerance())
    found = list(doubts(asked))
    assert len(found) == len(told)
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True))


class Counted(Plain):
    """Counts how often the model is run."""

    runs = 0

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        self.runs += 1
        return super().run(feeds)


def test_each_case_runs_the_model_once_and_the_sample_twice_more() -> None:
    subject = Counted(lambda f: {"y": f["x"] * 2})
    asked, _ = ask(subject, TOKENS, Tolerance())
    assert subject.runs == len(asked) + 2
    assert len(asked) <= 50


def test_a_large_model_is_run_less() -> None:
    subject = Counted(lambda f: {"y": f["x"] * 2})
    subject.weights = 10**12
    ask(subject, BATCH, Tolerance())
    assert subject.runs == 1 + 4 + 6 + 2


class Edged(Plain):
    """Asked of rows at its edges too."""

    rows: Any = None

    def edges(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        yield "edge", {"x": np.asarray(self.rows, np.float32)}


def no_nan(feeds: Mapping[str, Any]) -> dict[str, Any]:
    if np.isnan(feeds["x"][:, 0]).any():
        raise ValueError("NaN in the first column")
    return {"y": feeds["x"] + 1}


NAN = np.nan


@pytest.mark.parametrize(
    ("rows", "kept", "skipped"),
    [
        ([[NAN, 1], [2, NAN], [3, 4]], [[2, NAN], [2, NAN], [3, 4]], ["edge, rows 0"]),
        ([[1, 1], [2, NAN], [NAN, 4]], [[1, 1], [2, NAN], [1, 1]], ["edge, rows 2"]),
        ([[NAN, 1], [NAN, 2], [NAN, 4], [5, NAN]], [[5, NAN]] * 4, ["edge, rows 0, 1, 2"]),
        ([[NAN, 1], [NAN, 2]], None, ["edge"]),
        ([[NAN, 1]], None, ["edge"]),
        ([[1, 1], [2, NAN]], [[1, 1], [2, NAN]], []),
    ],
)
def test_rows_that_the_model_refuses_are_left_out(rows: Any, kept: Any, skipped: Any) -> None:
    subject = Edged(no_nan, {"x": np.ones((2, 2), np.float32)})
    subject.rows = rows
    asked, left_out = ask(subject, BATCH, Tolerance())
    found = [question.case.feeds["x"] for question in asked if question.case.name == "edge"]
    assert len(found) == (kept is not None)
    for array in found:
        np.testing.assert_array_equal(array, np.float32(kept))
    assert [case.name for case in left_out] == skipped
    assert all("NaN in the first column" in case.reason for case in left_out)


def test_the_search_for_refused_rows_is_bounded() -> None:
    subject = Edged(no_nan, {"x": np.ones((2, 2), np.float32)})
    subject.rows = np.where(np.arange(2000)[:, None] % 2, 1, NAN) * np.ones((1, 2))
    counted = Counted(no_nan)
    subject.function = counted.run
    asked, _ = ask(subject, BATCH, Tolerance())
    assert counted.runs <= len(asked) + 2 + MAX_CALLS + 2


def test_a_size_with_values_that_the_model_refuses_is_asked_with_the_samples_own() -> None:
    def ascending(feeds: Mapping[str, Any]) -> dict[str, Any]:
        if (np.diff(feeds["x"], axis=1) < 0).any():
            raise ValueError("not sorted")
        return {"y": feeds["x"]}

    asked, skipped = ask(Plain(ascending), BATCH, Tolerance())
    assert {1, 2, 3, 5} <= {question.case.dims["batch"] for question in asked}
    assert "batch=5, fresh values" in [case.name for case in skipped]
    assert not list(doubts(asked, skipped)) or "refuses" not in "".join(doubts(asked, skipped))


def test_what_the_model_refuses_becomes_a_note() -> None:
    asked, skipped = ask(Plain(refuses(lambda n: n in (1, 5, 7, 17, 31))), BATCH, Tolerance())
    (note,) = doubts(asked, skipped)
    assert note.startswith("the model itself refuses batch=1; batch=5; batch=7 and 2 more (Value")
    assert note.endswith("if the pack answers there, its answer is not proven")


@pytest.mark.parametrize("name", ["infinities", "NaN among the numbers", "one infinity a row"])
def test_refused_infinities_and_nan_become_a_note(name: str) -> None:
    asked, _ = ask(Plain(lambda feeds: {"y": feeds["x"]}), BATCH, Tolerance())
    (note,) = doubts(asked, [SkippedCase(name, "ValueError: not finite")])
    assert note.startswith(f"the model itself refuses {name} (ValueError: not finite); ")
    assert not list(doubts(asked, [SkippedCase("equal rows", "ValueError: no")]))


def by_size(feeds: Mapping[str, Any]) -> dict[str, Any]:
    """The same for the sample's size; something else for another."""
    x = feeds["x"]
    return {"y": np.ones(len(x)) if len(x) == 2 else x.sum(1)}


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (by_size, False),
        (lambda f: {"y": np.arange(len(f["x"]))}, True),
        (lambda f: {"y": np.full(len(f["x"]), np.nan)}, True),
        (lambda f: {"y": np.array(len(f["x"]))}, False),
        (lambda f: {"y": np.full_like(f["x"], f["x"].shape[1])}, True),
        (lambda f: {"y": np.isnan(f["x"])}, True),
    ],
)
def test_only_outputs_that_never_differ_are_called_the_same(function: Answers, said: bool) -> None:
    asked, _ = ask(Plain(function), BATCH, Tolerance())
    assert any("is the same in every case" in note for note in doubts(asked)) is said


def test_rows_beyond_the_sample_tell_outputs_apart() -> None:
    subject = Plain(lambda f: {"y": f["x"] - f["x"][:1]}, {"x": X[:1]})
    asked, _ = ask(subject, BATCH, Tolerance())
    assert not [*doubts(asked)]


def test_one_empty_output_among_several_is_said_and_the_rest_is_asked() -> None:
    subject = Plain(lambda f: {"y": f["x"] * 2, "z": f["x"][:0], "w": f["x"][f["x"] > 1e9]})
    asked, _ = ask(subject, BATCH, Tolerance())
    (note,) = doubts(asked)
    assert note.startswith("z, w: empty in every case, so nothing is proven")
    outputs = measure_signature(subject.sample, BATCH, asked).outputs
    assert [str(output.shape) for output in outputs] == ["('batch', 4)", "('z_0', 4)", "('w_0',)"]
