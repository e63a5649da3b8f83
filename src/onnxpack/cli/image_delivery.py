"""Deliver what ``onnxpack image`` built: to a file, a registry or an engine; and print it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxpack.cli import say
from onnxpack.errors import UsageError

if TYPE_CHECKING:
    from onnxpack.image.build import Built, Recipe
    from onnxpack.image.engine import Engine
    from onnxpack.image.publish import Published
    from onnxpack.oci.reference import Reference
    from onnxpack.oci.registry.connection import Connection


@dataclass(frozen=True)
class Delivery:
    """Where a built image goes, and under which names; by default to a container engine."""

    names: tuple[Reference, ...]
    output: Path | None
    load: bool
    push: bool
    force: bool
    connection: Connection | None

    def check(self, recipe: Recipe) -> Engine | None:
        """Check the destination before the build, and return the engine that loads the image."""
        if self.load and len(recipe.platforms) > 1:
            raise UsageError(
                "an engine can load only one platform.", remedy="--push, or -o FILE.tar"
            )
        if self.output is not None:
            self._check_output(self.output)
        if not self.load:
            return None
        from onnxpack.image.engine import get_engine

        return get_engine()

    def deliver(self, built: Built, engine: Engine | None) -> dict[str, Any]:
        """Deliver the image, and return facts about where it went."""
        where: dict[str, Any] = {}
        if self.output is not None:
            self._write(built, self.output)
            where["output"] = str(self.output)
        if self.push:
            where["pushed"] = self._publish(built)
        if engine is not None:
            engine.load(built.images[0], self.names)
            where["engine"] = engine.name
        return where

    def _write(self, built: Built, output: Path) -> None:
        from onnxpack.oci.store.archive import write_archive
        from onnxpack.oci.store.layout import write_layout

        if output.suffix == ".tar":
            write_archive(built.content, output, name=self.names)
        else:
            write_layout(built.content, output, name=self.names, force=self.force)

    def _publish(self, built: Built) -> dict[str, Any]:
        """Push the image by each of its names; each registry gets each blob once."""
        made = [self._push(built, name) for name in self.names]
        references = [str(each.pushed.reference) for each in made]
        return {
            "reference": references[0],
            "references": references,
            "sent": list(dict.fromkeys(blob for each in made for blob in each.pushed.sent)),
            "bytes": sum(each.pushed.size for each in made),
            "bills": list(dict.fromkeys(str(bill) for each in made for bill in each.bills)),
        }

    def _push(self, built: Built, name: Reference) -> Published:
        """Push the image by one name, and show progress on a terminal."""
        from onnxpack.cli import show
        from onnxpack.image.publish import publish

        earlier = self.names[: self.names.index(name)]
        beside = {each.repository for each in earlier if each.registry == name.registry}
        under_way: dict[str, tuple[int, int]] = {}
        with show.progress(verbose=False) as told:

            def tell(digest: str, done: int, size: int) -> None:
                under_way[digest] = done, size
                sent, wanted = map(sum, zip(*tuple(under_way.values()), strict=True))
                if told:
                    told(f"pushing {name}: {say.size(sent)} of {say.size(wanted)}")

            return publish(
                built.content, name, mount_from=sorted(beside), connection=self.connection,
                progress=tell,
            )  # fmt: skip

    def _check_output(self, output: Path) -> None:
        if output.suffix in (".gz", ".tgz", ".zip"):
            raise UsageError(f"-o {output} is neither a folder nor a .tar.")
        if not output.absolute().parent.is_dir():
            raise UsageError(f"-o {output}: the folder {output.absolute().parent} does not exist.")
        if output.suffix != ".tar":
            from onnxpack.oci.store.atomic import check_free
            from onnxpack.oci.store.layout import is_of_layout

            check_free(output, is_ours=is_of_layout, force=self.force)


def show_built(built: Built, names: Sequence[Reference], where: dict[str, Any]) -> None:
    """Print the layers and digests of what was built, and where it went."""
    from onnxpack.cli import show

    for image in built.images:
        lines = [each["created_by"] for each in image.settings["history"]]
        rows = [
            [line, say.size(layer.descriptor.size), layer.descriptor.digest[:19]]
            for line, layer in zip(lines[-len(image.layers) :], image.layers, strict=False)
        ]
        show.table(["layer", "size", "digest"], rows, right=["size"])
        say.out(f"{image.platform} {image.digest}: {say.size(image.size)}")
    say.out(f"{', '.join(map(short, names))} built in {built.seconds:.2f} s")
    if "output" in where:
        say.out(f"written: {where['output']}")
    if "pushed" in where:
        pushed = where["pushed"]
        sent = f"{len(pushed['sent'])} blobs, {say.size(pushed['bytes'])}"
        say.out(f"pushed: {pushed['reference']}, {sent}")
        for reference in pushed["references"][1:]:
            say.out(f"pushed: {reference}")
    if "engine" in where:
        exposed = built.images[0].settings["config"]["ExposedPorts"]
        ports = " ".join(f"-p {port}:{port}" for port in (each.split("/")[0] for each in exposed))
        say.out(f"try: {where['engine']} run --rm --read-only {ports} {short(names[0])}")


def short(name: Reference) -> str:
    """Return a name without the registry and namespace that docker adds by default."""
    return str(name).removeprefix("docker.io/library/").removeprefix("docker.io/")


def as_json(built: Built, names: Sequence[Reference], where: dict[str, Any]) -> dict[str, Any]:
    """Return what was built, and where it went, for ``--json``."""
    return {
        "name": str(names[0]),
        "names": list(map(str, names)),
        "digest": built.content.digest,
        "seconds": built.seconds,
        "wheels": built.wheels,
        "images": [
            {
                "platform": str(image.platform),
                "digest": image.digest,
                "size": image.size,
                "layers": [
                    {"digest": layer.descriptor.digest, "size": layer.descriptor.size}
                    for layer in image.layers
                ],
            }
            for image in built.images
        ],
        **where,
    }
