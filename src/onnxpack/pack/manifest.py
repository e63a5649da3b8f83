"""The manifest ``pack.json``, format version 1.

Its one written form is canonical: UTF-8, keys sorted, two spaces of indentation, a newline at
the end. The pack's digest is the sha256 of these bytes, so ``sha256sum pack.json`` prints it.
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
MAX_MANIFEST_BYTES = 64 * 2**20
"""Labels and evidence of a very large model take some MB; more is an attack."""

MAX_SETS = 1024
"""A detector has a group for each picture of the sample, of a few outputs each."""

Names = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MAX_SETS)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Size = Annotated[int, msgspec.Meta(ge=0)]
Pixels = Annotated[int, msgspec.Meta(gt=0, le=2**16)]
Spread = Annotated[float, msgspec.Meta(gt=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Ratio = Annotated[float, msgspec.Meta(ge=0)]
VariantName = Annotated[str, msgspec.Meta(pattern=r"^(?!(auto|base)\Z)[a-z0-9][a-z0-9-]{0,62}\Z")]
"""Not ``auto`` and ``base``: where a variant is chosen by name, these words mean something else."""
MAX_VARIANTS = 32

LATER = ("measurements", "variants")
"""Fields that the first packs had not: they are written where they hold something."""


class FileEntry(msgspec.Struct, frozen=True):
    """A file of the pack: its sha256 in hexadecimal, and its size in bytes."""

    sha256: Sha256
    size: Size


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where the graph came from.

    Attributes:
        framework: the exporter's name, such as ``torch``.
        framework_version: its version.
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
    """One parity case that was run: the sizes of its dynamic dims and what was found.

    Attributes:
        golden: the folder that keeps its inputs and outputs; None where the pack would have
            grown too large, or where the case did not pass.
        accepted: whether it did not pass, and the user took its differences knowingly.
    """

    name: str
    dims: dict[str, int]
    golden: str | None
    outputs: tuple[OutputEvidence, ...]
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

    A pack that holds it as skipped refuses such an input: ONNX Runtime may not survive it.
    """
    return f"{dim}=0"


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence that the graph answers as the framework does.

    Attributes:
        unordered: groups of outputs whose rows are a set. A pack that was written before this
            was recorded has none, and is compared row by row.
    """

    tolerance: Tolerance
    cases: tuple[CaseEvidence, ...]
    skipped: tuple[SkippedCase, ...] = ()
    unordered: Annotated[tuple[Names, ...], msgspec.Meta(max_length=MAX_SETS)] = ()

    @property
    def passed(self) -> bool:
        """Whether there was a case and all of them passed, but for those that were accepted."""
        return bool(self.cases) and all(case.passed or case.accepted for case in self.cases)


class Preprocess(msgspec.Struct, frozen=True, kw_only=True):
    """How a picture becomes the model's input.

    The short side is resized to ``resize`` pixels, the middle is cut out, values are scaled to
    0…1, then ``(value - mean) / std`` for each of red, green and blue.

    Attributes:
        resize: length of the short side in pixels; None leaves the picture's size.
        crop: height and width in pixels of the part that is kept; None keeps all.
        mean: for each channel, in units of 0…1.
        std: for each channel, in units of 0…1.
        interpolation: of the resize.
    """

    resize: Pixels | None = None
    crop: tuple[Pixels, Pixels] | None = None
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[Spread, Spread, Spread] = (1.0, 1.0, 1.0)
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"


class Step(msgspec.Struct, frozen=True):
    """One transformation of a pack that was made from another."""

    name: str
    options: dict[str, Any]


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long one call takes, of a pack or of what it is compared with.

    Attributes:
        name: of what was timed: ``pack``, ``eager``, ``torch.compile``.
        seconds: of a call, the median.
        quartiles: of the seconds of a call.
        ratio: how many times faster than the reference of the same run; None for the reference.
        interval: the 95 % confidence interval of the ratio.
    """

    name: str
    seconds: Seconds
    quartiles: tuple[Seconds, Seconds]
    ratio: Ratio | None = None
    interval: tuple[Ratio, Ratio] | None = None


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """Timings of one run, at one size, on one machine.

    Attributes:
        dims: the size of each dynamic dim.
        threads: of one operator, of everything that was timed.
        provider: the execution provider of the pack.
        processor: as the machine names it.
        versions: of the libraries that ran.
        timings: the reference first.
    """

    dims: dict[str, int]
    threads: int
    provider: str
    processor: str
    versions: dict[str, str]
    timings: tuple[Timing, ...]


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a variant was run when it was judged.

    Attributes:
        runtime: what runs the graph.
        runtime_version: its version.
        precision: what OpenVINO computes in: ``f32`` or ``bf16``; empty for ONNX Runtime.
        threads: of one operator.
        processor: as the machine names it.
        features: the processor's instruction sets that matter here, such as ``avx512_vnni``.
    """

    runtime: Literal["onnxruntime", "openvino"]
    runtime_version: str
    precision: Literal["", "f32", "bf16"] = ""
    threads: int
    processor: str
    features: tuple[str, ...]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a variant keeps of the original's answers, on data that did not calibrate it.

    Attributes:
        measure: ``parity`` (equal within the pack's tolerance), ``agreement`` (of labels),
            ``neighbour`` (of embeddings), ``error`` (relative, of numbers), ``boxes``, or the
            name of a function of the user's.
        value: of the measure, 1 where all is kept.
        lower: the lower bound of its 95 % confidence interval.
        samples: how many rows it was measured on.
        max_loss: what the user allows.
    """

    measure: str
    value: float
    lower: float
    samples: Size
    max_loss: float


