"""Commands by name, what each of them imports, and how a shell completes them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from onnxpack.cli.commands import MODULES, load

Run = Callable[..., Any]

IMPORTED = """
import sys
from onnxpack.cli.commands import MODULES
from onnxpack.cli.main import main
main(sys.argv[1:])
commands = {f"onnxpack.cli.{module}" for module in MODULES.values()}
print("imported:", *sorted((commands | {"pydantic", "typer", "rich"}) & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("argv", "modules"),
    [
        ("--version", []),
        ("bogus", []),
        ("export PACK/model.onnx -o PACK", ["export"]),
        ("check PACK", ["check"]),
        ("inspect PACK", ["inspect"]),
        ("run PACK -i random", ["run"]),
        ("view PACK/none", ["view"]),
        ("serve PACK/none", ["serve"]),
        ("image PACK/none", ["image"]),
        ("image compare PACK/none --against x", ["image_compare"]),
        ("doctor", ["doctor"]),
        ("cache ls", ["cache_ls"]),
        ("cache prune --all --days 1", ["cache_prune"]),
        ("cache verify --bogus", ["cache_verify"]),
        ("providers", ["providers"]),
        ("completion zsh", ["completion"]),
    ],
)
def test_a_command_imports_no_other(pack: Any, argv: str, modules: list[str]) -> None:
    words = argv.replace("PACK", str(pack.path)).split()
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *words], capture_output=True, text=True, check=True
    )
    expected = ["imported:", *(f"onnxpack.cli.{module}" for module in modules)]
    assert done.stdout.splitlines()[-1].split() == expected


@pytest.mark.parametrize("name", MODULES)
def test_a_command_is_called_as_its_module_says(name: str) -> None:
    module = import_module(f"onnxpack.cli.{MODULES[name]}")
    assert load(name).name == module.NAME == name
    assert load(name).example == module.EXAMPLE
    assert f"onnxpack {name} " in f"{module.EXAMPLE}\n".replace("\n", " ")


def test_a_name_that_is_nearly_right(onnxpack: Run) -> None:
    assert "No such command 'inspct'. Did you mean 'inspect'?" in onnxpack("inspct").err
    assert onnxpack("bogus").err.splitlines()[0] == "error: No such command 'bogus'."


COMPLETED = """
source <(onnxpack completion bash)
COMP_WORDS=(onnxpack "$@")
COMP_CWORD=$#
_onnxpack_completion onnxpack
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["ins"], ["inspect"]),
        (["im"], ["image"]),
        (["image", "x", "--eng"], ["--engine"]),
        (["image", "x", "--engine", "p"], ["podman"]),
        (["image", "compare", "x", "--ag"], ["--against"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
    ],
)
def test_bash_completes(
    words: list[str], found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    done = subprocess.run(
        ["bash", "-c", COMPLETED, "bash", *words], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == found


def test_help_of_arguments(onnxpack: Run) -> None:
    lines = onnxpack("inspect", "--help").out.splitlines()
    assert lines[0] == "Usage: onnxpack inspect [OPTIONS] PACK"
    at = lines.index("Arguments:")
    assert lines[at + 1] == "  PACK  A pack, a model-zoo folder, or an .onnx file."
    assert lines[at + 3] == "Options:"
