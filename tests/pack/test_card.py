from __future__ import annotations

from typing import Any

import msgspec
import pytest

from onnxpack.pack.card import size, write_card
from onnxpack.pack.manifest import FileEntry, Manifest, SkippedCase, Step
from onnxpack.pack.model import Pack
from onnxpack.signature import Signature, TensorSpec


@pytest.fixture
def manifest(parts: Any) -> Manifest:
    return parts.manifest


def test_the_card_is_for_a_person(pack: Pack) -> None:
    assert (
        (pack.path / "README.md").read_text()
        == """\
# tiny 1.0

Three numbers in, two out.

## Inputs and outputs

|  | name | type |
| --- | --- | --- |
| input | `x` | `float32[batch, 3]` |
| output | `y` | `float32[batch, 2]` |

`batch` may be any size; the pack was proven at 1 and 2.

Its 2 labels are in `pack.json`.

## Running it

```sh
onnxpack check tiny
onnxpack run tiny --input random
```

```python
import onnxpack

model = onnxpack.Model("tiny")
inputs = model.example()
answer = model(**inputs)
```

`example()` returns the inputs of the first golden set: `x: float32[batch, 3]`.

## Evidence

The graph's answers against those of torch, with rtol 0.001 and atol 1e-05 of what is typical \
around an element.

| case | dims | output | error | allowed | max rel | agreement |  |
| --- | --- | --- | --- | --- | --- | --- | --- |
| batch 1 | batch = 1 | `y` | 1e-07 | 2e-05 | 1e-06 | 100.00% | passed |
| batch 2 | batch = 2 | `y` | 1e-07 | 2e-05 | 1e-06 | 100.00% | passed |

## Source

- framework: torch 2.9.0+cpu
- class: tiny.Net
- exported by: dynamo
- ONNX opset: 18 (IR version 10)
- licence: Apache-2.0

## Files

| file | size |
| --- | --- |
| `model.onnx` | 124 B |
| `test_data_set_0/input_0.pb` | 23 B |
| `test_data_set_0/output_0.pb` | 19 B |
| `test_data_set_1/input_0.pb` | 35 B |
| `test_data_set_1/output_0.pb` | 27 B |
"""
    )


def test_text_from_outside_stays_in_its_cell(manifest: Manifest) -> None:
    case = msgspec.structs.replace(manifest.parity.cases[0], name="a | b\n# c `d`")
    parity = msgspec.structs.replace(
        manifest.parity, cases=(case,), skipped=(SkippedCase("big", "no *memory*\n- left"),)
    )
    signature = Signature((TensorSpec("x`|", "float32", None),), manifest.signature.outputs)
    card = write_card(msgspec.structs.replace(manifest, parity=parity, signature=signature))
    assert "| a \\| b \\# c \\`d\\` |" in card
    assert "- big: no \\*memory\\* - left" in card
    assert "| input | x\\`\\| | `float32[...]` |" in card


def test_a_derived_pack_says_from_what(manifest: Manifest) -> None:
    card = write_card(
        msgspec.structs.replace(
            manifest, derived_from="sha256:00", steps=(Step("float16", {}), Step("simplify", {}))
        )
    )
    assert "- derived from: sha256:00\n- steps: float16, simplify" in card


def test_a_card_without_cases_says_so(manifest: Manifest) -> None:
    parity = msgspec.structs.replace(manifest.parity, cases=())
    assert "None: no case was compared" in write_card(
        msgspec.structs.replace(manifest, parity=parity)
    )


def test_the_example_names_the_inputs(manifest: Manifest) -> None:
    inputs = (TensorSpec("ids", "int64", ("batch", 4)), TensorSpec("a.b", "float32", ()))
    card = write_card(msgspec.structs.replace(manifest, signature=Signature(inputs, ())))
    assert "first golden set: `ids: int64[batch, 4]`, `a.b: float32[]`." in card


def test_a_size_at_which_nothing_was_proven(manifest: Manifest) -> None:
    parity = msgspec.structs.replace(manifest.parity, cases=manifest.parity.cases[:1])
    assert "`batch` may be any size; the pack was proven at 1." in write_card(
        msgspec.structs.replace(manifest, parity=parity)
    )
    parity = msgspec.structs.replace(parity, cases=())
    assert "the pack was proven at none." in write_card(
        msgspec.structs.replace(manifest, parity=parity)
    )


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (44_700_000, "44.7 MB"), (999_600, "1 MB"),
     (5 * 10**12, "5 TB"), (5 * 10**15, "5e+03 TB")],
)  # fmt: skip
def test_sizes_are_said_as_people_say_them(count: int, said: str) -> None:
    assert size(count) == said


def test_files_are_listed_in_order(manifest: Manifest) -> None:
    entry = FileEntry("0" * 64, 1)
    card = write_card(msgspec.structs.replace(manifest, files={"b": entry, "a": entry}))
    assert card.index("`a`") < card.index("`b`")
