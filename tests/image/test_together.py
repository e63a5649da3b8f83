"""Builds at the same time on one cache, which is cold."""

import os
import subprocess
import sys
from pathlib import Path

from onnxpack.image.cache import Cache
from onnxpack.image.cache.cache import FORMAT
from onnxpack.image.cache.upkeep import list_parts, verify_cache
from onnxpack.oci.store.validate import validate_layout

ROOT = Path(__file__).parents[2]


def test_two_builds_of_two_platforms_at_once(stand_ins, tmp_path):
    """The first waits for a gate while it makes the base, so the second comes in between."""
    os.mkfifo(stand_ins / "gate")
    gate = os.open(stand_ins / "gate", os.O_RDWR)
    home = tmp_path / "home"
    environment = {**os.environ, "XDG_CACHE_HOME": str(home)}
    more = ["--platform", "linux/amd64,linux/arm64"]
    builds = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.image.small", stand_ins, tmp_path / output, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        for output in ("one", "two")
    ]
    for build in builds:
        assert build.stdout.readline() == "begins\n"
    os.write(gate, b"\n\n")  # a base for each platform, and not two
    for build in builds:
        _, err = build.communicate()
        assert build.returncode == 0, err
    os.close(gate)
    outputs = [tmp_path / "one", tmp_path / "two"]
    assert [validate_layout(output) for output in outputs] == [(), ()]
    assert (outputs[0] / "index.json").read_bytes() == (outputs[1] / "index.json").read_bytes()
    assert (stand_ins / "calls").read_text().split() == ["called", "called"]
    cache = Cache(home / "onnxpack" / FORMAT)
    assert verify_cache(cache)[1] == []
    assert not [part for part in list_parts(cache) if part.kind == "leftover"]
