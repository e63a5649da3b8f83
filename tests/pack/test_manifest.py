from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxpack.comparison.tolerance import LIMIT, OutputEvidence, Tolerance
from onnxpack.errors import PackError
from onnxpack.pack.manifest import (
    MAX_CASES,
    MAX_EACH,
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    CaseEvidence,
    FileEntry,
    Manifest,
    Parity,
    Preprocess,
    SkippedCase,
    Source,
    Step,
    decode,
    digest,
    encode,
)
from onnxpack.pack.model import Pack
from onnxpack.signature import Signature, TensorSpec

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.floats(0, 1e300)
DIMS = st.one_of(TEXT, st.integers(0, 2**40))
SPECS = st.builds(
    TensorSpec, TEXT, TEXT, st.one_of(st.none(), st.lists(DIMS, max_size=3).map(tuple))
)
SIGNATURES = st.builds(
    Signature, st.lists(SPECS, max_size=2).map(tuple), st.lists(SPECS, max_size=2).map(tuple)
)
OUTPUTS = st.builds(
    OutputEvidence,
    output=TEXT,
    max_abs=NUMBERS,
    max_rel=NUMBERS,
    argmax_agreement=st.one_of(st.none(), st.floats(0, 1)),
    passed=st.booleans(),
    noise=NUMBERS,
    reason=TEXT,
)
CASES = st.builds(
    CaseEvidence,
    name=TEXT,
    dims=st.dictionaries(TEXT, st.integers(0, 99), max_size=2),
    golden=st.one_of(st.none(), TEXT),
    outputs=st.lists(OUTPUTS, max_size=2).map(tuple),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(TEXT, inner, max_size=2)),
    max_leaves=4,
)
HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)
MANIFESTS = st.builds(
    Manifest,
    name=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,20}\Z"),
    version=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._+-]{0,20}\Z"),
    description=TEXT,
    license=TEXT,
    signature=SIGNATURES,
    source=st.builds(
        Source,
        framework=TEXT,
        framework_version=TEXT,
        model_class=TEXT,
        strategy=TEXT,
        opset=st.integers(1, 99),
        ir_version=st.integers(1, 99),
    ),
    parity=st.builds(
        Parity,
        tolerance=st.builds(Tolerance, st.floats(0, LIMIT), st.floats(0, LIMIT)),
        cases=st.lists(CASES, max_size=2).map(tuple),
        skipped=st.lists(st.builds(SkippedCase, TEXT, TEXT), max_size=1).map(tuple),
        unordered=st.lists(st.lists(TEXT, min_size=1).map(tuple), max_size=2).map(tuple),
    ),
    labels=st.one_of(st.none(), st.lists(TEXT, max_size=3).map(tuple)),
    preprocess=st.one_of(st.none(), st.builds(Preprocess, resize=st.integers(1, 2**16))),
    derived_from=st.one_of(st.none(), TEXT),
    steps=st.lists(st.builds(Step, TEXT, st.dictionaries(TEXT, JSON, max_size=2)), max_size=2).map(
        tuple
    ),
    files=st.dictionaries(TEXT, st.builds(FileEntry, HASHES, st.integers(0, 2**50)), max_size=3),
)


@settings(deadline=None)
@given(MANIFESTS)
def test_a_manifest_comes_back_and_its_form_is_canonical(manifest: Manifest) -> None:
    content = encode(manifest)
    assert decode(content) == manifest
    assert encode(decode(content)) == content


@settings(deadline=None)
@given(MANIFESTS)
def test_keys_are_sorted_and_a_newline_ends_it(manifest: Manifest) -> None:
    content = encode(manifest)
    assert content.endswith(b"\n}\n")
    json.loads(content, object_pairs_hook=_assert_sorted)


def _assert_sorted(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key.encode() for key, _ in pairs]
    assert keys == sorted(keys)
    return dict(pairs)


def test_the_digest_is_what_sha256sum_prints() -> None:
    assert digest(b"x") == f"sha256:{hashlib.sha256(b'x').hexdigest()}"


@pytest.fixture
def content(parts: Any) -> dict[str, Any]:
    return json.loads(encode(parts.manifest))


