"""Libraries with known holes load no file of a stranger."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from onnxpack import floors
from onnxpack.errors import TargetError
from onnxpack.exporters.target.load import load_target
from onnxpack.floors import FLOORS, require_floor

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


@pytest.mark.parametrize("name", FLOORS)
def test_pyproject_requires_the_same(name: str) -> None:
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    required = {line for lines in extras.values() for line in lines}
    if name != "pytorch-lightning":  # which lightning replaces
        assert f"{name}>={FLOORS[name].release}" in required


@pytest.mark.parametrize("name", FLOORS)
@pytest.mark.parametrize(
    ("found", "is_refused"),
    [
        ("{}", False), ("{}.0", False), ("{}+cu130", False), ("{}.post1", False), ("99", False),
        ("1!0", True), ("0.1", True), ("{}rc1", True), ("{}.dev3", True), ("{}a0+git12", True),
        ("", True), ("unknown", True),
    ],
)  # fmt: skip
def test_an_older_release_is_refused(
    name: str, found: str, is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = FLOORS[name].release
    monkeypatch.setattr(floors, "version", lambda _: found.format(release))
    if not is_refused:
        require_floor(name)
        return
    with pytest.raises(TargetError, match=re.escape(f"expected {release} or newer")) as caught:
        require_floor(name)
    assert caught.value.remedy == f"pip install '{name}>={release}'"


def test_numbers_are_compared_as_numbers() -> None:
    assert floors._is_older("2.9.1", "2.10")
    assert not floors._is_older("2.14", "2.10")
    assert not floors._is_older("2.10", "2.10.0")


LIT = """
import torch, lightning
class Lit(lightning.LightningModule):
    def __init__(self):
        super().__init__()
"""
FILES = {
    "lightning": "m.ckpt", "torch": "m.pt", "keras": "m.keras", "skops": "m.skops",
    "transformers": "m",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_loader_asks(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the file is read: an empty one is refused for the library."""
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    path, code = tmp_path / FILES[name], tmp_path / f"lit_{tmp_path.name}.py"
    code.write_text(LIT)
    if name == "transformers":
        path.mkdir()
        (path / "config.json").write_text("{}")
    else:
        path.touch()
    monkeypatch.setattr(floors, "version", lambda each: "0.1" if each == name else "99")
    class_name = f"{code}:Lit" if name == "lightning" else None
    with pytest.raises(TargetError, match=f"{name} 0.1 can run code"):
        load_target(str(path), class_name=class_name)
