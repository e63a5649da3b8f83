"""Builds and pushes that are killed at any moment: the next one works, and nothing is half-made."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
IMAGE = """
import sys
from pathlib import Path
import onnxpack.cli.image, onnxpack.image.build, onnxpack.oci.store.archive
from onnxpack.cli.main import main
from onnxpack.image.cache import Cache
from onnxpack.image.cache.upkeep import list_parts, prune_cache, verify_cache
from onnxpack.oci.store.validate import validate_layout
from tests.image.small import image_arguments, use_stand_ins
from tests.killing import kill_at_random

folder = Path(sys.argv[1])
use_stand_ins(folder)
outputs = [folder.with_name("layout"), folder.with_name("image.tar")]

def work(number):
    prune_cache(Cache(), unused_since=float("inf"))
    for output in outputs:
        assert main(image_arguments(folder, output)) == 0

def check(number):
    for output in outputs:
        assert not output.exists() or validate_layout(output) == (), output
    assert verify_cache(Cache())[1] == []
    assert main(image_arguments(folder, outputs[0])) == 0
    assert validate_layout(outputs[0]) == ()
    assert not [part for part in list_parts(Cache()) if part.kind == "leftover"]

kill_at_random(work, check)
"""
PUSH = """
import random, sys
from pathlib import Path
from tempfile import TemporaryDirectory
from onnxpack.oci.image import make_image
from onnxpack.oci.layer.entry import Entry
from onnxpack.oci.layer.layer import write_layer
from onnxpack.oci.reference import Reference
from onnxpack.oci.registry import upload
from onnxpack.oci.registry.client import Client
from onnxpack.oci.registry.pull import pull
from onnxpack.oci.registry.push import push
from onnxpack.oci.store.validate import validate
from tests.killing import kill_at_random

upload.MONOLITHIC = upload.CHUNK_SIZE = 2**16  # several requests
folder, repository = Path(sys.argv[1]), sys.argv[2]

def image_of(number):
    content = random.Random(number).randbytes(300_000)
    large = write_layer([Entry("large", content)], folder / "large", compression="none")
    small = write_layer([Entry("small", content[:99])], folder / "small")
    return make_image([large, small])

def name_of(number):
    return Reference.parse(f"{repository}/{number}:1")

def work(number):
    push(image_of(number), name_of(number))

def check(number):
    name = name_of(number)
    with Client(name) as client:
        there = client.find_manifest("1")
    with TemporaryDirectory() as store:
        if there is not None:
            assert validate(pull(name, Path(store))) == ()
        pushed = push(image_of(number), name).reference
        found = pull(name, Path(store))
        assert (found.digest, validate(found)) == (pushed.digest, ())

kill_at_random(work, check)
"""


@pytest.fixture
def run(tmp_path):
    def start(code, *arguments):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": PATHS, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    return start


def test_an_image_that_is_killed_at_any_moment(run, stand_ins):
    run(IMAGE, stand_ins)


def test_a_push_that_is_killed_at_any_moment(run, tmp_path, registry):
    run(PUSH, tmp_path, registry.name("killed"))
