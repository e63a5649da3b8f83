"""The boundary: exceptions become words and exit codes."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from onnxpack import errors
from onnxpack.cli import say
from onnxpack.cli.command import NotOkError

Run = Callable[..., Any]
PROGRAM = Path(sys.executable).with_name("onnxpack")
COMMANDS = ("export", "check", "inspect", "view", "run", "serve", "image", "providers", "doctor")


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (NotOkError(), 1),
        (errors.ExportError("no"), 1),
        (errors.NondeterministicError("no"), 1),
        (errors.ParityError("no"), 1),
        (errors.UsageError("no"), 2),
        (errors.FeedError("no"), 2),
        (errors.PackError("no"), 2),
        (errors.MissingExtraError("netron", extra="view"), 3),
        (errors.ProviderError("no"), 3),
        (OSError(errno.ENOSPC, "No space left on device"), 2),
        (RuntimeError("no"), 70),
        (OSError("no"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(
    onnxpack: Run, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int
) -> None:
    def survey() -> None:
        raise raised

    monkeypatch.setattr("onnxpack.runtime.providers.survey", survey)
    assert onnxpack("providers").code == code


def test_an_error_and_its_remedy_stand_on_stderr(onnxpack: Run, tmp_path: Path) -> None:
    (tmp_path / "weights.pt").touch()
    told = onnxpack("inspect", tmp_path / "weights.pt")
    assert told.code == 2
    assert told.out == ""
    error, remedy = told.err.splitlines()
    assert error.startswith("error: ")
    assert remedy.startswith("→ onnxpack export ")


def test_with_json_the_error_is_the_one_document_on_stdout(onnxpack: Run) -> None:
    told = onnxpack("inspect", "nothing.onnx", "--json")
    assert told.code == 2
    assert told.json == {
        "error": "nothing.onnx does not exist; expected a pack, or an .onnx file.",
        "kind": "PackError",
        "remedy": "",
    }
    assert told.err.startswith("error: nothing.onnx does not exist")


@pytest.mark.parametrize(
    ("argv", "typed"),
    [
        (["--sample", "64"], "--sample 1x64"),
        (["--sample=64"], "--sample 1x64"),
        ([], "--sample 1x3x224x224"),
    ],
)
def test_a_cure_is_the_line_that_was_typed_with_the_option_that_mends_it(
    onnxpack: Run, tmp_path: Path, argv: list[str], typed: str
) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\nnet = nn.Linear(64, 10)\n")
    target = f"{tmp_path}/net.py:net"
    told = onnxpack("export", target, *argv, "-o", tmp_path / "pack")
    assert told.err.splitlines()[-1] == f"→ onnxpack export {target} -o {tmp_path}/pack {typed}"


def test_a_name_that_forward_lacks_is_told(onnxpack: Run, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\nnet = nn.Linear(64, 10)\n")
    argv = ("--sample", "img=1x64", "-o", tmp_path / "pack")
    told = onnxpack("export", f"{tmp_path}/net.py:net", *argv)
    assert "→ forward() takes input, and the sample is a dict of img" in told.err


def test_a_pack_of_nearly_this_name_is_named(onnxpack: Run, pack: Any) -> None:
    told = onnxpack("run", f"{pack.path}s", "-i", "random")
    assert told.err.splitlines()[-1] == f"→ {pack.path}"


@pytest.mark.parametrize(
    ("argv", "message", "remedy"),
    [
        (["bogus"], "No such command 'bogus'.", "onnxpack --help"),
        (["check"], "Missing argument 'PACK'.", "onnxpack check --help"),
        (["run", "x", "--tpo", "3"], "No such option", "onnxpack run --help"),
        (["run", "x", "-i", "random", "--top", "0"], "'--top'", "onnxpack run --help"),
    ],
)
def test_usage_errors(onnxpack: Run, argv: list[str], message: str, remedy: str) -> None:
    told = onnxpack(*argv)
    assert told.code == 2
    assert message in told.err
    assert told.err.endswith(f"→ {remedy}\n")
    assert "Traceback" not in told.err


def test_usage_errors_are_json_too(onnxpack: Run) -> None:
    told = onnxpack("check", "--json")
    assert told.json["error"] == "Missing argument 'PACK'."


def test_a_bug_is_one_line_and_the_way_to_its_traceback(
    onnxpack: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def survey() -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("onnxpack.runtime.providers.survey", survey)
    told = onnxpack("providers")
    assert told.code == 70
    assert told.err.splitlines() == [
        "error: a bug in onnxpack: ZeroDivisionError: by zero",
        "→ ONNXPACK_TRACEBACK=1 onnxpack providers   # shows where; please report it",
    ]
    monkeypatch.setenv("ONNXPACK_TRACEBACK", "1")
    assert "Traceback (most recent call last)" in onnxpack("providers").err


def test_version_and_help(onnxpack: Run) -> None:
    assert onnxpack("--version").out == f"onnxpack {version('onnxpack')}\n"
    bare, asked = onnxpack(), onnxpack("--help")
    assert bare.code == asked.code == 0
    assert bare.out == asked.out
    assert all(f"  {command} " in asked.out for command in COMMANDS)
    assert "..." not in asked.out.partition("Commands:")[2]  # no summary is cut off


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_an_example(onnxpack: Run, command: str) -> None:
    told = onnxpack(command, "-h")
    assert told.code == 0
    assert f"Example:\n    onnxpack {command}" in told.out


@pytest.mark.parametrize("argv", [["--help"], ["run", "--help"], ["--version"], ["--nonsense"]])
def test_start_up_loads_no_library(argv: list[str]) -> None:
    code = (
        "import sys\n"
        "from onnxpack.cli.main import main\n"
        f"main({argv!r})\n"
        "heavy = 'numpy onnx onnx_ir onnxruntime torch rich msgspec netron'.split()\n"
        "sys.exit(' '.join(name for name in heavy if name in sys.modules) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_run_loads_only_what_it_runs_with(pack: Any) -> None:
    code = (
        "import sys\n"
        "from onnxpack.cli.main import main\n"
        f"main(['run', {str(pack.path)!r}, '-i', 'random'])\n"
        "heavy = 'onnx onnx_ir torch rich numpy.random netron'.split()\n"
        "sys.exit(' '.join(name for name in heavy if name in sys.modules) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: Run, shell_name: str) -> None:
    told = shell("completion", shell_name)
    assert told.code == 0
    assert "_ONNXPACK_COMPLETE" in told.out


def test_completion_completes(shell: Run) -> None:
    told = shell(_ONNXPACK_COMPLETE="bash_complete", COMP_WORDS="onnxpack ins", COMP_CWORD="1")
    assert told.out.split() == ["plain,inspect"]


def test_nobody_reads(pack: Any) -> None:
    """A reader that goes away, as ``head`` does, ends the command in silence."""
    with subprocess.Popen(
        [PROGRAM, "inspect", pack.path, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_full_disk_is_no_bug(pack: Any) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [PROGRAM, "inspect", pack.path], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert done.stderr.decode() == "error: the output cannot be written: No space left on device.\n"


def test_a_terminal_without_unicode_gets_its_answer(shell: Run, pack: Any) -> None:
    assert shell("check", "nothing", PYTHONIOENCODING="ascii").code == 2
    assert shell("inspect", pack.path, PYTHONIOENCODING="ascii").code == 0


def test_control_characters_are_shown_not_sent() -> None:
    assert say.printable("a\x1b[31mb\x07\tc\nd é ×") == "a\\x1b[31mb\\x07\tc\nd é ×"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (46_830_000, "46.8 MB"), (1.8e12, "1.8 TB"), (999_900, "1 MB")],
)
def test_sizes(count: float, text: str) -> None:
    assert say.size(count) == text


def test_the_module_exits_as_the_command_does(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "onnxpack", "check", str(tmp_path / "nothing")]
    assert subprocess.run(line, check=False, capture_output=True).returncode == 2
