"""The manifest ``pack.json``, format version 1.

It is always written in one canonical form: UTF-8, sorted keys, two spaces of indentation, a newline
at the end. The pack's digest is the sha256 of these bytes, so ``sha256sum pack.json`` prints it.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import msgspec

from onnxpack.comparison.tolerance import OutputEvidence, Tolerance
from onnxpack.errors import PackError, UsageError
from onnxpack.pack.name import NAME, VERSION
from onnxpack.signature import Signature

SCHEMA_VERSION = 1
MAX_MANIFEST_BYTES = 16 * 2**20
"""Most bytes of a manifest: labels and evidence of a very large model take some MB."""
MAX_VALUES = 2**20
"""Most commas and brackets of a manifest, and so about as many values. Reading it takes at most
300 MB: a dict, the largest value, has two of them and takes 232 bytes."""
MAX_CASES = 4096
"""Most cases that were run, and most that were not; a proof has dozens."""
MAX_EACH = 1024
"""Most entries of any other list that the manifest has once, or that a case or a run has."""
MAX_FILES = 100_000
"""Most files that a manifest may list."""
MAX_PORTS, MAX_AXES = 1000, 64
"""Most inputs and outputs, as many as a golden set has, and most axes of one, as NumPy has."""

MAX_SETS = 1024
"""Most groups of unordered outputs: a detector has one group for each picture of the sample."""

Cases = msgspec.Meta(max_length=MAX_CASES)
Few = msgspec.Meta(max_length=MAX_EACH)
Dims = Annotated[dict[str, int], Few]
Names = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MAX_SETS)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Size = Annotated[int, msgspec.Meta(ge=0)]
Pixels = Annotated[int, msgspec.Meta(gt=0, le=2**16)]
Spread = Annotated[float, msgspec.Meta(gt=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Ratio = Annotated[float, msgspec.Meta(ge=0)]
VariantName = Annotated[str, msgspec.Meta(pattern=r"^(?!(auto|base)\Z)[a-z0-9][a-z0-9-]{0,62}\Z")]
"""A variant's name; ``auto`` and ``base`` have another meaning where a variant is chosen."""
MAX_VARIANTS = 32

LATER = ("measurements", "variants")
"""Fields that the first packs do not have: they are written only if they are not empty."""


class FileEntry(msgspec.Struct, frozen=True):
    """The sha256 of a file of the pack, in hexadecimal, and its size in bytes."""

    sha256: Sha256
    size: Size


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where the graph came from.

    Attributes:
        framework: name of the framework, such as ``torch``.
        framework_version: version of the framework.
        model_class: the class of the model, as ``module.Class``.
        strategy: the export strategy whose graph was proven.
        opset: the version of the default ONNX operator set.
        ir_version: the ONNX IR version.
    """

    framework: str
    framework_version: str
    model_class: str
    strategy: str
    opset: int
    ir_version: int


class CaseEvidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One parity case that was run: the sizes of its dynamic dims, and the result.

    Attributes:
        name: name of the case.
        dims: sizes of the dynamic dims by name.
        golden: folder with its inputs and outputs; None if the pack would have grown too large, or
            if the case did not pass.
        outputs: result of each output.
        accepted: whether the case did not pass and the user accepted the differences.
    """

    name: str
    dims: Dims
    golden: str | None
    outputs: Annotated[tuple[OutputEvidence, ...], Few]
    accepted: bool = False

    @property
    def passed(self) -> bool:
        """Whether every output passed."""
        return all(output.passed for output in self.outputs)


class SkippedCase(msgspec.Struct, frozen=True):
    """A case that could not be run, with the framework's own reason."""

    name: str
    reason: str


