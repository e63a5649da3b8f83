"""Build an image from a pack without a daemon: base, runtime and model layers, each cached."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from onnxpack.errors import PackError, UsageError
from onnxpack.image import sbom
from onnxpack.image.additions import Additions
from onnxpack.image.base.open import Base, open_base
from onnxpack.image.cache import Cache, key_of
from onnxpack.image.config import config, labels
from onnxpack.image.runtime import prune
from onnxpack.image.runtime.layer import runtime_layer
from onnxpack.image.runtime.wheels import install, required, requirements
from onnxpack.image.sbom import BILL, write_bill
from onnxpack.image.target import check_platform
from onnxpack.oci.image import Image, append_layers
from onnxpack.oci.index import Index, make_index
from onnxpack.oci.layer.compress import Compression
from onnxpack.oci.layer.entry import Entry
from onnxpack.oci.layer.layer import Layer, write_layer
from onnxpack.oci.platform import Platform
from onnxpack.pack.files import check_files
from onnxpack.pack.model import Pack, VariantFiles
from onnxpack.pack.read import VARIANTS

if TYPE_CHECKING:
    from onnxpack.oci.registry.connection import Connection

MAX_DIGITS = 11
"""Digits of a time in seconds since 1970: the header of a tar has no room for more."""
MIN_GOLDEN = 2**20
"""Bytes of golden data that are always shipped, whatever the size of the model."""

_HOW = (Path(sbom.__file__), Path(prune.__file__))
"""The modules that shape the bill of materials; their content is part of the cache key."""

Told: TypeAlias = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of an image build.

    Attributes:
        base: ``debian``, ``oci:`` with a layout or tar, or a registry's reference.
        platforms: one platform, or several for an index.
        runtime: ``cpu`` or ``cuda``.
        compression: compression of base and runtime layers. The model's layer is never compressed,
            since weights hardly shrink and take the most time.
        mtime: time of every file and of the image, in seconds since 1970.
        pull: fetch Debian's packages anew if the base is made of them.
        connection: how to connect to the base's registry.
        additions: variables, labels and gRPC.
    """

    base: str
    platforms: tuple[Platform, ...]
    runtime: str = "cpu"
    compression: Compression = "gzip"
    mtime: int = 0
    pull: bool = False
    connection: Connection | None = None
    additions: Additions = field(default_factory=Additions)


@dataclass(frozen=True, slots=True)
class Built:
    """A built image and facts about its build.

    Attributes:
        content: an image, or an index of the images of several platforms.
        seconds: duration of the build.
        wheels: the pinned requirements.
        cache: cache of the layers; they are not removed from there while this object lives.
    """

    content: Image | Index
    seconds: float
    wheels: tuple[str, ...]
    cache: Cache

    @property
    def images(self) -> tuple[Image, ...]:
        """The image of each platform."""
        return self.content.images if isinstance(self.content, Index) else (self.content,)


def source_date() -> int:
    """Return the time for files and image in seconds since 1970: SOURCE_DATE_EPOCH, or 0.

    Raises:
        UsageError: SOURCE_DATE_EPOCH is not a number of seconds.
    """
    told = os.environ.get("SOURCE_DATE_EPOCH") or "0"
    if not told.isascii() or not told.isdigit() or len(told) > MAX_DIGITS:
        raise UsageError(f"SOURCE_DATE_EPOCH is {told!r}, expected a number of seconds since 1970.")
    return int(told)


