"""The comparison: its parts on made-up rows, and once for real with PyTorch in a container."""

import json
import subprocess
import sys
from types import SimpleNamespace

import msgspec
import pytest
import torch

import onnxpack
from onnxpack.cli.main import main
from onnxpack.comparison.tolerance import Tolerance
from onnxpack.errors import ExportError, ImageError, PackError
from onnxpack.exporters.torch.program import Example, save_program
from onnxpack.image.cache.cache import FORMAT
from onnxpack.image.compare import measure
from onnxpack.image.compare.chart import draw
from onnxpack.image.compare.container import Trial
from onnxpack.image.compare.golden_request import golden_request
from onnxpack.image.compare.measure import Plan, compare_images
from onnxpack.image.compare.pytorch import pytorch_requirements
from onnxpack.image.compare.table import Comparison, Row, ratios
from onnxpack.image.runtime.wheels import requirements

# The newest with a wheel for CPU alone where this was written.
TORCH = "torch==2.13.0"
NET = """
import torch

def make_model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
"""
ROWS = (
    Row("ONNX", "onnxpack", "cpu", 1.0, 160_000_000, 90_000_000, 4, 0.5, 200_000_000),
    Row("PyTorch", "docker", "cpu", 30.0, 1_120_000_000, 360_000_000, 3, 1.5, 300_000_000),
    Row("PyTorch", "onnxpack", "cpu", 20.0, 900_000_000, 360_000_000, 3),
)
FOUND = Comparison("mlp", ROWS, {"onnxruntime": "1"}, {"ONNX, cuda, by docker": "no wheel"})


def examples(model, *inputs):
    with torch.no_grad():
        return [Example((x.numpy(),), (model(x).numpy(),)) for x in inputs]


class Frozen(torch.nn.Module):
    """Tracing keeps the sample's number of steps."""

    def forward(self, x):
        for _ in range(int(x.shape[1]) - 1):
            x = x.cumsum(1)
        return x


def test_ratios_are_to_the_first_row():
    first, second = ratios(ROWS)
    assert first == {
        "image": "PyTorch, cpu, by docker", "build": 30, "size": 7, "compressed": 4, "start": 3,
        "memory": 1.5,
    }  # fmt: skip
    assert second["start"] is None


def test_it_is_written_down():
    told = json.loads(FOUND.to_json())
    assert told["rows"][1]["size"] == 1_120_000_000
    assert told["ratios"][0]["build"] == 30
    lines = FOUND.to_markdown().splitlines()
    assert "| PyTorch | docker | cpu | 30.00 | 1120 | 360 | 3 | 1.50 | 300 |" in lines
    assert "| PyTorch, cpu, by onnxpack | 20.0 × | 5.6 × | 4.0 × |  |  |" in lines
    assert "- onnxruntime: 1" in lines
    assert "- not built: ONNX, cuda, by docker" in lines


def test_the_chart_is_the_same_each_time(tmp_path):
    draw(FOUND, tmp_path / "a.svg")
    draw(FOUND, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert "PyTorch, cpu, by docker" in (tmp_path / "a.svg").read_text()


def test_an_answer_is_held_against_golden_data(packs):
    request = golden_request(onnxpack.open_pack(packs / "mlp"))
    (name, wanted), *_ = request.expected.items()
    request.check(msgspec.json.encode({"outputs": {name: wanted.tolist()}}), name="it")
    wrong = msgspec.json.encode({"outputs": {name: (wanted + 1).tolist()}})
    with pytest.raises(ImageError, match="it answers differently from the pack: output"):
        request.check(wrong, name="it")
    for broken in (b"", b"[]", b"{}", b'{"outputs": {"output": "x"}}'):
        with pytest.raises(ImageError, match="returned no outputs"):
            request.check(broken, name="it")


def test_a_program_is_torchscript_where_it_answers_right(tmp_path):
    model = torch.nn.Linear(4, 2).eval()
    asked = examples(model, torch.randn(1, 4), torch.randn(3, 4))
    assert save_program(model, asked, tmp_path, tolerance=Tolerance()) == tmp_path / "program.pt"


def test_a_program_that_would_answer_wrong_is_not_saved(tmp_path):
    asked = examples(Frozen(), torch.ones(1, 3), torch.ones(1, 5))
    with pytest.raises(ExportError, match="no program that answers like the pack"):
        save_program(Frozen(), asked, tmp_path, tolerance=Tolerance())
    assert not list(tmp_path.iterdir())


def test_a_program_by_export_where_tracing_keeps_one_branch(tmp_path):
    class Branching(torch.nn.Module):
        def forward(self, x):
            return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x * 2, (x,))

    asked = examples(Branching(), torch.ones(2, 4), -torch.ones(3, 4))
    path = save_program(Branching(), asked, tmp_path, tolerance=Tolerance())
    assert [path] == list(tmp_path.iterdir()) == [tmp_path / "program.pt2"]


