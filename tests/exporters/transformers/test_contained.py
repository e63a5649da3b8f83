"""A folder of transformers: nothing is fetched, and no file outside of it is read."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from onnxpack.errors import TargetError
from onnxpack.exporters.target.load import load_target
from onnxpack.exporters.transformers.contained import contained, offline

SMALL = {
    "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 32,
}  # fmt: skip
BACKBONE = {"use_timm_backbone": False, "use_pretrained_backbone": True}
FETCHING: list[dict[str, Any]] = [
    {"architectures": ["DetrModel"], "model_type": "detr", "backbone": "a/resnet", **BACKBONE},
    {"architectures": ["DPTModel"], "model_type": "dpt", "backbone": "a/resnet", **BACKBONE},
    {"architectures": ["UperNetForSemanticSegmentation"], "model_type": "upernet",
     "backbone": "a/resnet", **BACKBONE},
    {"architectures": ["BertModel"], "model_type": "bert",
     "_attn_implementation": "kernels-community/flash-attn2"},
    {"architectures": ["BertModel"], "model_type": "bert",
     "attn_implementation": {"": "a/kernel"}},
]  # fmt: skip
LOADS = """
import sys
import huggingface_hub, transformers  # before onnxpack: they have read the environment
reached = []
sys.addaudithook(lambda name, args: name in ("socket.connect", "socket.getaddrinfo")
                 and reached.append(args))
from onnxpack.errors import TargetError
from onnxpack.exporters.target.load import load_target
for folder in sys.argv[1:]:
    try:
        load_target(folder)
        sys.exit(f"{folder} was loaded")
    except TargetError as exc:
        print(exc)
sys.exit(str(reached) if reached else 0)
"""


def put(folder: Path, config: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return folder


def saved(folder: Path) -> Path:
    with torch.random.fork_rng(devices=[]):
        transformers.BertModel(transformers.BertConfig(**SMALL)).save_pretrained(folder)
    return folder


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    """The address of a hub, and the requests that it got."""
    requests: list[str] = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

        do_HEAD = do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_nothing_is_fetched(tmp_path: Path, hub: tuple[str, list[str]]) -> None:
    """In a process of its own, which takes seconds: transformers reads the endpoint only once."""
    address, requests = hub
    folders = [str(put(tmp_path / str(at), config)) for at, config in enumerate(FETCHING)]
    cleared = {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", LOADS, *folders],
        env={**os.environ, "HF_ENDPOINT": address, **cleared},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert requests == []
    assert done.stdout.count("nothing is fetched") == len(folders)
    assert "HF_HUB_OFFLINE" not in done.stdout


def test_a_connection_is_refused_in_this_thread_only(hub: tuple[str, list[str]]) -> None:
    import urllib.request

    address, requests = hub

    def ask() -> None:
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{address}/other")

    with offline():
        with pytest.raises(OSError, match="nothing is fetched"):
            urllib.request.urlopen(f"{address}/ours")
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    ask()
    assert requests == ["/other", "/other"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "deep/more.json", "folder"])
def test_a_symlink_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    folder, outside = saved(tmp_path / "bert"), tmp_path / "outside"
    (folder / "deep").mkdir()
    if name == "folder":
        outside.mkdir()
    else:
        outside.write_bytes((folder / name).read_bytes() if (folder / name).is_file() else b"{}")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(outside)
    with pytest.raises(TargetError, match=r"a symlink to .*outside") as caught:
        load_target(str(folder))
    assert "cp -rL" in caught.value.remedy


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "bert")
    os.mkfifo(folder / "generation_config.json")
    with pytest.raises(TargetError, match="neither a file nor a folder"):
        load_target(str(folder))


def cached(tmp_path: Path) -> tuple[Path, Path]:
    """A folder in the form of a hub's cache: a snapshot of symlinks, and its blobs."""
    plain, model = saved(tmp_path / "plain"), tmp_path / "hub" / "models--a--bert"
    snapshot, blobs = model / "snapshots" / "0123", model / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for at, path in enumerate(sorted(plain.iterdir())):
        path.rename(blobs / f"{at:040}")
        (snapshot / path.name).symlink_to(Path("..", "..", "blobs", f"{at:040}"))
    return snapshot, blobs


def test_a_snapshot_of_a_hubs_cache_is_loaded(tmp_path: Path) -> None:
    snapshot, _ = cached(tmp_path)
    assert type(load_target(str(snapshot)).model).__name__ == "BertModel"


def test_a_cache_whose_blobs_lead_out_is_refused(tmp_path: Path) -> None:
    snapshot, blobs = cached(tmp_path)
    blob = min(blobs.iterdir())
    blob.rename(tmp_path / "elsewhere")
    blob.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TargetError, match="outside of the folder"):
        load_target(str(snapshot))
    (tmp_path / "elsewhere").rename(blob)
    blobs.rename(tmp_path / "all")
    blobs.symlink_to(tmp_path / "all")
    with pytest.raises(TargetError, match="outside of the folder"):
        load_target(str(snapshot))


@pytest.mark.parametrize(
    "name", ["../other/model.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", 3, None]
)
def test_weights_are_files_of_the_folder(tmp_path: Path, name: Any) -> None:
    folder = saved(tmp_path / "bert")
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"pooler.dense.weight": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(TargetError, match="takes weights from"):
        load_target(str(folder))


def test_shards_are_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    transformers.BertModel(transformers.BertConfig(**SMALL)).save_pretrained(
        folder, max_shard_size="4KB"
    )
    assert (folder / "model.safetensors.index.json").is_file()
    assert type(load_target(str(folder)).model).__name__ == "BertModel"


def test_a_tokenizer_names_no_other_file(tmp_path: Path) -> None:
    folder = saved(tmp_path / "bert")
    (tmp_path / "vocab.txt").write_text("secret")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({"vocab_file": "../vocab.txt"}))
    with pytest.raises(TargetError, match="outside of the folder"):
        load_target(str(folder))
    path.write_text(json.dumps({"tokenizer_file": "/home/who/saved/it/tokenizer.json"}))
    load_target(str(folder))


def test_another_model_is_not_read(tmp_path: Path) -> None:
    one, other = saved(tmp_path / "one"), saved(tmp_path / "other")
    config = transformers.BertConfig(**SMALL)
    with contained(one):
        transformers.BertModel.from_pretrained(one)
    with pytest.raises(TargetError, match="needs another model"), contained(one):
        transformers.AutoConfig.from_pretrained(other)
    with pytest.raises(TargetError, match="needs another model"), contained(one):
        transformers.BertModel.from_pretrained(other, config=config)
    with pytest.raises(TargetError, match="outside of the folder"), contained(one):
        transformers.utils.cached_file(one, "../other/config.json")


def test_a_huge_config_is_not_read(tmp_path: Path) -> None:
    folder = saved(tmp_path / "bert")
    with (folder / "config.json").open("r+b") as config:
        config.truncate(2**40)
    with pytest.raises(TargetError, match="has more than"):
        load_target(str(folder))


def test_a_deep_config_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "bert")
    (folder / "config.json").write_text('{"a":' * 100_000)
    with pytest.raises(TargetError, match="cannot be read"):
        load_target(str(folder))
