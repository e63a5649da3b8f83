"""A push brings the bill of materials along, attached to each platform's image."""

import json
import os
import shutil
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import onnxpack
from onnxpack.errors import ImageError, RegistryError
from onnxpack.image.build import MIN_GOLDEN, Recipe, build_image
from onnxpack.image.publish import BILL_TYPE, publish
from onnxpack.image.sbom import whole_bill
from onnxpack.oci.index import make_index
from onnxpack.oci.platform import Platform
from onnxpack.oci.reference import Reference
from onnxpack.oci.registry.pull import pull, resolve
from onnxpack.oci.registry.referrers import attached
from onnxpack.oci.registry.transport import Patience


@pytest.fixture
def name(registry):
    return Reference.parse(registry.name(f"team/{os.urandom(6).hex()}:1"))


def build(path, recipe, cache):
    return build_image(onnxpack.open_pack(path), recipe, cache=cache).content


def test_the_whole_bill_tells_of_base_wheels_and_model(built):
    text = whole_bill(built.content).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    about = bill["metadata"]["component"]
    assert (about["name"], about["version"]) == ("mlp", built.content.digest)
    found = {each["bom-ref"]: each for each in bill["components"]}
    assert {f"pkg:pypi/{pin.replace('==', '@')}" for pin in built.wheels} <= found.keys()
    assert any(each.startswith("pkg:deb/debian/libc6@") for each in found)
    model = found["model"]
    assert model["type"] == "machine-learning-model"
    assert "model.onnx" in {each["name"] for each in model["components"]}
    assert not any("torch" in each for each in found)


def test_it_is_the_same_each_time(built):
    assert whole_bill(built.content) == whole_bill(built.content)


def test_golden_data_that_stayed_behind_is_not_in_it(packs, cache, amd64, tmp_path):
    zoo = Path(shutil.copytree(packs / "mlp", tmp_path / "mlp"))
    (zoo / "pack.json").unlink()
    (zoo / "test_data_set_0" / "output_0.pb").write_bytes(bytes(MIN_GOLDEN + 1))
    model = model_in(whole_bill(build(zoo, amd64, cache)))
    names = {each["name"] for each in model["components"]}
    assert "test_data_set_1/input_0.pb" in names
    assert "test_data_set_0/input_0.pb" not in names


@pytest.mark.parametrize("damage", ["[]", "{}", '{"metadata": []}', '{"metadata": {}}', None])
def test_a_model_without_a_bill_is_named(packs, cache, amd64, tmp_path, damage):
    zoo = Path(shutil.copytree(packs / "mlp", tmp_path / "mlp"))
    (zoo / "pack.json").unlink()
    if damage is None:
        (zoo / "SBOM.cdx.json").unlink()
    else:
        (zoo / "SBOM.cdx.json").write_text(damage)
    image = build(zoo, amd64, cache)
    if damage == "[]":
        with pytest.raises(ImageError, match=r"SBOM\.cdx\.json is list in JSON"):
            whole_bill(image)
    else:
        assert model_in(whole_bill(image))["name"] == "mlp"


def test_a_push_attaches_it(built, name, tmp_path):
    done = publish(built.content, name)
    assert resolve(name).digest == built.content.digest
    (listed,) = attached(name, built.content.digest, artifact_type=BILL_TYPE)
    assert done.bills == (Reference(name.registry, name.repository, digest=listed.digest),)
    artifact = pull(done.bills[0], tmp_path)
    (bill,) = artifact.layers
    assert bill.descriptor.media_type == BILL_TYPE
    assert bill.path.read_bytes() == whole_bill(built.content)
    again = publish(built.content, name)
    assert (again.bills, again.pushed.sent) == (done.bills, ())
    assert len(attached(name, built.content.digest)) == 1


def test_each_platform_has_its_own(packs, cache, name):
    recipe = Recipe("debian", (Platform("amd64"), Platform("arm64")))
    index = build(packs / "mlp", recipe, cache)
    bills = publish(index, name).bills
    assert [each.digest for image in index.images for each in attached(name, image.digest)] == [
        each.digest for each in bills
    ]
    assert len({each.digest for each in bills}) == 2
    assert b"?arch=arm64" in whole_bill(index.images[1])


def test_a_bill_that_cannot_be_made_is_told_before_anything_is_sent(
    packs, cache, amd64, name, tmp_path
):
    zoo = Path(shutil.copytree(packs / "mlp", tmp_path / "mlp"))
    (zoo / "pack.json").unlink()
    (zoo / "SBOM.cdx.json").write_text("not valid JSON")
    with pytest.raises(ImageError, match="is not JSON"):
        publish(build(zoo, amd64, cache), name)
    with pytest.raises(RegistryError, match="404"):
        resolve(name)


def test_nobody_listens(built):
    patience = Patience(attempts=2, first=0.001)
    with pytest.raises(RegistryError, match="cannot be reached"):
        publish(make_index([built.content]), Reference.parse("127.0.0.1:1/a"), patience=patience)


def model_in(bill):
    (found,) = (
        each for each in json.loads(bill)["components"] if each["type"] == "machine-learning-model"
    )
    return found