def test_without_golden_data_there_is_nothing_to_ask_by(packs, tmp_path):
    bare = onnxpack.open_pack(packs / "mlp/model.onnx")
    with pytest.raises(PackError, match="not a pack with golden data"):
        compare_images(bare, tmp_path, Plan("debian", {"cpu": TORCH}))


def test_a_row_that_cannot_be_built_is_told_and_the_first_has_to_be(monkeypatch):
    def fail():
        raise ImageError("no wheel")

    bench = object.__new__(measure._Bench)
    steps = {"first": lambda: ROWS[0], "second": fail}
    for name, value in {"plan": Plan("debian", {"cpu": TORCH}), "told": str}.items():
        object.__setattr__(bench, name, value)
    monkeypatch.setattr(measure._Bench, "steps", lambda *_: iter(steps.items()))
    rows = []
    assert bench.build_into(rows) == {"second": "no wheel"}
    assert rows == [ROWS[0]]
    steps["first"] = fail
    with pytest.raises(ImageError, match="no wheel"):
        bench.build_into([])


def test_a_container_that_does_not_start_costs_no_other_row(monkeypatch):
    """As in a rootless engine without the right limits; sizes and times to build stay."""
    rows = [Row("ONNX", "onnxpack", "cpu", 1.0, 10), Row("PyTorch", "docker", "cpu", 9.0, 90)]
    tries = []

    def start(engine, name, path, body):
        tries.append(name)
        if "docker" in name:
            raise ImageError("docker run failed: no permission")
        return Trial(0.5, 7, b"right")

    monkeypatch.setattr(measure, "try_image", start)
    monkeypatch.setattr(measure, "_name", lambda row: row.builder)
    request = SimpleNamespace(path="/", body=b"", check=lambda answer, name: None)
    bench = SimpleNamespace(
        engine=SimpleNamespace(name="docker"),
        request=request,
        plan=SimpleNamespace(runs=3),
        told=str,
    )
    found, unstarted = measure._Bench.started(bench, rows)
    assert [(row.start_seconds, row.size) for row in found] == [(0.5, 10), (None, 90)]
    assert unstarted == {"PyTorch, cpu, by docker": "docker run failed: no permission"}
    assert tries.count("docker") == 1
    comparison = Comparison("net", tuple(found), {}, {}, unstarted)
    assert "- not started: PyTorch, cpu, by docker" in comparison.to_markdown()


def test_two_words_are_a_command_and_one_is_too(capsys):
    for line, head in ((["image", "compare"], "image compare"), (["image"], "image")):
        assert main([*line, "--help"]) == 0
        assert capsys.readouterr().out.lstrip().startswith(f"Usage: onnxpack {head} [OPTIONS]")


def test_what_it_is_compared_with_has_to_be_named(packs, capsys):
    assert main(["image", "compare", str(packs / "mlp")]) == 2
    assert "--against" in capsys.readouterr().err


@pytest.mark.heavy
def test_the_real_thing(docker, slim, packs, cache, tmp_path, capsys, monkeypatch):
    wheels, home = tmp_path / "wheels", tmp_path / "home"
    pins = [*requirements(), *pytorch_requirements(TORCH)]
    pip = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "-d", wheels]
    subprocess.run([*pip, *pins], check=True)
    (tmp_path / "net.py").write_text(NET)
    home.mkdir()
    (home / "onnxpack").mkdir()
    (home / "onnxpack" / FORMAT).symlink_to(cache.folder())
    for name, value in {**docker.environment, "XDG_CACHE_HOME": str(home)}.items():
        monkeypatch.setenv(name, value)
    code = main([
        "image", "compare", str(packs / "mlp"), "--against", f"{tmp_path}/net.py:make_model",
        "--torch", TORCH, "--wheels", str(wheels), "--docker-base", slim, "--runs", "1",
        "--no-cache", "-o", str(tmp_path / "out"), "--json",
    ])  # fmt: skip
    shown = capsys.readouterr()
    assert code == 0, shown.err
    told = json.loads(shown.out)
    assert told == json.loads((tmp_path / "out/results.json").read_text())
    assert [(row["image"], row["builder"]) for row in told["rows"]] == [
        ("ONNX", "onnxpack"), ("PyTorch", "onnxpack"), ("ONNX", "docker"), ("PyTorch", "docker"),
        ("PyTorch, plain Dockerfile", "docker"),
    ]  # fmt: skip
    ours, theirs = told["rows"][0], told["rows"][3]
    assert theirs["size"] > 5 * ours["size"]
    assert all(row["start_seconds"] > 0 and row["memory"] > 0 for row in told["rows"])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "plot.svg", "results.json", "table.md",
    }  # fmt: skip
    assert "onnxpack-compare" not in docker("images")
