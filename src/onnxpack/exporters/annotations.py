"""Check the labels and the preprocessing that a user adds to a pack against its signature.

A wrong one is worse than none: it names the wrong class, or refuses every picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from onnxpack.errors import UsageError
from onnxpack.pack.manifest import Preprocess
from onnxpack.signature import Signature, TensorSpec

PICTURE_AXES = 4
COLOURS = (1, 3)
"""Channels of a picture: grey, or red, green and blue."""


def check_labels(labels: Sequence[str], signature: Signature) -> None:
    """Check that a classifier has as many classes as there are labels.

    Only a model whose single output is ``float[rows, classes]`` is checked. Detectors and
    segmentation have their classes elsewhere. A single score may stand for two classes.

    Raises:
        UsageError: the labels are not a list of texts, or the numbers differ.
    """
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise UsageError(
            f"labels is {labels!r:.60}, expected a list with the name of each class.",
            remedy=f"labels=pathlib.Path({labels!r:.60}).read_text().splitlines()"
            if isinstance(labels, str)
            else "labels=[str(label) for label in labels]",
        )
    if len(signature.outputs) != 1:
        return
    (output,) = signature.outputs
    if output.shape is None or len(output.shape) != 2 or not output.dtype.startswith("float"):
        return
    classes = output.shape[1]
    if classes in (len(labels), 1) or isinstance(classes, str):
        return
    raise UsageError(
        f"{len(labels)} labels were given, but the output {output.name!r} is {output}: expected "
        f"{classes} labels, one for each class."
    )


def check_preprocess(preprocess: Preprocess, signature: Signature) -> None:
    """Check the fields of a recipe, and that a cropped picture has the size of the input.

    Raises:
        UsageError: it is not a :class:`Preprocess`, a field is invalid, or the sizes differ.
    """
    if not isinstance(preprocess, Preprocess):
        raise UsageError(
            f"preprocess is a {type(preprocess).__name__}, expected an onnxpack.Preprocess.",
            remedy="preprocess=onnxpack.Preprocess(resize=256, crop=(224, 224))",
        )
    try:
        msgspec.convert(msgspec.structs.asdict(preprocess), Preprocess)
    except msgspec.ValidationError as exc:
        raise UsageError(
            f"preprocess is invalid: {exc}.",
            remedy="preprocess=onnxpack.Preprocess(resize=256, crop=(224, 224))",
        ) from exc
    if preprocess.crop is None:
        return
    for spec in signature.inputs:
        size = _size(spec)
        if size is not None and size != preprocess.crop:
            high, wide = preprocess.crop
            raise UsageError(
                f"the preprocessing crops pictures to {high} × {wide} pixels, but the input "
                f"{spec.name!r} is {spec}.",
                remedy=f"preprocess=onnxpack.Preprocess(crop={size}), or a file for --preprocess "
                f'with "crop": [{size[0]}, {size[1]}]',
            )


def _size(spec: TensorSpec) -> tuple[int, int] | None:
    """Return height and width of an input that takes pictures of one size."""
    if spec.shape is None or len(spec.shape) != PICTURE_AXES:
        return None
    _, *rest = spec.shape
    pixels = rest[1:] if rest[0] in COLOURS else rest[:2] if rest[-1] in COLOURS else []
    sizes = [size for size in pixels if isinstance(size, int)]
    return (sizes[0], sizes[1]) if len(sizes) == 2 else None
