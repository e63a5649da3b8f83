"""No text of a pack poses as a line of ours, or controls the terminal, in any command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import onnx
import pytest

from onnxpack.pack.card import write_card
from onnxpack.pack.manifest import OutputEvidence, SkippedCase, Step

Run = Callable[..., Any]
FORGED = "FORGED"
AWKWARD = (
    f"a\r\n{FORGED}: ok\n→ {FORGED}\x1b[2J\x9b2J\u202e\u2066\u200b\u2028{FORGED}\x00\x7f\U000e0041"
)
"""Line breaks, escapes of a terminal, and signs that reverse text or have no width."""


def is_clean(text: str) -> bool:
    """Whether the text neither controls a terminal nor has a line that begins like ours."""
    lines = text.split("\n")
    starts = (FORGED, "→ FORGED", "error: FORGED", "note: FORGED")
    return all(line.isprintable() and not line.startswith(starts) for line in lines)


@pytest.fixture
def forged(pack: Any) -> Path:
    """A pack whose every free text is awkward, and of which one case failed and was accepted."""
    manifest = pack.manifest
    first, *others = manifest.parity.cases
    failed = msgspec.structs.replace(
        first,
        name=f"failed {AWKWARD}",
        golden=None,
        accepted=True,
        outputs=(OutputEvidence(f"y{AWKWARD}", 1.0, 1.0, 0.5, False, reason=AWKWARD, error=1.0),),
    )
    parity = msgspec.structs.replace(
        manifest.parity, cases=(first, failed, *others), skipped=(SkippedCase(AWKWARD, AWKWARD),)
    )
    source = msgspec.structs.replace(
        manifest.source, framework=AWKWARD, framework_version=AWKWARD, model_class=AWKWARD,
        strategy=AWKWARD,
    )  # fmt: skip
    labels = tuple(f"{AWKWARD}{at}" for at in range(3))
    changed = msgspec.structs.replace(
        manifest, description=AWKWARD, license=AWKWARD, labels=labels, derived_from=AWKWARD,
        notes=(AWKWARD,), steps=(Step(AWKWARD, {AWKWARD: AWKWARD}),), parity=parity, source=source,
    )  # fmt: skip
    (pack.path / "pack.json").write_bytes(msgspec.json.encode(changed))
    return Path(pack.path)


COMMANDS = [
    ("inspect", "PACK"),
    ("inspect", "PACK", "--nodes"),
    ("inspect", "PACK", "--json"),
    ("check", "PACK"),
    ("check", "PACK", "--json"),
    ("run", "PACK", "-i", "random"),
    ("run", "PACK", "-i", "random", "--json"),
    ("bench", "PACK", "--seconds", "0.1"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_text_of_a_pack_is_shown_not_sent(
    onnxpack: Run, forged: Path, command: tuple[str, ...]
) -> None:
    told = onnxpack(*(forged if word == "PACK" else word for word in command))
    assert told.code in (0, 1, 4), told.err
    assert is_clean(told.out)
    assert is_clean(told.err)
    if "--json" in command:
        json.loads(told.out)


def test_json_means_the_same(onnxpack: Run, forged: Path) -> None:
    found = onnxpack("inspect", forged, "--json").json
    assert found["manifest"]["description"] == AWKWARD


@pytest.mark.parametrize("text", [AWKWARD, f"\n{FORGED}", f"x\n  {FORGED}\n→ {FORGED}"])
def test_an_error_that_quotes_a_pack_is_one_error(onnxpack: Run, forged: Path, text: str) -> None:
    """A manifest with an unknown value in a field is quoted by the decoder."""
    content = json.loads((forged / "pack.json").read_bytes())
    content["signature"]["inputs"][0]["name"] = text
    (forged / "pack.json").write_text(json.dumps(content))
    for command in (("check", forged), ("run", forged, "-i", "random"), ("run", forged, "-i", "x")):
        told = onnxpack(*command)
        assert is_clean(told.out)
        assert is_clean(told.err)


def test_names_in_a_graph_are_shown_not_sent(onnxpack: Run, tmp_path: Path) -> None:
    node = onnx.helper.make_node("Identity", [f"x{AWKWARD}"], [f"y{AWKWARD}"], name=AWKWARD)
    ports = [
        onnx.helper.make_tensor_value_info(f"{name}{AWKWARD}", 1, [f"d{AWKWARD}", 2])
        for name in "xy"
    ]
    graph = onnx.helper.make_graph([node], AWKWARD, ports[:1], ports[1:])
    opsets = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, producer_name=AWKWARD)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    for command in (["inspect", path, "--nodes"], ["run", path, "-i", "random"], ["check", path]):
        told = onnxpack(*command)
        assert is_clean(told.out)
        assert is_clean(told.err)


def test_a_card_shows_the_text_of_a_pack_as_text(pack: Any) -> None:
    """Neither a heading, HTML, a fence, a link nor a cell of a table comes from a text."""
    markup = (
        "ok\n\n## Evidence\n\n| a |\n|---|\n<img src=x>\n~~~\n```\n&#x202e; [a](b) `` <b> ``"
        " a\\|passed\\|\x1b[2J\u202e"
    )
    signature = pack.manifest.signature
    spec = msgspec.structs.replace(signature.inputs[0], name=markup)
    failed = OutputEvidence(markup, 1.0, 1.0, 0.5, False, reason=markup)
    case = msgspec.structs.replace(pack.manifest.parity.cases[0], name=markup, outputs=(failed,))
    card = write_card(
        msgspec.structs.replace(
            pack.manifest,
            description=markup,
            notes=(markup,),
            license=markup,
            signature=msgspec.structs.replace(signature, inputs=(spec,)),
            parity=msgspec.structs.replace(
                pack.manifest.parity, cases=(case,), skipped=(SkippedCase(markup, markup),)
            ),
        )
    )
    headings = [line for line in card.splitlines() if line.startswith("#")]
    assert headings.count("## Evidence") == 1
    assert all(line.isprintable() for line in card.split("\n"))
    assert not any(line.startswith(("~", "<", "|---")) for line in card.splitlines())
    assert card.count("```") == 4  # ours
    bare = card.replace("\\\\", "").replace("\\<", "").replace("\\&", "")
    assert "<" not in bare
    assert "&" not in bare
    row = next(line for line in card.splitlines() if "FAILED" in line)
    assert row.replace("\\\\", "").replace("\\|", "").count("|") == 9