def at_zero(dim: str) -> str:
    """Return the name of the case in which a dim has size 0.

    If a pack lists this case as skipped, such an input is refused: ONNX Runtime may crash.
    """
    return f"{dim}=0"


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence that the graph answers as the framework does.

    Attributes:
        tolerance: allowed difference of the outputs.
        cases: the cases that were run.
        skipped: the cases that could not be run.
        unordered: groups of outputs whose rows are a set. Older packs do not have this field; their
            outputs are compared row by row.
    """

    tolerance: Tolerance
    cases: Annotated[tuple[CaseEvidence, ...], Cases]
    skipped: Annotated[tuple[SkippedCase, ...], Cases] = ()
    unordered: Annotated[tuple[Names, ...], msgspec.Meta(max_length=MAX_SETS)] = ()

    @property
    def passed(self) -> bool:
        """Whether there is a case, and all cases passed or were accepted."""
        return bool(self.cases) and all(case.passed or case.accepted for case in self.cases)

    def __repr__(self) -> str:
        right = sum(case.passed or case.accepted for case in self.cases)
        return f"<Parity {right} of {len(self.cases)} cases passed, {len(self.skipped)} not run>"


class Preprocess(msgspec.Struct, frozen=True, kw_only=True):
    """How a picture is converted to the model's input.

    The short side is resized to ``resize`` pixels, the center is cropped, and values are scaled to
    0…1. Then ``(value - mean) / std`` is computed for each of red, green and blue.

    Attributes:
        resize: length of the short side in pixels; None keeps the picture's size.
        crop: height and width of the cropped part in pixels; None keeps all.
        mean: mean of each channel, for values of 0…1.
        std: standard deviation of each channel, for values of 0…1.
        interpolation: interpolation of the resize.
    """

    resize: Pixels | None = None
    crop: tuple[Pixels, Pixels] | None = None
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[Spread, Spread, Spread] = (1.0, 1.0, 1.0)
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"


class Step(msgspec.Struct, frozen=True):
    """One transformation of a pack that was made from another pack."""

    name: str
    options: dict[str, Any]


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long one call takes, of a pack or of what it is compared with.

    Attributes:
        name: what was timed: ``pack``, ``eager``, ``torch.compile``.
        seconds: median of the seconds of a call.
        quartiles: quartiles of the seconds of a call.
        ratio: how many times faster than the reference of the same run; None for the reference.
        interval: 95 % confidence interval of the ratio.
    """

    name: str
    seconds: Seconds
    quartiles: tuple[Seconds, Seconds]
    ratio: Ratio | None = None
    interval: tuple[Ratio, Ratio] | None = None


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """Timings of one run, at one size, on one machine.

    Attributes:
        dims: size of each dynamic dim.
        threads: threads of one operator, for everything that was timed.
        provider: execution provider of the pack.
        processor: processor by the machine's name for it.
        versions: versions of the libraries that ran.
        timings: timings, the reference first.
    """

    dims: Dims
    threads: int
    provider: str
    processor: str
    versions: Annotated[dict[str, str], Few]
    timings: Annotated[tuple[Timing, ...], Few]


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a variant was run when it was judged.

    Attributes:
        runtime: runtime that runs the graph.
        runtime_version: version of the runtime.
        precision: precision in which OpenVINO computes, ``f32`` or ``bf16``; empty for ONNX
            Runtime.
        threads: threads of one operator.
        processor: processor by the machine's name for it.
        features: relevant instruction sets of the processor, such as ``avx512_vnni``.
    """

    runtime: Literal["onnxruntime", "openvino"]
    runtime_version: str
    precision: Literal["", "f32", "bf16"] = ""
    threads: int
    processor: str
    features: Annotated[tuple[str, ...], Few]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """How much a variant keeps of the original's answers, on data that did not calibrate it.

    Attributes:
        measure: ``parity`` (equal within the pack's tolerance), ``agreement`` (of labels),
            ``neighbour`` (of embeddings), ``error`` (relative, of numbers), ``boxes``, or the name
            of the user's function.
        value: value of the measure; 1 if everything is kept.
        lower: lower bound of its 95 % confidence interval.
        samples: number of rows that were measured.
        max_loss: loss that the user allows.
    """

    measure: str
    value: float
    lower: float
    samples: Size
    max_loss: float


class Distance(msgspec.Struct, frozen=True, kw_only=True):
    """How much a variant's answers differ from the original's in one of its own golden sets.

    Attributes:
        golden: name of the golden set's folder, inside the variant's.
        output: name of the output.
        distance: Euclidean norm of the difference, divided by the norm of the original's answer, as
            measured where the variant was made.
        labels: number of rows with the same largest element along the last axis.
    """

    golden: str
    output: str
    distance: float
    labels: Size


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """A faster graph beside the proven one.

    Attributes:
        base: sha256 of the graph that it was made from.
        steps: transformations of the graph.
        recipe: how it was run when it was judged.
        kept: how much it keeps of the original's answers.
        speed: its speed measured with the base, which is the reference.
        evidence: results on its own golden sets; empty if the pack's own golden sets are replayed,
            within the pack's tolerance.
    """

    base: Sha256
    steps: Annotated[tuple[Step, ...], Few]
    recipe: Recipe
    kept: Kept
    speed: Measurement
    evidence: tuple[Distance, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether it keeps float32's accuracy, so that the pack's own golden data judges it."""
        return not self.evidence

    @property
    def timing(self) -> Timing | None:
        """The variant's timing relative to the base; None if its speed was not measured."""
        return next((each for each in self.speed.timings if each.ratio is not None), None)

    @property
    def ratio(self) -> float:
        """How many times faster than the base it was; 0 if its speed was not measured."""
        return (self.timing.ratio or 0.0) if self.timing else 0.0


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``pack.json``: name, origin, proof and files of the pack."""

    schema_version: int = SCHEMA_VERSION
    name: Annotated[str, msgspec.Meta(pattern=NAME)]
    version: Annotated[str, msgspec.Meta(pattern=VERSION)]
    description: str = ""
    license: str = ""
    signature: Signature
    source: Source
    parity: Parity
    labels: tuple[str, ...] | None = None
    preprocess: Preprocess | None = None
    derived_from: str | None = None
    steps: Annotated[tuple[Step, ...], Few] = ()
    notes: Annotated[tuple[str, ...], Few] = ()
    measurements: Annotated[tuple[Measurement, ...], Few] = ()
    variants: Annotated[dict[VariantName, Variant], msgspec.Meta(max_length=MAX_VARIANTS)] = {}
    files: Annotated[dict[str, FileEntry], msgspec.Meta(max_length=MAX_FILES)]

    def __repr__(self) -> str:
        return f"<Manifest {self.name} {self.version} {self.signature} {self.parity!r}>"


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as canonical bytes."""
    plain = msgspec.to_builtins(manifest)
    for name in LATER:
        if not plain[name]:
            del plain[name]
    ordered = msgspec.json.encode(plain, order="sorted")
    return msgspec.json.format(ordered, indent=2) + b"\n"


def decode(content: bytes) -> Manifest:
    """Parse the bytes of a manifest.

    Raises:
        PackError: the bytes are not a manifest of format version 1; the message names the field.
    """
    values = sum(map(content.count, (b",", b"[", b"{")))
    if values > MAX_VALUES:
        raise PackError(f"pack.json has {values} values, expected at most {MAX_VALUES}.")
    try:
        head = msgspec.json.decode(content, type=_Head)
        if head.schema_version != SCHEMA_VERSION:
            raise PackError(
                f"pack.json has format version {head.schema_version}, expected {SCHEMA_VERSION}.",
                remedy="pip install --upgrade onnxpack",
            )
        found = msgspec.json.decode(content, type=Manifest)
    except UsageError as exc:
        raise PackError(f"pack.json is not a manifest: {exc.message}") from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise PackError(f"pack.json is not a manifest: {exc}.") from exc
    _check_signature(found.signature)
    return found


def _check_signature(signature: Signature) -> None:
    for side, specs in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        axes = max((len(spec.shape or ()) for spec in specs), default=0)
        if len(specs) > MAX_PORTS or axes > MAX_AXES:
            raise PackError(
                f"pack.json has {len(specs)} {side} of up to {axes} axes, expected at most "
                f"{MAX_PORTS} of {MAX_AXES}."
            )


def digest(content: bytes) -> str:
    """Return a pack's digest, ``sha256:…``, from the bytes of its manifest."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class _Head(msgspec.Struct):
    schema_version: int
