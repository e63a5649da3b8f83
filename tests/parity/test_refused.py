"""Notes about sizes that a strategy named and that the model refuses."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from onnxpack.pack.manifest import SkippedCase
from onnxpack.parity.refused import Limits, Refused, doubts_of_refused_sizes

OWN = {"batch": 2, "t": 9}


def notes(
    *dims: Mapping[str, int],
    skipped: tuple[SkippedCase, ...] = (),
    answered: tuple[Mapping[str, int], ...] = (OWN,),
    limits: Limits | None = None,
    reason: str = "ValueError: long",
) -> list[str]:
    refused = [Refused(each, OWN, reason) for each in dims]
    return list(doubts_of_refused_sizes(refused, skipped, answered, limits or {}))


@pytest.mark.parametrize(
    ("dims", "limits", "answered", "said"),
    [
        ({"batch": 2, "t": 121}, {"t": (0, 120)}, OWN, "refuses t above 120 (ValueError: long)"),
        ({"batch": 1, "t": 121}, {"t": (0, 120)}, OWN, "refuses t above 120 (ValueError: long)"),
        ({"batch": 2, "t": 3}, {"t": (4, 120)}, OWN, "refuses t below 4 (ValueError: long)"),
        ({"batch": 2, "t": 12}, {"t": (0, 120)}, OWN, "refuses batch=2, t=12 (ValueError: long)"),
        ({"batch": 2, "t": 121}, {}, OWN, "refuses batch=2, t=121 (ValueError: long)"),
        ({"batch": 2, "t": 121}, {"t": (0, 50)}, {"batch": 2, "t": 51}, "refuses batch=2, t=121 ("),
    ],
)
def test_the_bound_is_said_where_it_is_known(
    dims: Mapping[str, int], limits: Limits, answered: Mapping[str, int], said: str
) -> None:
    (note,) = notes(dims, limits=limits, answered=(OWN, answered))
    assert said in note


def test_one_error_is_said_once() -> None:
    beyond = [{"batch": batch, "t": 121} for batch in (1, 2)]
    assert len(notes(*beyond, limits={"t": (0, 120)})) == 1
    (note,) = notes(*({"batch": 2, "t": 10 * t} for t in range(2, 7)))
    assert "batch=2, t=20; batch=2, t=30; batch=2, t=40 and 2 more (" in note


@pytest.mark.parametrize(
    ("name", "reason", "size", "known"),
    [
        ("batch=5, t=1", "ValueError: long", 121, True),
        ("batch=5, t=200", "ValueError: 200", 121, True),
        ("batch=5, t=1", "ValueError: 1", 2, True),
        ("batch=5, t=1", "ValueError: 1", 121, False),
        ("batch=5, t=20", "ValueError: 20", 121, False),
        ("all zero", "ValueError: zero", 121, False),
    ],
)
def test_what_a_case_has_shown_is_not_said_again(
    name: str, reason: str, size: int, *, known: bool
) -> None:
    skipped = (SkippedCase(name, reason),)
    assert (not notes({"batch": 2, "t": size}, skipped=skipped)) is known


def test_the_entry_of_the_manifest() -> None:
    each = Refused({"batch": 2, "t": 121}, OWN, "ValueError: long")
    assert each.case == SkippedCase("batch=2, t=121", "ValueError: long")
