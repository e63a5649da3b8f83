"""Several packs in one image, and what a user adds: each a part of its own, whatever the order."""

import json
from dataclasses import replace

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import onnxpack
from onnxpack.errors import UsageError
from onnxpack.image.additions import Additions
from onnxpack.image.build import build_image
from onnxpack.image.sbom import whole_bill
from onnxpack.oci.store.validate import validate

ADDITIONS = Additions({"A": 'x "y"'}, {"team": "ml, vision"}, grpc=True)


@pytest.fixture(scope="module")
def pair(packs):
    return [onnxpack.open_pack(packs / name) for name in ("other", "mlp")]


@pytest.fixture(scope="module")
def both(pair, cache, amd64):
    return build_image(pair, amd64, cache=cache)


@pytest.fixture(scope="module")
def added(pair, cache, amd64):
    return build_image(pair, replace(amd64, additions=ADDITIONS), cache=cache)


def test_each_pack_has_the_layer_that_it_has_alone(both, built, pair, cache, amd64):
    assert validate(both.content) == ()
    other = build_image(pair[0], amd64, cache=cache).content
    assert both.content.layers == (*built.content.layers, other.layers[-1])
    assert [each["created_by"] for each in both.content.settings["history"][-2:]] == [
        "onnxpack model mlp", "onnxpack model other",
    ]  # fmt: skip


def test_one_pack_and_no_additions_change_nothing(built, pair, cache, amd64):
    alone = build_image([pair[1]], replace(amd64, additions=Additions()), cache=cache)
    assert alone.content == built.content


def test_the_order_of_packs_changes_nothing(both, pair, cache, amd64):
    assert build_image(pair[::-1], amd64, cache=cache).content == both.content


def test_all_are_served_and_named(both, pair):
    config = both.content.settings["config"]
    assert config["Entrypoint"][3:] == ["/model/mlp", "/model/other", "--host", "0.0.0.0"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == "mlp, other"
    assert labels["onnxpack.packs"] == f"mlp:1@{pair[1].digest} other:1@{pair[0].digest}"
    assert "onnxpack.pack.digest" not in labels
    assert "org.opencontainers.image.version" not in labels


def test_the_bill_names_each_model(both):
    text = whole_bill(both.content).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert bill["metadata"]["component"]["name"] == "mlp, other"
    models = {
        each["bom-ref"]: {part["bom-ref"] for part in each["components"]}
        for each in bill["components"]
        if each["type"] == "machine-learning-model"
    }
    assert models.keys() == {"mlp/model", "other/model"}
    assert "other/file:model.onnx" in models["other/model"]


def test_two_packs_of_a_name_are_refused(pair, cache, amd64):
    with pytest.raises(UsageError, match="are both named mlp, and an image holds one pack"):
        build_image([pair[1], replace(pair[1])], amd64, cache=cache)
    with pytest.raises(UsageError, match="no pack"):
        build_image([], amd64, cache=cache)


def test_additions_are_in_the_config_and_nowhere_else(added, both):
    config = added.content.settings["config"]
    assert config["Env"][-1] == 'A=x "y"'
    assert config["Labels"]["team"] == "ml, vision"
    assert config["Entrypoint"][-2:] == ["--grpc-port", "8001"]
    assert config["ExposedPorts"] == {"8000/tcp": {}, "8001/tcp": {}}
    assert added.content.layers[0] == both.content.layers[0]
    assert added.content.layers[3:] == both.content.layers[3:]


def test_grpc_brings_its_packages_and_their_place_in_the_bill(added, both):
    def packages(image):
        with image.layers[2].unpacked() as plain:
            text = plain.read()
        return {name for name in ("grpcio", "protobuf", "grpcio-health-checking",
                                  "grpcio-reflection")
                if f"pkg:pypi/{name}@".encode() in text}  # fmt: skip

    assert packages(both.content) == set()
    assert len(packages(added.content)) == 4
    assert len(set(added.wheels)) == len(added.wheels)
    assert set(both.wheels) < set(added.wheels)
