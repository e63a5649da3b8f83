"""What all tests share: which of them one worker runs, a container engine and registries."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Nothing is asserted about time: another worker may keep the machine busy.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# Keras reads it once, whichever test imports Keras first; other backends are tried in processes.
os.environ["KERAS_BACKEND"] = "torch"
os.environ["JAX_PLATFORMS"] = "cpu"

# What tests write needs to outlive no power cut, and waiting for the disk is half of an export.
# That packs are synchronised before they appear is asserted in tests/pack/test_write.py.
os.fsync = lambda _handle: None

ROOT = Path(__file__).parents[1]
USER, PASSWORD = "anna", "pw"
# htpasswd -nbB anna pw
HTPASSWD = "anna:$2b$12$ONATJ/sokpSzpwpS7v3JEO3l5m.Nm/RUrTL878TCVZJJxWeP12JOG\n"
DEADLINE = 60.0
GROUPS = {
    # A container engine; Debian and the wheels.
    r"tests/(image/|cli/test_image|oci/(store/test_engines|registry/test_registry)\.)": "images",
    r"tests/docs/test_pages\..*image": "pages of images",  # the user's cache
    r"tests/docs/test_site\.": "site",
    r"tests/parity/test_onnx_node_cases\.": "node cases",
    r"tests/server/http/test_page\.": "browser",
    r"tests/exporters/torch/.*too large to try": "heavy",  # 9 GB, until the attempt is given up
}
"""What is slow to make and shared: with several workers, one of them runs all that wants it."""


def group_of(test: str) -> str:
    """The tests among which this one is run by one worker, one after the other."""
    for pattern, group in GROUPS.items():
        if re.match(pattern, test):
            return group
    return "heavy" if is_heavy(test.partition("::")[0]) else test


@functools.cache
def is_heavy(file: str) -> bool:
    """Whether tests of this file want so much memory that no other such may run beside them."""
    return "pytest.mark.heavy" in (ROOT / file).read_text()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests go to the workers one by one, and groups as a whole, the largest first.

    Not by ``--dist loadgroup``: of pytest-xdist 3.8 it knows no groups with pytest 9.2, where a
    test's id can no longer be changed, and does not say so.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)


@dataclass(frozen=True)
class Docker:
    """The client of a dockerd, of the machine's or of one of our own."""

    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str | Path, stdin: bytes | None = None) -> str:
        """Run a command of docker's; gives what it prints."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def run(
        self, *arguments: str | Path, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["docker", *arguments],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=300,
            env={**os.environ, **self.environment},
        )


@dataclass(frozen=True)
class RegistryServer:
    """A registry on this machine: its address, and the folder with its blobs."""

    address: str
    root: Path

    def name(self, rest: str) -> str:
        return f"{self.address}/{rest}"


@dataclass(frozen=True)
class VariantMaker:
    """Adds variants to a pack, in its place, with evidence that is measured here."""

    folder: Path

    def __call__(
        self,
        pack: Any,
        name: str,
        graph: Any,
        *,
        rows: Any = None,
        ratio: float | None = 2.0,
        recorded: Any = None,
        runtime: str = "onnxruntime",
        precision: str = "",
    ) -> Any:
        """Give back the pack with one variant more.

        Args:
            graph: an ``onnx.ModelProto``.
            rows: the input of its own golden set; without, the pack's own judge it.
            ratio: how fast it was beside the base.
            recorded: the graph whose distances the manifest records, if it is another.
        """
        import msgspec

        from onnxpack.pack.amend import amend_pack
        from onnxpack.pack.manifest import Distance, Kept

        made = self.folder / name
        made.mkdir(parents=True)
        (made / "model.onnx").write_bytes(graph.SerializeToString())
        evidence: tuple[Distance, ...] = ()
        kept = Kept(measure="parity", value=1.0, lower=1.0, samples=2, max_loss=0.0)
        if rows is not None:
            evidence = self._evidence(pack, made, rows, recorded or graph)
            kept = Kept(measure="agreement", value=0.99, lower=0.98, samples=99, max_loss=0.01)
        entry = _variant(pack, evidence, kept, ratio, runtime, precision)
        named = {**pack.manifest.variants, name: entry}
        manifest = msgspec.structs.replace(pack.manifest, variants=named)
        return amend_pack(pack, pack.path, manifest, variants={name: made}, force=True)

    def _evidence(self, pack: Any, made: Path, rows: Any, recorded: Any) -> tuple[Any, ...]:
        import onnxruntime

        from onnxpack.comparison.distance import distance, same_labels
        from onnxpack.pack.manifest import Distance
        from onnxpack.pack.tensor import encode_tensor

        def answer(graph: Any) -> Any:
            session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
            return session.run([output], {given: rows})[0]

        given = pack.manifest.signature.inputs[0].name
        output = pack.manifest.signature.outputs[0].name
        expected = answer(pack.model_path.read_bytes())
        actual = answer(recorded.SerializeToString())
        golden = made / "test_data_set_0"
        golden.mkdir()
        (golden / "input_0.pb").write_bytes(encode_tensor(given, rows))
        (golden / "output_0.pb").write_bytes(encode_tensor(output, expected))
        found, labels = distance(expected, actual), same_labels(expected, actual)
        return (Distance(golden=golden.name, output=output, distance=found, labels=labels),)


def _variant(
    pack: Any, evidence: Any, kept: Any, ratio: float | None, runtime: Any, precision: Any
) -> Any:
    from onnxpack.pack.manifest import Measurement, Recipe, Step, Timing, Variant

    timings = (
        Timing(name="base", seconds=2e-3, quartiles=(2e-3, 2e-3)),
        Timing(name="variant", seconds=1e-3, quartiles=(1e-3, 1e-3), ratio=ratio),
    )
    return Variant(
        base=pack.manifest.files["model.onnx"].sha256,
        steps=(Step("quantize", {"weights": "int8"}),),
        recipe=Recipe(
            runtime=runtime, runtime_version="1", precision=precision, threads=1,
            processor="Another Processor", features=("avx512_vnni",),
        ),
        kept=kept,
        speed=Measurement(
            dims={}, threads=1, provider="cpu", processor="Another Processor", versions={},
            timings=timings,
        ),
        evidence=evidence,
    )  # fmt: skip


@pytest.fixture
def add_variant(tmp_path: Path) -> VariantMaker:
    return VariantMaker(tmp_path / "made")


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What XDG_CACHE_HOME says: for images Debian and the wheels are fetched once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    if Docker().run("info").returncode == 0:
        yield Docker()
        return
    with started_dockerd() as found:
        yield found


@pytest.fixture(scope="session")
def registry() -> Iterator[RegistryServer]:
    """A registry that lets everyone in."""
    with started_registry() as found:
        yield found


@pytest.fixture(scope="session")
def locked_registry() -> Iterator[RegistryServer]:
    """A registry that lets in USER alone, with PASSWORD, by Basic."""
    with short_folder() as folder:
        (folder / "htpasswd").write_text(HTPASSWD)
        auth = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
        with started_registry(auth=auth) as found:
            yield found


@pytest.fixture(scope="session")
def start_registry() -> Callable[..., AbstractContextManager[RegistryServer]]:
    """Starts another one, with more of its settings."""
    return started_registry


@contextmanager
def started_registry(**more: object) -> Iterator[RegistryServer]:
    with short_folder() as folder:
        config = {
            "version": 0.1,
            "log": {"level": "info", "formatter": "json"},
            "storage": {
                "filesystem": {"rootdirectory": str(folder / "data")},
                "delete": {"enabled": True},
            },
            "http": {"addr": "127.0.0.1:0", "secret": "of the tests"},
            **more,
        }
        path = folder / "config.yml"  # JSON is YAML
        path.write_text(json.dumps(config))
        process = subprocess.Popen(
            ["docker-registry", "serve", path], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        try:
            yield RegistryServer(_address(process), folder / "data")
        finally:
            process.terminate()
            process.wait(DEADLINE)
            process.stderr.close()


def _address(process: subprocess.Popen[bytes]) -> str:
    """Where it says that it listens; what it says later is read and dropped."""
    told: list[str] = []
    for line in process.stderr:
        told.append(line.decode())
        message = json.loads(line).get("msg", "")
        if message.startswith("listening on "):
            drain = threading.Thread(target=lambda: list(process.stderr), daemon=True)
            drain.start()
            return message.removeprefix("listening on ").removesuffix(", tls")
    raise AssertionError(f"docker-registry ended: {''.join(told)}")


@contextmanager
def started_dockerd() -> Iterator[Docker]:
    failures = []
    for driver in ("overlay2", "vfs"):
        with short_folder() as folder, _dockerd(folder, driver) as found:
            if found is not None:
                yield found
                return
            failures.append((folder / "log").read_text())
    raise AssertionError("dockerd does not start:\n" + "\n".join(failures))


@contextmanager
def _dockerd(folder: Path, driver: str) -> Iterator[Docker | None]:
    command = [
        *("dockerd", "--storage-driver", driver, "-H", f"unix://{folder}/socket"),
        *("--data-root", folder / "data", "--exec-root", folder / "exec", "-p", folder / "pid"),
        *("--bridge", "none", "--iptables=false", "--ip-forward=false"),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    client = Docker({"DOCKER_HOST": f"unix://{folder}/socket"})
    try:
        yield client if _answers(client, process) else None
    finally:
        process.terminate()
        process.wait(DEADLINE)


def _answers(client: Docker, process: subprocess.Popen[bytes]) -> bool:
    """Ask until it answers, or has ended."""
    for _ in range(int(DEADLINE * 10)):
        if client.run("info").returncode == 0:
            return True
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        return False
    return False


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose name leaves room: a socket's path may have 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="oci-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
