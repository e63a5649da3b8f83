"""TARGET: every form, and what is refused before it can do harm."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import onnxpack
from onnxpack.cli.main import main
from onnxpack.errors import OnnxpackError, TargetError
from onnxpack.exporters.target.load import load_target

CODE = """
import torch
import lightning

def make_net():
    return torch.nn.Linear(4, 3)

net = torch.nn.Linear(4, 3)
fails = lambda: 1 / 0

class Lit(lightning.LightningModule):
    def __init__(self, width=4, extra=None):
        super().__init__()
        self.save_hyperparameters()
        self.linear = torch.nn.Linear(width, 3)
        self.example_input_array = torch.randn(2, width)

    def forward(self, x):
        return self.linear(x)

    def training_step(self, batch, _):
        return self(batch[0]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

class NotLit(torch.nn.Linear):
    pass
"""


class Harm:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / f"code_{abs(hash(tmp_path))}.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def checkpoint(code: Path, tmp_path: Path) -> Path:
    """Lightning's own, after one step."""
    model = load_target(f"{code}:Lit").model
    data = torch.utils.data.TensorDataset(torch.randn(8, 4))
    with warnings.catch_warnings(action="ignore"):
        trainer = lightning.Trainer(
            max_steps=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        trainer.fit(model, torch.utils.data.DataLoader(data, 4))
        trainer.save_checkpoint(tmp_path / "lit.ckpt")
    return tmp_path / "lit.ckpt"


def refusal(text: Path | str, words: str, **options: Any) -> TargetError:
    with pytest.raises(TargetError) as caught:
        load_target(str(text), **options)
    assert words in caught.value.message
    return caught.value


@pytest.mark.parametrize(("attr", "name"), [("make_net", "net"), ("net", "net"), ("Lit", "lit")])
def test_code(code: Path, attr: str, name: str) -> None:
    loaded = load_target(f"{code}:{attr}")
    assert isinstance(loaded.model, nn.Module)
    assert loaded.name == name
    assert (loaded.labels, loaded.preprocess) == (None, None)
    assert [f"{code}:{attr} has random weights" in note for note in loaded.notes] == (
        [] if attr == "net" else [True]
    )


def test_code_that_fails(code: Path) -> None:
    refusal(f"{code}:fails", "fails failed: ZeroDivisionError: division by zero")


@pytest.mark.parametrize("text", ["nothing", "nowhere.ckpt", "nowhere.onnx", "nowhere.pt"])
def test_what_names_no_model(text: str) -> None:
    with pytest.raises(TargetError):
        load_target(text)


def test_a_graph_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "g.onnx").touch()
    loaded = load_target(str(tmp_path / "g.onnx"))
    assert (loaded.model, loaded.name) == (tmp_path / "g.onnx", "g")
    assert load_target(str(tmp_path)).model == tmp_path


def test_torchvision() -> None:
    before = torch.get_rng_state()
    first, second = (load_target("torchvision:squeezenet1_0") for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.name == "squeezenet1_0"
    assert "random weights" in first.notes[0]
    assert "torchvision:squeezenet1_0@DEFAULT" in first.notes[0]
    state = second.model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in first.model.state_dict().items())


def test_torchvision_with_a_backbone_downloads_nothing() -> None:
    model = load_target("torchvision:lraspp_mobilenet_v3_large").model
    assert isinstance(model, nn.Module)


def test_torchvision_suggests() -> None:
    told = refusal(
        "torchvision:resnet81", "torchvision has no model 'resnet81'; similar names: resnet"
    )
    assert "list_models" in told.remedy
    refusal("torchvision:qqqqqq", "torchvision has no model 'qqqqqq'.")
    refusal("torchvision:resnet18@BEST", "resnet18 has no weights 'BEST'; it has: IMAGENET1K_V1")


def test_torchvision_weights_that_do_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", "/proc/nowhere")
    told = refusal("torchvision:squeezenet1_0@DEFAULT", "weights DEFAULT of squeezenet1_0 cannot")
    assert told.remedy == "for random weights: torchvision:squeezenet1_0"


def test_a_checkpoint(code: Path, checkpoint: Path, tmp_path: Path) -> None:
    loaded = load_target(str(checkpoint), class_name=f"{code}:Lit")
    assert loaded.name == "lit"
    pack = onnxpack.export(loaded.model, None, tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.source.framework == "lightning"
    assert pack.manifest.source.framework_version == lightning.__version__
    x = torch.randn(5, 4)
    found = torch.from_numpy(onnxpack.Model(pack)(x.numpy()))
    torch.testing.assert_close(found, loaded.model(x).detach())


def test_a_checkpoint_that_does_not_fit(code: Path, checkpoint: Path, tmp_path: Path) -> None:
    told = refusal(checkpoint, "contains weights; the code that uses them is a Lightning class")
    assert "--class module:LitModel" in told.remedy
    refusal(checkpoint, "is not a Lightning class", class_name=f"{code}:NotLit")
    refusal(checkpoint, "has no 'Other'", class_name=f"{code}:Other")
    (tmp_path / "bad.ckpt").write_bytes(b"no checkpoint")
    refusal(tmp_path / "bad.ckpt", "bad.ckpt", class_name=f"{code}:Lit")
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"] = {"other": torch.ones(1)}
    torch.save(content, tmp_path / "other.ckpt")
    told = refusal(tmp_path / "other.ckpt", "does not fit Lit", class_name=f"{code}:Lit")
    assert "save_hyperparameters" in told.remedy


@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:FutureWarning")
@pytest.mark.parametrize("name", ["bad.ckpt", "bad.pt", "bad.pth", "bad.pt2"])
def test_a_pickle_runs_nothing_unless_it_is_trusted(
    code: Path, checkpoint: Path, tmp_path: Path, name: str
) -> None:
    harmed, path = tmp_path / "harmed", tmp_path / name
    content = torch.load(checkpoint, weights_only=True)
    content["hyper_parameters"]["extra"] = Harm(harmed)
    torch.save(content, path)
    assert not harmed.exists()
    options = {"class_name": f"{code}:Lit"} if name.endswith("ckpt") else {}
    told = refusal(path, "run any code" if name.endswith("2") else "can run any code", **options)
    assert "--trust" in told.remedy
    assert not harmed.exists()
    argv = ["export", str(path), "--sample", "2x4", "-o", str(tmp_path / "pack")]
    assert main([*argv, *(["--class", options["class_name"]] if options else [])]) == 2
    assert not harmed.exists()
    assert not (tmp_path / "pack").exists()
    if not name.endswith("2"):
        try:
            load_target(str(path), trust=True, **options)
        except OnnxpackError:
            assert not name.endswith("ckpt")
        assert harmed.exists()


@pytest.mark.parametrize("key", ["_instantiator", "_class_path"])
def test_hyper_parameters_import_nothing(
    code: Path, checkpoint: Path, tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are plain texts, so ``weights_only`` lets them pass (CVE-2026-58659)."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    harm = f"harm_{key.strip('_')}_{tmp_path.name}"
    (tmp_path / f"{harm}.py").write_text(f"open({str(tmp_path / 'harmed')!r}, 'w')\nNet = dict\n")
    content = torch.load(checkpoint, weights_only=True)
    content["hyper_parameters"][key] = f"{harm}.Net"
    torch.save(content, tmp_path / "bad.ckpt")
    with contextlib.suppress(TargetError):  # a key that Lightning does not know is left out
        load_target(str(tmp_path / "bad.ckpt"), class_name=f"{code}:Lit")
    assert not (tmp_path / "harmed").exists()
    assert harm not in sys.modules


@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:FutureWarning")
def test_torchscript(tmp_path: Path) -> None:
    net = nn.Linear(4, 3)
    torch.jit.save(torch.jit.script(net), tmp_path / "net.pt")
    loaded = load_target(str(tmp_path / "net.pt"), trust=True)
    assert loaded.name == "net"
    x = torch.randn(2, 4)
    torch.testing.assert_close(loaded.model(x), net(x))
    pack = onnxpack.export(loaded.model, x, tmp_path / "pack")
    np.testing.assert_allclose(onnxpack.Model(pack)(x.numpy()), net(x).detach(), rtol=1e-4)


def test_a_loaded_torchscript_warns_of_nothing(tmp_path: Path) -> None:
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.script(nn.Linear(4, 3)), tmp_path / "net.pt")
    assert isinstance(load_target(str(tmp_path / "net.pt"), trust=True).model, nn.Module)


class Harmful(nn.Module):
    """Writes a file when its archive is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = torch.zeros(4)

    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> bool:
        return True

    @torch.jit.export
    def __setstate__(self, state: bool) -> None:
        self.training = state
        self.kept = torch.from_file("harmed", shared=True, size=4)


@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:FutureWarning")
def test_torchscript_wants_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code runs when it is loaded, and its operators write files."""
    monkeypatch.chdir(tmp_path)
    torch.jit.save(torch.jit.script(Harmful()), tmp_path / "net.pt")
    told = refusal(tmp_path / "net.pt", "its code runs when it is loaded, and can read and write")
    assert "--trust" in told.remedy
    assert not (tmp_path / "harmed").exists()
    load_target(str(tmp_path / "net.pt"), trust=True)
    assert (tmp_path / "harmed").exists()


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    torch.save(nn.Linear(4, 3).state_dict(), tmp_path / "net.pt")
    told = refusal(
        tmp_path / "net.pt", "contains weights (OrderedDict), but not the code that uses"
    )
    assert "file.py:make_model" in told.remedy
    (tmp_path / "bad.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(TargetError):
        load_target(str(tmp_path / "bad.pt"))


def test_a_pickled_module_wants_trust(tmp_path: Path) -> None:
    torch.save(nn.Linear(4, 3), tmp_path / "net.pt")
    assert "--trust" in refusal(tmp_path / "net.pt", "can run any code").remedy
    assert isinstance(load_target(str(tmp_path / "net.pt"), trust=True).model, nn.Linear)


@pytest.fixture
def pickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A saved model, and the module of its class beside it, which no process has imported."""
    code = tmp_path / f"pickled_by_{tmp_path.name}.py"
    code.write_text("import torch\nclass Net(torch.nn.Identity): pass\n")
    save = f"import torch, {code.stem} as code; torch.save(code.Net(), 'net.pt')"
    subprocess.run([sys.executable, "-c", save], cwd=tmp_path, check=True)
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path / "net.pt", code


def test_a_pickled_module_finds_its_class_beside_it(pickled: tuple[Path, Path]) -> None:
    assert type(load_target(str(pickled[0]), trust=True).model).__name__ == "Net"


def test_a_pickled_module_whose_code_is_missing(pickled: tuple[Path, Path]) -> None:
    path, code = pickled
    code.unlink()
    told = refusal(path, "needs code that cannot be imported: No module named", trust=True)
    assert "cd to the folder" in told.remedy


def test_a_pickled_module_whose_class_was_renamed(pickled: tuple[Path, Path]) -> None:
    path, code = pickled
    code.write_text("Other = 1\n")
    refusal(path, f"needs {code.stem}.Net, and {code.stem} has no 'Net'", trust=True)


def test_a_pickled_module_of_a_script(tmp_path: Path) -> None:
    script = "import torch\nclass Net(torch.nn.Identity): pass\ntorch.save(Net(), 'net.pt')\n"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    told = refusal(tmp_path / "net.pt", "needs the class Net of the script that", trust=True)
    assert "onnxpack.export(model, sample, 'net')" in told.remedy


def test_a_program_wants_trust(tmp_path: Path) -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2

    batch = torch.export.Dim("batch")
    program = torch.export.export(Net(), (torch.ones(2, 4),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "net.pt2")
    assert "--trust" in refusal(tmp_path / "net.pt2", "this can run any code").remedy
    loaded = load_target(str(tmp_path / "net.pt2"), trust=True)
    pack = onnxpack.export(loaded.model, torch.randn(3, 4), tmp_path / "pack")
    assert (onnxpack.Model(pack)(np.ones((5, 4), np.float32)) == 2).all()
    (tmp_path / "bad.pt2").write_bytes(b"no program")
    refusal(tmp_path / "bad.pt2", "is not a torch.export program", trust=True)


def test_a_misspelled_attribute_and_a_file_without_one(code: Path) -> None:
    assert refusal(f"{code}:make_nett", "has no 'make_nett'; it has:").remedy == f"{code}:make_net"
    assert refusal(code, "is a file of Python code, expected the name of the model").remedy


def test_code_that_needs_another_package(tmp_path: Path) -> None:
    (tmp_path / "needs.py").write_text("import not_installed_here\n")
    told = refusal(f"{tmp_path / 'needs.py'}:net", "No module named 'not_installed_here'")
    assert "install what 'not_installed_here' comes from" in told.remedy
