"""Write the model card, ``README.md``, for people."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from onnxpack.comparison.tolerance import OutputEvidence
from onnxpack.notebook import one_line
from onnxpack.pack import describe as words
from onnxpack.pack.manifest import CaseEvidence, Manifest
from onnxpack.signature import TensorSpec, describe


def write_card(manifest: Manifest) -> str:
    """Return the model card of a pack; the same manifest gives the same text."""
    sections = [
        f"# {manifest.name} {manifest.version}",
        _paragraphs(manifest.description),
        _signature(manifest),
        _running(manifest),
        _evidence(manifest),
        _variants(manifest),
        _measurements(manifest),
        _notes(manifest),
        _source(manifest),
        _files(manifest),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def size(count: int) -> str:
    """Return a number of bytes with a unit: ``44.7 MB``."""
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{count} B" if unit == "B" else f"{amount:.3g} {unit}"


def _signature(manifest: Manifest) -> str:
    def rows(side: str, specs: tuple[TensorSpec, ...]) -> list[list[str]]:
        return [[side, _code(spec.name), _code(describe(spec.dtype, spec.shape))] for spec in specs]

    signature = manifest.signature
    table = _table(
        ["", "name", "type"], rows("input", signature.inputs) + rows("output", signature.outputs)
    )
    proven = _proven_sizes(manifest)
    note = "".join(f"\n\n{_sizes(name, proven.get(name, set()))}" for name in signature.dynamic)
    labels = manifest.labels
    note += f"\n\nIts {len(labels)} labels are in `pack.json`." if labels else ""
    return f"## Inputs and outputs\n\n{table}{note}"


def _proven_sizes(manifest: Manifest) -> dict[str, set[int]]:
    """Return the sizes of each dim in the cases that passed."""
    found: dict[str, set[int]] = {}
    for case in manifest.parity.cases:
        for dim, number in case.dims.items() if case.passed else ():
            found.setdefault(dim, set()).add(number)
    return found


def _sizes(dim: str, proven: Collection[int]) -> str:
    """Return at which sizes of a dim the pack was proven; other sizes may be answered too."""
    if not proven:
        return f"{_code(dim)} may be any size; the pack was proven at none."
    return f"{_code(dim)} may be any size; the pack was proven at {_numbers(sorted(proven))}."


def _numbers(numbers: Sequence[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def _running(manifest: Manifest) -> str:
    name = manifest.name
    inputs = ", ".join(_code(f"{spec.name}: {spec}") for spec in manifest.signature.inputs)
    return f"""## Running it

```sh
onnxpack check {name}
onnxpack run {name} --input random
```

```python
import onnxpack

model = onnxpack.Model("{name}")
inputs = model.example()
answer = model(**inputs)
```

`example()` returns the inputs of the first golden set: {inputs}."""


def _evidence(manifest: Manifest) -> str:
    parity = manifest.parity
    rows = [_row(case, output) for case in parity.cases for output in case.outputs]
    if not rows:
        return "## Evidence\n\nNone: no case was compared with the framework."
    tolerance = parity.tolerance
    table = _table(["case", "dims", "output", "error", "allowed", "max rel", "agreement", ""], rows)
    skipped = "".join(f"\n- {_line(case.name)}: {_line(case.reason)}" for case in parity.skipped)
    return (
        "## Evidence\n\n"
        f"The graph's answers against those of {_line(manifest.source.framework)}, "
        f"with rtol {tolerance.rtol:g} and atol {tolerance.atol:g} of what is typical around an "
        f"element.\n\n{table}" + (f"\n\nNot run:\n{skipped}" if skipped else "")
    )


def _variants(manifest: Manifest) -> str:
    if not manifest.variants:
        return ""
    rows = [
        [
            _code(name),
            _line(words.describe_steps(entry.steps)),
            _line(words.describe_kept(entry.kept)),
            words.describe_ratio(entry.timing),
            _line(words.describe_recipe(entry.recipe)),
        ]
        for name, entry in sorted(manifest.variants.items())
    ]
    return (
        "## Variants\n\nFaster graphs made from the proven one. `auto` picks the fastest one "
        "whose evidence is reproduced on the machine that loads the pack, or else the proven "
        "graph.\n\n" + _table(["name", "steps", "keeps", "times as fast", "judged with"], rows)
    )


def _measurements(manifest: Manifest) -> str:
    tables = [
        f"{_line(words.describe_conditions(each))}:\n\n"
        + _table(
            ["what", "median", "quartiles", "times as fast"],
            [[_line(cell) for cell in words.timing_row(timing)] for timing in each.timings],
        )
        for each in manifest.measurements
    ]
    return "\n\n".join(["## Speed", *tables]) if tables else ""


def _notes(manifest: Manifest) -> str:
    lines = [f"- {_line(note)}" for note in manifest.notes]
    return "\n".join(["## What to know", "", *lines]) if lines else ""


def _row(case: CaseEvidence, output: OutputEvidence) -> list[str]:
    agreement = output.argmax_agreement
    return [
        _line(case.name),
        _line(", ".join(f"{name} = {number}" for name, number in sorted(case.dims.items()))),
        _code(output.output),
        f"{output.error if output.allowed else output.max_abs:.3g}",
        f"{output.allowed:.3g}" if output.allowed else "",
        f"{output.max_rel:.3g}",
        "" if agreement is None else f"{agreement:.2%}",
        _verdict(case, output),
    ]


def _verdict(case: CaseEvidence, output: OutputEvidence) -> str:
    if output.passed:
        return "passed"
    return f"{'accepted' if case.accepted else 'FAILED'}: {_line(output.reason)}"


def _source(manifest: Manifest) -> str:
    source = manifest.source
    facts = [
        ("framework", f"{source.framework} {source.framework_version}"),
        ("class", source.model_class),
        ("exported by", source.strategy),
        ("ONNX opset", f"{source.opset} (IR version {source.ir_version})"),
        ("derived from", manifest.derived_from or ""),
        ("steps", ", ".join(step.name for step in manifest.steps)),
        ("licence", manifest.license),
    ]
    return "## Source\n\n" + "\n".join(
        f"- {name}: {_line(value)}" for name, value in facts if value.strip()
    )


def _files(manifest: Manifest) -> str:
    entries = sorted(manifest.files.items())
    rows = [[_code(path), size(entry.size)] for path, entry in entries]
    return "## Files\n\n" + _table(["file", "size"], rows) if rows else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _paragraphs(text: str) -> str:
    """Return the paragraphs of a text as plain text: a heading in it would pose as the card's."""
    parts = (_line(part) for part in re.split(r"\n\s*\n", text))
    return "\n\n".join(part for part in parts if part)


def _line(text: str) -> str:
    """Return text that stays inside a table cell and is not taken for markup."""
    flat = one_line(" ".join(text.split()))
    return "".join(f"\\{letter}" if letter in "\\|`*_[]<>#~&" else letter for letter in flat)


def _code(text: str) -> str:
    """Return a name as code, or as text if it has a sign that would end the code or the cell."""
    flat = one_line(" ".join(text.split()))
    return _line(text) if any(sign in flat for sign in "|`\\") else f"`{flat}`"
