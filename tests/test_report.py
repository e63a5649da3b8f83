from __future__ import annotations

import json

import pytest

from onnxpack.report import Finding, Level, Report, error, ok, report, warning


def test_only_an_error_says_no() -> None:
    fine = report([ok("a", "well"), warning("b", "hm", "look")])
    assert fine.ok
    assert fine.errors == ()
    bad = fine + report([error("c", "broken", "mend")])
    assert not bad.ok
    assert bad.errors == (Finding(Level.ERROR, "c", "broken", "mend"),)
    assert [finding.subject for finding in bad.findings] == ["a", "b", "c"]
    assert report([]).ok


def test_json_carries_the_verdict() -> None:
    bad = report([ok("a", "well"), error("c", "broken", "mend")])
    assert json.loads(bad.to_json()) == {
        "ok": False,
        "findings": [
            {"level": "ok", "subject": "a", "message": "well", "remedy": ""},
            {"level": "error", "subject": "c", "message": "broken", "remedy": "mend"},
        ],
    }


def test_a_report_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Report(()).findings = (ok("a", "b"),)  # type: ignore[misc]
