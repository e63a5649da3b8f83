"""Replay golden data in a child process with limits: what a graph does in a run is not bounded."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import msgspec

from onnxpack.child import Kind
from onnxpack.errors import BoundsError, OnnxpackError, PackError, ProviderError, UsageError
from onnxpack.pack.bounds.appraise import A_BYTE, MEMORY
from onnxpack.pack.bounds.limited import is_of_memory, too_much_memory, try_limited
from onnxpack.pack.model import Pack
from onnxpack.pack.read import open_pack
from onnxpack.report import Report, report
from onnxpack.runtime.model import Model
from onnxpack.runtime.providers import resolve
from onnxpack.runtime.replay import proves
from onnxpack.runtime.variants import BASE

CPU_NAME = "cpu"
_KINDS = (BoundsError, PackError, ProviderError, UsageError, OnnxpackError)
"""The errors that a child passes on, each before its base."""
_DOUBT = "on the CPU, with its golden data"

_PROGRAM = """from onnxpack.parity.limited import perform
    perform(*sys.argv[1:])"""


class Replayed(msgspec.Struct, frozen=True, tag=True):
    """Findings of replays, and whether they prove the graph that was asked for."""

    findings: Report
    proven: bool


class _Failed(msgspec.Struct, frozen=True, tag=True):
    """The error that a replay raised in the child."""

    kind: str
    message: str
    remedy: str

    def error(self) -> OnnxpackError:
        kind = next(each for each in _KINDS if each.__name__ == self.kind)
        return kind(self.message, remedy=self.remedy)


_Answer: TypeAlias = Replayed | _Failed


class Prover:
    """Replays the golden data of a pack, on the CPU in a child process with limits.

    Other providers replay it in this process, after the CPU did in bounds: their libraries take
    more address space than a child has. A pack that is trusted is replayed in this process, too.
    """

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._answers: dict[str, _Answer | BoundsError] = {}

    def prove(self, provider: str, variant: str = BASE) -> Replayed:
        """Return the replay of one graph on one provider, with both named in each finding.

        Raises:
            BoundsError: the graph takes too much memory or time, or ends the process.
            PackError: the graph cannot be loaded, or golden data is missing.
            ProviderError: the provider does not run the graph, or the variant is not as it was.
            UsageError: the pack has no variant of this name.
        """
        if self._pack.trusted:
            return _prove(self._pack, provider, variant)
        answer = self._limited(variant)
        if isinstance(answer, BoundsError):
            raise answer
        if resolve(provider) != resolve(CPU_NAME):
            return _prove(self._pack, provider, variant)
        if isinstance(answer, _Failed):
            raise answer.error()
        return answer

    def _limited(self, variant: str) -> _Answer | BoundsError:
        if variant not in self._answers:
            try:
                self._answers[variant] = _in_child(self._pack, variant)
            except BoundsError as exc:
                self._answers[variant] = exc
        return self._answers[variant]


def _in_child(pack: Pack, variant: str) -> _Answer:
    bytes_ = pack.size + sum(
        file.stat().st_size for golden in pack.golden for file in (*golden.inputs, *golden.outputs)
    )
    memory = MEMORY + A_BYTE * bytes_
    ended = try_limited(
        _PROGRAM,
        [str(pack.path), pack.digest or "", variant],
        name=pack.name,
        doubt=_DOUBT,
        memory=memory,
        bytes_=bytes_,
        again=False,
    )
    if ended.kind is not Kind.DONE:
        raise RuntimeError(ended.said)  # a bug, also there
    answer: _Answer = msgspec.json.decode(ended.said.rpartition("\n")[2], type=_Answer)
    if isinstance(answer, _Failed) and answer.kind == BoundsError.__name__:
        raise answer.error()
    faults = answer.findings.errors if isinstance(answer, Replayed) else [answer]
    for fault in faults:
        if is_of_memory(fault.message):
            raise too_much_memory(pack.name, memory, _DOUBT, fault.message)
    return answer


def perform(path: str, digest: str, variant: str) -> None:
    """Replay a pack's golden data, and print the answer; this is what the child does."""
    try:
        # The pack that the parent has opened, even if another one is there by now.
        pack = open_pack(Path(path), digest=digest or None)
        answer: _Answer = _prove(pack, CPU_NAME, variant)
    except OnnxpackError as exc:
        kind = next(each for each in _KINDS if isinstance(exc, each))
        answer = _Failed(kind.__name__, exc.message, exc.remedy)
    print(msgspec.json.encode(answer).decode(), end="")


def _prove(pack: Pack, provider: str, variant: str) -> Replayed:
    model = Model(pack, provider=provider, variant=variant)
    where = f"variant {model.variant}" if model.variant else model.provider
    replayed = model.prove()
    findings = report(
        msgspec.structs.replace(finding, subject=f"{where}: {finding.subject}")
        for finding in replayed.findings
    )
    return Replayed(findings, proves(replayed))