def build_image(
    packs: Pack | Sequence[Pack],
    recipe: Recipe,
    *,
    cache: Cache | None = None,
    told: Told | None = None,
) -> Built:
    """Build the image of one or several packs; the same packs, versions and base, the same bytes.

    Args:
        packs: the packs to serve, in any order; each gets a layer.
        recipe: settings of the build.
        cache: cache of trees and layers; None uses the user's.
        told: called with the name of each step as it begins.

    Raises:
        UsageError: onnxruntime has no wheels for a platform, a platform is given twice, or two
            packs have the same name.
        PackError: a file of the pack differs from its manifest.
        ImageError: a base cannot be made or read, or uv finds no wheels.
        RegistryError: the base's registry does not answer, or refuses.
        MissingExtraError: the extra ``image`` is not installed.
    """
    begun = perf_counter()
    cache = cache or Cache()
    packs = in_order([packs] if isinstance(packs, Pack) else packs)
    if len(set(recipe.platforms)) != len(recipe.platforms):
        raise UsageError("a platform is given twice.")
    for each in recipe.platforms:
        check_platform(each)
    wheels = requirements(
        runtime=recipe.runtime, pictures=any(map(takes_pictures, packs)),
        grpc=recipe.additions.grpc,
    )  # fmt: skip
    # Hashing releases the interpreter's lock, so base and runtime are looked up meanwhile.
    with ThreadPoolExecutor(1, thread_name_prefix="digests") as threads:
        checked = [threads.submit(_check, pack) for pack in packs]
        images = [
            _build(packs, recipe, each, wheels, cache, told or str, checked)
            for each in recipe.platforms
        ]
    content = images[0] if len(images) == 1 else make_index(images)
    return Built(content, perf_counter() - begun, wheels, cache)


def in_order(packs: Sequence[Pack]) -> tuple[Pack, ...]:
    """Return the packs of an image by their names, so that the order of arguments changes nothing.

    Raises:
        UsageError: there is none, or two have the same name.
    """
    found = {pack.name: pack for pack in packs}
    if not found:
        raise UsageError("there is no pack to build an image of.")
    for pack in packs:
        if found[pack.name] is not pack:
            raise UsageError(
                f"{pack.path} and {found[pack.name].path} are both named {pack.name}, and an image "
                "holds one pack of a name.",
                remedy="export one of them with another --name",
            )
    return tuple(found[name] for name in sorted(found))


def _build(
    packs: Sequence[Pack],
    recipe: Recipe,
    platform: Platform,
    wheels: Sequence[str],
    cache: Cache,
    told: Told,
    checked: Sequence[Future[None]],
) -> Image:
    told(f"base {recipe.base} for {platform}")
    base = open_base(
        recipe.base, platform, cache, compression=recipe.compression, mtime=recipe.mtime,
        anew=recipe.pull, connection=recipe.connection,
    )  # fmt: skip
    told(f"runtime for Python {base.target.python}: {', '.join(wheels)}")
    runtime = runtime_layer(
        wheels, base.target, cache, compression=recipe.compression, mtime=recipe.mtime
    )
    told(f"model {', '.join(pack.name for pack in packs)}")
    bill = _bill_layer(base, wheels, cache, recipe.mtime)
    models = [
        _model_layer(pack, cache, recipe.mtime, check)
        for pack, check in zip(packs, checked, strict=True)
    ]
    for each in checked:
        each.result()
    return append_layers(
        base.image, [runtime, bill, *models],
        config=config(packs, base.interpreter, recipe.additions), created=recipe.mtime,
        history=[
            "onnxpack runtime", "onnxpack bill of materials",
            *(f"onnxpack model {pack.name}" for pack in packs),
        ],
        labels=_labels(packs, base, wheels, recipe.additions),
    )  # fmt: skip


def with_variants(pack: Pack, names: Sequence[str] | None = None) -> Pack:
    """Return the pack with the variants that the image should contain; the base graph is included.

    Args:
        pack: the pack to ship.
        names: names of the variants; None takes all that images can run.

    Raises:
        UsageError: the pack lacks a variant, or images do not contain its runtime.
    """
    if names is None:
        return replace(pack, variants={n: v for n, v in pack.variants.items() if _runs(v)})
    for name in names:
        if name not in pack.variants:
            known = ", ".join(pack.variants) or "none"
            raise UsageError(f"{pack.name} has no variant {name!r}; variants: {known}.")
        if not _runs(pack.variants[name]):
            runtime = pack.variants[name].entry.recipe.runtime
            raise UsageError(
                f"variant {name!r} runs on {runtime}, but images contain only onnxruntime.",
                remedy="leave this --variant out: the image then answers with the base",
            )
    return replace(pack, variants={name: pack.variants[name] for name in names})


