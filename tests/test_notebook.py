"""What a terminal and a notebook show of a pack, a model, a report and a signature."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import torch
from torch import nn

import onnxpack
from onnxpack.notebook import in_html, in_json, indented, one_line, to_html, to_text
from onnxpack.report import error, ok, report, warning


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> onnxpack.Pack:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("notebook") / "linear"
    return onnxpack.export(nn.Linear(3, 2), torch.randn(2, 3), folder)


def test_a_pack_fits_in_five_lines(pack: onnxpack.Pack) -> None:
    lines = repr(pack).splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("Pack linear, ")
    assert "torch.nn.modules.linear.Linear, torch " in lines[1]
    assert "float32[batch, 3]" in lines[2]
    assert "cases passed at rtol 0.001" in lines[3]
    namespace = {"onnxpack": onnxpack}
    assert eval(lines[4].split("next")[1].strip(), namespace).name == "linear"


def test_a_bare_graph_says_that_it_is_unproven(pack: onnxpack.Pack) -> None:
    assert "not a pack" in repr(onnxpack.open_pack(pack.model_path))


def test_tables_are_sound(pack: onnxpack.Pack) -> None:
    model = onnxpack.Model(pack)
    for shown in (pack, model, model.signature, model.prove()):
        ET.fromstring(f"<div>{shown._repr_html_()}</div>")


def test_a_report_begins_with_its_verdict() -> None:
    assert repr(report([ok("a", "equal")])).splitlines() == ["ok: 1 checks passed", "  ok a  equal"]
    found = report([ok("a", "equal"), warning("b", "odd"), error("c", "differs")])
    lines = repr(found).splitlines()
    assert lines[0] == "NOT OK: 1 of 3 findings are errors"
    assert [line.split()[0] for line in lines[1:]] == ["error", "warning", "ok"]
    many = report([ok(str(at), "equal") for at in range(40)])
    assert repr(many).splitlines()[-1].strip() == "and 28 more"


def test_names_of_any_origin() -> None:
    facts = [("<b>", "\x1b[2J&"), ("empty", "")]
    assert to_text("t\x07", facts) == "t\\x07\n  <b>  \\x1b[2J&"
    assert "&lt;b&gt;" in to_html("t", facts)
    assert "empty" not in to_html("t", facts)


def test_a_pack_in_a_folder_that_moved(pack: onnxpack.Pack, tmp_path: Path) -> None:
    moved = pack.path.rename(tmp_path / "elsewhere")
    assert str(moved) in repr(onnxpack.open_pack(moved))
    moved.rename(pack.path)


def test_a_name_cannot_pose_as_a_line():
    assert one_line("cat\nok  proven\t\x1b[2J\u202e") == r"cat\nok  proven\t\x1b[2J\u202e"
    assert to_text("title\n", [("a\nb", "c\nd")]).splitlines() == [r"title\n", r"  a\nb  c\nd"]


@pytest.mark.parametrize(
    "sign",
    ["\u202a", "\u202e", "\u2066", "\u2069", "\u200b", "\u200f", "\ufeff", "\u2028", "\x9b", "\x1b",
     "\x00", "\x7f", "\xad", "\U000e0041", "\ud800"],
)  # fmt: skip
def test_signs_that_are_not_seen_are_shown(sign: str) -> None:
    for shown in (one_line(sign), in_html(sign), indented(sign), in_json(f'["{sign}"]')):
        assert sign not in shown
        assert shown.isprintable()


def test_lines_of_a_message_but_the_first_are_indented() -> None:
    assert indented("a\nerror: b\n\n  c") == "a\n  error: b\n  \n  c"


def test_json_with_escapes_means_the_same() -> None:
    value = {"é×": "a\u202e\x9b\U000e0041\U0001f600\n", "b": [1, "\\u202e"]}
    document = json.dumps(value, ensure_ascii=False, indent=2)
    assert json.loads(in_json(document)) == value
    assert "é×" in in_json(document)
    assert "\U0001f600" in in_json(document)