class Distance(msgspec.Struct, frozen=True, kw_only=True):
    """How far a variant's answers lie from the original's in one golden set of its own.

    Attributes:
        golden: the folder, inside the variant's.
        output: the name of the output.
        distance: the Euclidean length of the difference over that of the original's answer, as
            measured where the variant was made.
        labels: how many rows have the same largest element along the last axis.
    """

    golden: str
    output: str
    distance: float
    labels: Size


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """A faster graph beside the proven one.

    Attributes:
        base: the sha256 of the graph that it was made from.
        steps: what was done to it.
        recipe: how it was run when it was judged.
        kept: what it keeps.
        speed: beside the base, which is the reference.
        evidence: of its own golden sets; empty where the pack's own are replayed, within the
            pack's tolerance.
    """

    base: Sha256
    steps: tuple[Step, ...]
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
        """Its own timing beside the base; None if its speed was not measured."""
        return next((each for each in self.speed.timings if each.ratio is not None), None)

    @property
    def ratio(self) -> float:
        """How many times faster than the base it was; 0 if its speed was not measured."""
        return (self.timing.ratio or 0.0) if self.timing else 0.0


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """``pack.json``: what the pack is, where it came from, its proof and its files."""

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
    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    variants: Annotated[dict[VariantName, Variant], msgspec.Meta(max_length=MAX_VARIANTS)] = {}
    files: dict[str, FileEntry]


def encode(manifest: Manifest) -> bytes:
    """Return the manifest's canonical bytes."""
    plain = msgspec.to_builtins(manifest)
    for name in LATER:
        if not plain[name]:
            del plain[name]
    ordered = msgspec.json.encode(plain, order="sorted")
    return msgspec.json.format(ordered, indent=2) + b"\n"


def decode(content: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        PackError: the bytes are not a manifest of format version 1; the message names the field.
    """
    try:
        head = msgspec.json.decode(content, type=_Head)
        if head.schema_version != SCHEMA_VERSION:
            raise PackError(
                f"pack.json has format version {head.schema_version}, expected {SCHEMA_VERSION}.",
                remedy="pip install --upgrade onnxpack",
            )
        return msgspec.json.decode(content, type=Manifest)
    except UsageError as exc:
        raise PackError(f"pack.json is not a manifest: {exc.message}") from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise PackError(f"pack.json is not a manifest: {exc}.") from exc


def digest(content: bytes) -> str:
    """Return a pack's digest, from the bytes of its manifest: ``sha256:…``."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class _Head(msgspec.Struct):
    schema_version: int