def _runs(variant: VariantFiles) -> bool:
    return variant.entry.recipe.runtime == "onnxruntime"


def takes_pictures(pack: Pack) -> bool:
    """Return whether the pack states how a picture becomes an input."""
    return pack.manifest is not None and pack.manifest.preprocess is not None


def _check(pack: Pack) -> None:
    if pack.manifest is None:
        return
    faults = [
        f"  {found.subject}: {found.message}"
        for found in check_files(pack.path, pack.manifest.files)
    ]
    if faults:
        raise PackError(
            "\n".join([f"{pack.path} does not match its pack.json:", *faults[:20]]),
            remedy=f"onnxpack check {pack.path}",
        )


def _bill_layer(base: Base, wheels: Sequence[str], cache: Cache, mtime: int) -> Layer:
    """Return the layer with the bill of materials of base and runtime, without the model's own."""
    key = key_of(
        base=base.image.digest, name=base.name, pins=wheels, also=required(wheels),
        target=base.target, how=[path.read_text("utf-8") for path in _HOW], mtime=mtime,
    )  # fmt: skip

    def make(to: Path) -> Layer:
        bill = write_bill(base, install(wheels, base.target, cache))
        return write_layer([Entry(BILL, bill)], to, compression="none", mtime=mtime)

    return cache.layer(f"bill-{key}", make)


def _model_layer(pack: Pack, cache: Cache, mtime: int, checked: Future[None]) -> Layer:
    """Return the layer with the pack: the same blob on every base and platform."""

    def make(to: Path) -> Layer:
        checked.result()  # the pack's digest is a cache key: no layer is made before the check
        entries = [Entry(f"model/{pack.name}/{name}", path) for name, path in shipped(pack)]
        return write_layer(entries, to, compression="none", mtime=mtime)

    # Without a digest of its content, sizes and times of its files identify it.
    known = pack.digest or _stats(pack)
    # No variants, no key: packs without variants keep the cache key of earlier releases.
    chosen = {"variants": sorted(with_variants(pack).variants)} if pack.variants else {}
    key = key_of(pack=known, name=pack.name, mtime=mtime, **chosen)
    return cache.layer(f"model-{key}", make)


def shipped(pack: Pack) -> Iterator[tuple[str, Path]]:
    """Yield the files of a pack that go into an image, with their names in the image.

    Of the golden data, only the smallest sets are shipped, up to a twentieth of the model's size.
    This is enough to prove the model again, quickly, on the processor that the container runs on.
    Of the variants, only those that images can run are shipped, with all of their golden data.
    """
    if pack.path.is_file():
        yield pack.path.name, pack.path
        return
    left_out = {golden.name for golden in pack.golden} - _kept_sets(pack)
    variants = with_variants(pack).variants
    for path in sorted(pack.path.rglob("*")):
        name = path.relative_to(pack.path).as_posix()
        first, _, rest = name.partition("/")
        if first == VARIANTS and rest.partition("/")[0] not in variants:
            continue
        if path.is_file() and first not in left_out:
            yield name, path


def _kept_sets(pack: Pack) -> set[str]:
    sizes = {
        golden.name: sum(path.stat().st_size for path in (*golden.inputs, *golden.outputs))
        for golden in pack.golden
    }
    room = max(MIN_GOLDEN, pack.model_path.stat().st_size // 20)
    kept: set[str] = set()
    for name in sorted(sizes, key=lambda each: (sizes[each], each)):
        if kept and sizes[name] > room:
            break
        kept.add(name)
        room -= sizes[name]
    return kept


def _stats(pack: Pack) -> list[tuple[str, int, int]]:
    files = [pack.path] if pack.path.is_file() else sorted(pack.path.rglob("*"))
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]


def _labels(
    packs: Sequence[Pack], base: Base, wheels: Sequence[str], additions: Additions
) -> dict[str, str]:
    return {
        **labels(packs, additions),
        "org.opencontainers.image.base.name": base.name,
        "org.opencontainers.image.base.digest": base.image.digest,
        "onnxpack.wheels": " ".join(wheels),
    }
