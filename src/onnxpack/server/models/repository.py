"""The models that a server serves, by name and version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from onnxpack.errors import PackError, ParityError, UsageError
from onnxpack.pack.model import Pack
from onnxpack.pack.read import open_pack
from onnxpack.server.errors import RequestError, not_found
from onnxpack.server.models.counters import Counters, SharedCounters
from onnxpack.server.models.served import Served
from onnxpack.server.models.tracing import Traced, find_tracer
from onnxpack.server.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


class Stopped(Exception):  # noqa: N818 - it was asked for
    """The server was asked to end before it was ready."""


def find_packs(places: Iterable[str | Path | Pack]) -> tuple[Pack, ...]:
    """Return the packs at these paths; a folder that is not a pack is searched for packs.

    Raises:
        PackError: a path is not a pack and contains none.
        UsageError: two packs have the same name and version, or none was found.
    """
    packs = [pack for place in places for pack in _packs_at(place)]
    if not packs:
        raise UsageError("there are no packs to serve.")
    seen: dict[tuple[str, str], Pack] = {}
    for pack in packs:
        key = (pack.name, pack.manifest.version if pack.manifest else "1")
        if key in seen:
            raise UsageError(
                f"{seen[key].path} and {pack.path} are both {key[0]} version {key[1]}.",
                remedy="export one of them with another --name or --pack-version",
            )
        seen[key] = pack
    return tuple(packs)


class Repository:
    """The models of a server; empty until they are opened and proven.

    Args:
        counters: counters of the models, in the order of the packs; by default, they are shared
            with no other process.
    """

    def __init__(self, counters: SharedCounters | None = None) -> None:
        self.counters = counters
        # For each model its versions, oldest first.
        self._models: dict[str, dict[str, Served]] = {}
        self.ready = False
        self.draining = False

    def __iter__(self) -> Iterator[Served]:
        return (served for versions in self._models.values() for served in versions.values())

    @property
    def accepting(self) -> bool:
        """Whether requests are accepted: every model is proven, and the server is not ending."""
        return self.ready and not self.draining

    def open(self, packs: Iterable[Pack], settings: Settings) -> None:
        """Open, prove and warm up every pack; the caller then marks the server as ready.

        Args:
            packs: packs to serve.
            settings: settings of the server.

        Raises:
            Stopped: the server was asked to end.
            PackError: a graph cannot be loaded, or files of a pack were altered.
            ProviderError: the provider does not run here.
            ParityError: golden data is not reproduced on this machine.
        """
        models: dict[str, dict[str, Served]] = {}
        tracer = find_tracer()
        packs = tuple(packs)
        counters = self.counters or SharedCounters(len(packs))
        for number, pack in enumerate(packs):
            served = self._serve(pack, settings, tracer, counters.of(number))
            if served.proof is not None and not served.proof.ok:
                raise _unproven(served)
            models.setdefault(served.name, {})[served.version] = served
        self._models = {name: _sorted(versions) for name, versions in models.items()}

    def get(self, name: str, version: str | None = None) -> Served:
        """Return a model; without a version, its latest version.

        Raises:
            RequestError: 404 if the model does not exist, 503 if the server is not ready.
        """
        if not self.ready:
            raise RequestError(503, "the server is still proving its models", retry_after=1)
        versions = self._models.get(name)
        if not versions:
            raise not_found(f"there is no model {name!r}; models: {', '.join(self._models)}")
        if version is None:
            return next(reversed(versions.values()))
        if version not in versions:
            raise not_found(f"{name} has no version {version!r}; versions: {', '.join(versions)}")
        return versions[version]

    def versions(self, name: str) -> list[str]:
        """Return the versions of a model, oldest first."""
        return list(self._models.get(name, ()))

    def _serve(
        self, pack: Pack, settings: Settings, tracer: Tracer | None, counters: Counters
    ) -> Served:
        try:
            if tracer is None:
                return Served(pack, settings, self._go_on, counters)
            traced = Traced(pack, settings, self._go_on, counters)
        except PackError as exc:
            raise PackError(f"{pack.path}: {exc.message}", remedy=exc.remedy) from exc
        traced.tracer = tracer
        return traced

    def _go_on(self) -> None:
        if self.draining:
            raise Stopped

    def close(self) -> None:
        """Shut down the threads of every model."""
        for served in self:
            served.close()


def _packs_at(place: str | Path | Pack) -> Iterator[Pack]:
    if isinstance(place, Pack):
        yield place
        return
    path = Path(place)
    try:
        yield open_pack(path)
    except PackError:
        inside = sorted(child for child in path.glob("*/pack.json")) if path.is_dir() else []
        if not inside:
            raise
        for manifest in inside:
            yield open_pack(manifest.parent)


def _unproven(served: Served) -> ParityError:
    proof = served.proof
    findings = proof.errors if proof is not None else ()
    lines = [f"  {finding.subject}: {finding.message}" for finding in findings]
    return ParityError(
        "\n".join([f"{served.name} does not reproduce its golden data here:", *lines]),
        remedy="onnxpack check, then another --provider; --no-prove serves it anyway",
    )


def _sorted(versions: dict[str, Served]) -> dict[str, Served]:
    """Return the versions of a model, oldest first."""
    return {version: versions[version] for version in sorted(versions, key=_version_key)}


def _version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that orders numbers by value, and before words."""
    parts = version.replace("-", ".").split(".")
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
