"""``onnxpack export``."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pexpect
import pytest

from onnxpack.cli import recipe
from onnxpack.comparison.tolerance import OutputEvidence, Tolerance
from onnxpack.errors import ParityError, UsageError
from onnxpack.exporters.export import DEFAULT_OPSET
from onnxpack.pack.manifest import Preprocess

# A terminal of one's own takes a fork, which Python ≥ 3.12 warns of where threads run.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

Run = Callable[..., Any]
PROGRAM = str(Path(sys.executable).with_name("onnxpack"))
NET = """
import torch

def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))

class Dice(torch.nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)

dice = Dice()
"""


@dataclass
class Loaded:
    model: str = "the model"
    name: str = "net"
    labels: Any = None
    preprocess: Any = None
    notes: tuple[str, ...] = ("weights are random",)

    def own_sample(self) -> tuple[Any, tuple[str, ...]]:
        return "its own sample", ("the sample is made up",)


@dataclass
class Library:
    """Stands for the library: it records what it was asked for."""

    pack: Any
    error: Exception | None = None
    loaded: Loaded = field(default_factory=Loaded)
    target: Any = None
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def load_target(self, text: str, **options: Any) -> Loaded:
        self.target = (text, options)
        return self.loaded

    def read_sample(self, specs: list[str]) -> Any:
        return ("sample", *specs)

    def export(self, *args: Any, **options: Any) -> Any:
        self.args, self.options = args, options
        if options["progress"]:
            options["progress"]("running the model")
            for note in self.pack.manifest.notes:
                options["progress"](note)
        if self.error:
            raise self.error
        return self.pack


@pytest.fixture
def library(pack: Any, monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library(pack)
    monkeypatch.setattr("onnxpack.exporters.target.load.load_target", made.load_target)
    monkeypatch.setattr("onnxpack.exporters.target.sample.read_sample", made.read_sample)
    monkeypatch.setattr("onnxpack.exporters.export.export", made.export)
    return made


def test_the_evidence_and_the_next_command(onnxpack: Run, library: Library) -> None:
    told = onnxpack("export", "m:net", "--sample", "1x4", "-o", "out")
    assert told.code == 0
    head, sample, *_ = told.out.splitlines()
    numbers = ["error", "allowed", "max", "rel", "argmax"]
    assert head.split() == ["case", "dims", *numbers, "verdict"]
    assert sample.split() == ["sample", "batch=2", "1.0e-07", "2.0e-05", "1.0e-06", "100%", "PASS"]
    assert library.pack.digest in told.out
    assert told.out.endswith(f"next: onnxpack run {library.pack.path} --input random\n")
    assert told.err == "note: weights are random\n"


@pytest.mark.parametrize("options", [(), ("--verbose",)])
def test_a_note_is_told_once(onnxpack: Run, library: Library, options: tuple[str, ...]) -> None:
    manifest = msgspec.structs.replace(library.pack.manifest, notes=("y is the same throughout",))
    library.pack = dataclasses.replace(library.pack, manifest=manifest)
    told = onnxpack("export", "m:net", "--sample", "1x4", "-o", "out", *options)
    assert told.err.count("y is the same throughout") == 1


def test_options_reach_the_library(onnxpack: Run, library: Library, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\n")
    onnxpack(
        *("export", "m:net", "--sample", "a=1x4", "--sample", "b.npy", "-o", "out"),
        *("--dynamic", "ids:1=tokens,mask:1=tokens,ids:2=width", "--static", "--opset", 20),
        *(
            "--rtol",
            0.01,
            "--accept",
            "ties",
            "--labels",
            labels,
            "--preprocess",
            "imagenet",
            "--name",
            "n",
        ),
        *("--unordered", "boxes, scores", "--unordered", "ids"),
        *("--pack-version", "2.0", "--description", "d", "--license", "MIT", "--force"),
        *("--class", "m:Lit", "--trust"),
    )
    assert library.target == ("m:net", {"class_name": "m:Lit", "trust": True})
    assert library.args == ("the model", ("sample", "a=1x4", "b.npy"), Path("out"))
    assert library.options.pop("preprocess").crop == (224, 224)
    assert library.options == {
        "dynamic": {"ids": {1: "tokens", 2: "width"}, "mask": {1: "tokens"}},
        "static": True,
        "opset": 20,
        "tolerance": Tolerance(rtol=0.01),
        "accept": ("ties",),
        "unordered": [("boxes", "scores"), ("ids",)],
        "labels": ("cat", "dog"),
        "name": "n",
        "version": "2.0",
        "description": "d",
        "license": "MIT",
        "force": True,
        "verbose": False,
        "progress": None,
    }


def test_a_target_brings_its_own(onnxpack: Run, library: Library) -> None:
    library.loaded.labels = ("a", "b")
    library.loaded.preprocess = Preprocess(resize=8)
    assert "note: the sample is made up" in onnxpack("export", "m:net").err
    assert library.args == ("the model", "its own sample", Path("net"))
    assert library.options["labels"] == ("a", "b")
    assert library.options["preprocess"] == Preprocess(resize=8)


def test_json(onnxpack: Run, library: Library) -> None:
    told = onnxpack("export", "m:net", "--json")
    assert list(told.json) == ["path", "digest", "size", "manifest", "next"]
    assert told.json["digest"] == library.pack.digest


def test_verbose_tells_each_step(onnxpack: Run, library: Library) -> None:
    assert "running the model\n" in onnxpack("export", "m:net", "--verbose").err


def test_a_refusal(onnxpack: Run, library: Library) -> None:
    library.error = ParityError("dynamo: 3 of 6 elements differ.", remedy="model.eval()")
    told = onnxpack("export", "m:net")
    assert (told.code, told.out) == (1, "")
    assert told.err == "error: dynamo: 3 of 6 elements differ.\n→ model.eval()\n"


def test_the_help_states_the_librarys_defaults(onnxpack: Run) -> None:
    told = onnxpack("export", "--help").out
    default = Tolerance()
    for number in (DEFAULT_OPSET, f"{default.rtol:.0e}", f"{default.atol:.0e}"):
        assert f"({str(number).replace('e-0', 'e-')})" in told


@pytest.mark.parametrize("option", ["--rtol", "--atol"])
@pytest.mark.parametrize("value", ["-1e-9", "0.2", "inf", "nan"])
def test_a_tolerance_has_bounds(onnxpack: Run, library: Library, option: str, value: str) -> None:
    told = onnxpack("export", "m:net", option, value)
    assert told.code == 2
    assert "0.1" in told.err


def test_the_worst_output_is_shown(onnxpack: Run, library: Library) -> None:
    """The one that comes closest to what it was allowed, not the one with the largest numbers."""
    manifest = library.pack.manifest
    outputs = (
        OutputEvidence("far", 5.0, 1e-6, None, True, error=5.0, allowed=5e3),
        OutputEvidence("near", 1e-5, 1e-6, None, True, error=1e-5, allowed=2e-5),
        OutputEvidence("exact", 0.0, 0.0, None, True),
    )
    case = msgspec.structs.replace(manifest.parity.cases[0], outputs=outputs)
    old = msgspec.structs.replace(case, outputs=(OutputEvidence("y", 3e-7, 1e-6, None, True),))
    parity = msgspec.structs.replace(manifest.parity, cases=(case, old))
    library.pack = dataclasses.replace(
        library.pack, manifest=msgspec.structs.replace(manifest, parity=parity)
    )
    _, first, second, *_ = onnxpack("export", "m:net").out.splitlines()
    assert first.split() == ["sample", "batch=2", "1.0e-05", "2.0e-05", "1.0e-06", "PASS"]
    assert second.split() == ["sample", "batch=2", "3.0e-07", "1.0e-06", "PASS"]


@pytest.mark.parametrize("text", ["ids", "ids:1", "ids:x=t", "ids=1:t", ":1=t", "ids:1="])
def test_axes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not INPUT:AXIS=NAME"):
        recipe.parse_axes(text)


@pytest.mark.parametrize(
    ("content", "labels"),
    [("cat\ndog", ("cat", "dog")), ('["a, b", "c"]', ("a, b", "c")), ("é\n", ("é",))],
)
def test_labels(tmp_path: Path, content: str, labels: tuple[str, ...]) -> None:
    path = tmp_path / "labels"
    path.write_text(content)
    assert recipe.read_labels(path) == labels


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"[", b"\xff"])
def test_labels_that_are_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        recipe.read_labels(path)


def test_a_missing_file_of_labels(onnxpack: Run, library: Library) -> None:
    told = onnxpack("export", "m:net", "--labels", "nowhere.txt")
    assert told.code == 2
    assert "--labels nowhere.txt cannot be read" in told.err


def test_preprocess_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text('{"resize": 8, "crop": [4, 4]}')
    assert recipe.read_preprocess(str(path)) == Preprocess(resize=8, crop=(4, 4))
    path.write_text('{"resize": "large"}')
    with pytest.raises(UsageError, match=r"resize"):
        recipe.read_preprocess(str(path))
    path.write_text('{"resize": 8, "sdt": [1, 1, 1]}')
    with pytest.raises(UsageError, match=r"has a field 'sdt'.* Did you mean 'std'\?"):
        recipe.read_preprocess(str(path))


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


def test_a_real_model_in_a_terminal(net: Path, shell: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    child = pexpect.spawn(
        PROGRAM,
        ["export", f"{net}:make", "--sample", "2x4", "-o", str(out)],
        encoding="utf-8",
        timeout=120,
        dimensions=(40, 100),
    )
    child.expect("trying ")  # the moving line, which only a terminal is shown
    child.expect("next: onnxpack run")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert shell("check", out).code == 0
    assert shell("run", out, "--input", "random").code == 0


def test_a_model_that_throws_dice_is_refused(net: Path, shell: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = shell("export", f"{net}:dice", "--sample", "2x4", "-o", out)
    assert told.code == 1
    assert told.out == ""
    assert not out.exists()