def test_another_version_has_a_remedy_of_its_own(content: dict[str, Any]) -> None:
    with pytest.raises(PackError, match="format version 2, expected 1") as caught:
        decode(json.dumps({"schema_version": 2, "of": "the future"}).encode())
    assert "upgrade" in caught.value.remedy


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "../x", r"\$\.name"),
        ("name", "a\n", r"\$\.name"),
        ("name", "", r"\$\.name"),
        ("name", "a" * 129, r"\$\.name"),
        ("version", "1\n", r"\$\.version"),
        ("files", {"a": {"sha256": "0" * 63, "size": 1}}, r"sha256"),
        ("files", {"a": {"sha256": "0" * 64 + "\n", "size": 1}}, r"sha256"),
        ("files", {"a": {"sha256": "0" * 64, "size": -1}}, r"size"),
        ("signature", None, r"\$\.signature"),
        ("labels", [1], r"\$\.labels"),
        ("preprocess", {"resize": 0}, r"resize"),
        ("preprocess", {"crop": [0, 1]}, r"crop"),
        ("preprocess", {"crop": [2**40, 1]}, r"crop"),
        ("preprocess", {"std": [0, 1, 1]}, r"std"),
        ("preprocess", {"interpolation": "nearest\n"}, r"interpolation"),
    ],
)
def test_a_bad_field_is_named(content: dict[str, Any], field: str, value: Any, said: str) -> None:
    with pytest.raises(PackError, match=said):
        decode(json.dumps(content | {field: value}).encode())


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("tolerance", {"rtol": 1.0, "atol": 1e-5}, "rtol 1, expected a number from 0 to 0.1"),
        ("tolerance", {"rtol": 1e-3, "atol": 1e9}, r"atol 1e\+09, expected"),
        ("tolerance", {"rtol": -1e-3}, "rtol -0.001, expected"),
        ("tolerance", {"rtol": "wide"}, r"\$\.parity\.tolerance\.rtol"),
        ("unordered", [[]], r"\$\.parity\.unordered"),
        ("unordered", ["boxes"], r"\$\.parity\.unordered"),
        ("unordered", [["y"]] * 1025, r"\$\.parity\.unordered"),
    ],
)
def test_no_manifest_switches_the_comparison_off(
    content: dict[str, Any], field: str, value: Any, said: str
) -> None:
    content["parity"][field] = value
    with pytest.raises(PackError, match=f"pack.json is not a manifest: .*{said}"):
        decode(json.dumps(content).encode())


def test_a_manifest_of_before_sets_and_errors_were_recorded(content: dict[str, Any]) -> None:
    """Its rows are compared in their order."""
    del content["parity"]["unordered"]
    for case in content["parity"]["cases"]:
        for output in case["outputs"]:
            del output["error"], output["allowed"]
    found = decode(json.dumps(content).encode())
    assert found.parity.unordered == ()
    assert (found.parity.cases[0].outputs[0].error, found.parity.passed) == (0, True)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff", b'{"schema_version": 1}', b"[" * 10**5]
)
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(PackError, match="not a manifest"):
        decode(content)


@settings(deadline=None)
@given(st.data())
def test_mutated_bytes_are_a_manifest_or_refused(data: st.DataObject) -> None:
    content = bytearray(encode(data.draw(MANIFESTS)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(content))
    except PackError:
        return


def test_no_case_is_no_proof(parts: Any) -> None:
    parity = parts.manifest.parity
    assert parity.passed
    assert not msgspec.structs.replace(parity, cases=()).passed
    failed = msgspec.structs.replace(parity.cases[0].outputs[0], passed=False)
    case = msgspec.structs.replace(parity.cases[0], outputs=(failed,))
    assert not case.passed
    assert not msgspec.structs.replace(parity, cases=(*parity.cases, case)).passed


@pytest.fixture
def manifest(pack: Pack) -> Manifest:
    assert pack.manifest is not None
    return pack.manifest


def changed(manifest: Manifest, change: Callable[[dict[str, Any]], Any]) -> bytes:
    plain = msgspec.to_builtins(manifest)
    change(plain)
    return msgspec.json.encode(plain)


MANY = 2**19 + 1
TOO_MUCH: dict[str, Callable[[dict[str, Any]], Any]] = {
    "labels": lambda m: m.update(labels=[""] * (2 * MANY)),
    "lists": lambda m: m.update(steps=[{"name": "", "options": {"a": [[]] * MANY}}]),
    "dicts": lambda m: m.update(steps=[{"name": "", "options": {"a": [{}] * MANY}}]),
    "cases": lambda m: m["parity"].update(cases=m["parity"]["cases"][:1] * (MAX_CASES + 1)),
    "skipped": lambda m: m["parity"].update(skipped=[{"name": "", "reason": ""}] * (MAX_CASES + 1)),
    "outputs": lambda m: m["parity"]["cases"][0].update(
        outputs=m["parity"]["cases"][0]["outputs"][:1] * (MAX_EACH + 1)
    ),
    "dims": lambda m: m["parity"]["cases"][0].update(
        dims={str(at): at for at in range(MAX_EACH + 1)}
    ),
    "notes": lambda m: m.update(notes=[""] * (MAX_EACH + 1)),
    "steps": lambda m: m.update(steps=[{"name": "", "options": {}}] * (MAX_EACH + 1)),
    "files": lambda m: m.update(
        files={f"{at}": {"sha256": "0" * 64, "size": 0} for at in range(MAX_FILES + 1)}
    ),
    "inputs": lambda m: m["signature"].update(inputs=m["signature"]["inputs"] * 1001),
    "axes": lambda m: m["signature"]["inputs"][0].update(shape=[1] * 65),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_more_than_a_pack_has_is_refused(manifest: Manifest, what: str) -> None:
    decode(encode(manifest))
    content = changed(manifest, TOO_MUCH[what])
    assert len(content) < MAX_MANIFEST_BYTES
    tracemalloc.start()
    try:
        with pytest.raises(PackError, match=r"expected at most|of length <="):
            decode(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**27


def test_the_most_that_is_read_takes_bounded_memory(manifest: Manifest) -> None:
    """The value that takes most memory for its commas and brackets: a dict of one item."""
    count = 2**19 - 200
    options = {"a": [{"a": 1}] * count}
    content = changed(manifest, lambda m: m.update(steps=[{"name": "", "options": options}]))
    tracemalloc.start()
    try:
        decode(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 300 * 2**20
