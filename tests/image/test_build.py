"""Images without a daemon: the same bytes each time, a layer for each part, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import onnxpack
from onnxpack.errors import ImageError, PackError
from onnxpack.image.build import MIN_GOLDEN, Recipe, build_image, shipped
from onnxpack.image.cache import Cache
from onnxpack.oci.platform import Platform
from onnxpack.oci.store.validate import validate

AGAIN = """
import sys
from pathlib import Path
import onnxpack
from onnxpack.image.build import Recipe, build_image
from onnxpack.image.cache import Cache
from onnxpack.oci.platform import Platform
pack, cache = onnxpack.open_pack(sys.argv[1]), Cache(Path(sys.argv[2]))
print(build_image(pack, Recipe("debian", (Platform("amd64"),)), cache=cache).content.digest)
"""


def files(layer):
    """What is in a layer: the content of each file by its path."""
    with (
        layer.unpacked() as plain,
        tarfile.open(fileobj=plain, mode="r|") as members,
    ):
        return {
            each.name: members.extractfile(each).read() if each.isfile() else each.linkname
            for each in members
        }


@pytest.fixture(scope="module")
def contents(built):
    base, runtime, bill, model = built.content.layers
    return {
        "base": files(base),
        "runtime": files(runtime),
        "bill": files(bill),
        "model": files(model),
    }


def test_it_is_whole(built):
    assert validate(built.content) == ()


def test_what_a_container_is_told(built):
    config = built.content.settings["config"]
    assert config["Entrypoint"][1:] == [
        "-m", "onnxpack.server", "/model/mlp", "--host", "0.0.0.0",
    ]  # fmt: skip
    assert config["User"] == "65532:65532"
    assert config["ExposedPorts"] == {"8000/tcp": {}}
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"][-2:] == ["-m", "onnxpack.server.alive"]
    assert "ORT_DISABLE_TELEMETRY=1" in config["Env"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == "mlp"
    assert labels["org.opencontainers.image.base.name"].startswith("debian:")
    assert labels["onnxpack.wheels"].split() == list(built.wheels)


def test_there_is_no_shell_no_manager_and_no_framework(contents):
    paths = {path for layer in contents.values() for path in layer}
    programs = {path.rpartition("/")[2] for path in paths if path.startswith(("bin/", "usr/bin/"))}
    assert programs == {"python3", f"python{sys.version_info.major}.{sys.version_info.minor}"}
    for module in ("onnx", "torch", "rich", "onnxpack/cli", "onnxpack/exporters"):
        assert not any(path.startswith(f"opt/rt/{module}/") for path in paths)


def test_every_source_became_byte_code(contents):
    assert not [path for path in contents["runtime"] if path.endswith(".py")]
    assert not [path for path in contents["base"] if path.endswith(".py")]


def test_certificates_time_zones_and_users_are_there(contents):
    base = contents["base"]
    assert base["etc/ssl/certs/ca-certificates.crt"].count(b"BEGIN CERTIFICATE") > 100
    assert base["usr/share/zoneinfo/Europe/Berlin"].startswith(b"TZif")
    assert b"nonroot:x:65532" in base["etc/passwd"]
    assert b"PRETTY_NAME" in base["usr/lib/os-release"]
    assert base["etc/os-release"] == "../usr/lib/os-release"  # where scanners look for it


def test_scanners_find_each_package(contents):
    status = {
        path.rpartition("/")[2]: text.decode()
        for path, text in contents["base"].items()
        if path.startswith("var/lib/dpkg/status.d/") and text
    }
    assert {"libc6", "libssl3", "tzdata"} <= status.keys() or "libssl3t64" in status
    assert all(f"Package: {name}\n" in text for name, text in status.items())
    assert "dpkg" not in status


def test_the_bill_of_materials_names_packages_and_wheels(contents, built):
    (path,) = (path for path in contents["bill"] if path.endswith(".json"))
    text = contents["bill"][path].decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = {each["purl"] for each in json.loads(text)["components"]}
    assert {f"pkg:pypi/{pin.replace('==', '@')}" for pin in built.wheels} <= found
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in found)


def test_the_model_is_there_as_it_is(contents, packs):
    model = contents["model"]
    assert model["model/mlp/model.onnx"] == (packs / "mlp" / "model.onnx").read_bytes()
    assert model["model/mlp/pack.json"] == (packs / "mlp" / "pack.json").read_bytes()


@pytest.mark.parametrize(
    ("zone", "seed", "mask"), [("Asia/Tokyo", "1", 0o077), ("UTC", "7", 0o002)]
)
def test_another_day_user_and_umask_give_the_same_image(
    built, packs, cache, tmp_path, zone, seed, mask
):
    """With the fetched packages at hand, and no layer."""
    shutil.copytree(cache.root / "trees", tmp_path / "trees", symlinks=True)
    done = subprocess.run(
        ["faketime", "2031-05-05", sys.executable, "-c", AGAIN, packs / "mlp", tmp_path],
        capture_output=True, text=True, check=True, umask=mask,
        env={**os.environ, "TZ": zone, "PYTHONHASHSEED": seed, "LC_ALL": "C"},
    )  # fmt: skip
    assert done.stdout.strip() == built.content.digest


def test_a_new_model_costs_one_layer(built, packs, cache, amd64):
    other = build_image(onnxpack.open_pack(packs / "other"), amd64, cache=cache)
    assert other.content.layers[:3] == built.content.layers[:3]
    assert other.content.layers[3] != built.content.layers[3]


def test_a_file_that_was_altered_goes_into_no_image(packs, cache, amd64, tmp_path):
    shutil.copytree(packs / "mlp", tmp_path / "mlp")
    with (tmp_path / "mlp" / "README.md").open("a") as card:
        card.write("more")
    # Of a pack that no other test builds: its layer is not in the cache, and does not get there.
    manifest = tmp_path / "mlp" / "pack.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"description": "other"}))
    before = set((cache.root / "layers").glob("model-*"))
    with pytest.raises(PackError, match=r"README\.md") as refused:
        build_image(onnxpack.open_pack(tmp_path / "mlp"), amd64, cache=cache)
    assert refused.value.remedy.startswith("onnxpack check")
    assert set((cache.root / "layers").glob("model-*")) == before


def test_a_bare_graph_goes_in_too(packs, cache, amd64, tmp_path):
    graph = shutil.copy(packs / "mlp" / "model.onnx", tmp_path / "bare.onnx")
    found = build_image(onnxpack.open_pack(Path(graph)), amd64, cache=cache).content
    assert "/model/bare/bare.onnx" in found.settings["config"]["Entrypoint"]
    assert "model/bare/bare.onnx" in files(found.layers[-1])


def test_the_smallest_golden_sets_go_along(packs, tmp_path):
    pack = onnxpack.open_pack(packs / "mlp")
    assert {name for name, _ in shipped(pack)} == {
        path.relative_to(pack.path).as_posix() for path in pack.path.rglob("*") if path.is_file()
    }
    large = shutil.copytree(packs / "mlp", tmp_path / "mlp")
    for number in (0, 2):
        (large / f"test_data_set_{number}" / "input_0.pb").write_bytes(bytes(MIN_GOLDEN))
    names = {name.partition("/")[0] for name, _ in shipped(onnxpack.open_pack(large))}
    assert "test_data_set_1" in names
    assert names.isdisjoint({"test_data_set_0", "test_data_set_2"})


def test_an_index_of_two_platforms(packs, cache, built):
    recipe = Recipe("debian", (Platform("amd64"), Platform("arm64")))
    found = build_image(onnxpack.open_pack(packs / "mlp"), recipe, cache=cache)
    first, second = found.images
    assert first == built.content
    assert str(second.platform) == "linux/arm64"
    assert second.layers[-1] == first.layers[-1]
    assert validate(second) == ()
    python = f"usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    assert files(second.layers[0])[python][18] == 183  # ELF's number of AArch64


def test_a_base_from_nowhere_is_named(packs, tmp_path):
    recipe = Recipe(f"oci:{tmp_path / 'none'}", (Platform("amd64"),))
    with pytest.raises(ImageError, match="none"):
        build_image(onnxpack.open_pack(packs / "mlp"), recipe, cache=Cache(tmp_path))
