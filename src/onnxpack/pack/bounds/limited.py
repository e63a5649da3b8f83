"""Try in a child process with limits what a graph that is not plain makes a library do."""

from __future__ import annotations

import mmap
import re
from collections.abc import Sequence
from pathlib import Path

from onnxpack.child import Ended, Kind, run_limited
from onnxpack.errors import BoundsError, PackError
from onnxpack.pack import paths
from onnxpack.pack.bounds.appraise import appraise
from onnxpack.pack.external import find_references
from onnxpack.units import size

SECONDS = 30.0
"""Longest time that a child may take for a file of up to ``USUAL`` bytes."""
PROCESSOR = 10.0
"""Longest time of a processor to read such a file, which is read again by this process."""
USUAL = 10**8
A_SECOND = 10**7
"""Bytes beyond ``USUAL`` for which a child has one more second."""

_MEMORY = re.compile(
    r"bad[_ ]alloc|alloc failed|(failed|unable|cannot) (to )?allocate|out of memory|length_error",
    re.IGNORECASE,
)
"""What libraries say if they get no memory and report it as any other error."""


def check_file(path: Path, program: str) -> None:
    """Check that a library reads a graph in bounds, if the graph is not plain.

    Args:
        path: path of the graph, which the program finds in ``sys.argv[1]``.
        program: see ``run_limited``; it does all that is done with the graph afterwards.

    Raises:
        BoundsError: the graph takes too much memory or time, or ends the child.
        PackError: the program refused the graph.
    """
    if not path.exists():
        return  # whoever reads it says so
    with paths.open_file(path) as stream:
        if not paths.size(stream):
            return  # an empty file cannot be mapped
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    beside = dict.fromkeys(each.location for each in find_references(mapped))
    found = appraise(mapped, path.name, beside=sum(_size(path.parent, each) for each in beside))
    if found.doubt:
        bytes_ = len(mapped)
        ended = try_limited(program, [str(path)], path.name, found.doubt, found.memory, bytes_)
        if ended.kind is Kind.REFUSED:
            raise PackError(ended.said)


def _size(folder: Path, location: str) -> int:
    try:
        with paths.open_inside(folder, location) as stream:
            return paths.size(stream)
    except PackError:
        return 0  # weights that are not there need no memory


def try_limited(
    program: str,
    arguments: Sequence[str],
    name: str,
    doubt: str,
    memory: int,
    bytes_: int,
    descriptors: Sequence[int] = (),
    *,
    again: bool = True,
) -> Ended:
    """Run a program that reads a graph in a child process, and return how it ended.

    Args:
        program: see ``run_limited``.
        arguments: see ``run_limited``.
        name: name of the graph, for messages.
        doubt: why it is read in a child, as the end of a sentence.
        memory: most bytes that the child may take.
        bytes_: bytes of the files that it reads.
        descriptors: open files that it may use.
        again: whether this process does the same afterwards.

    Raises:
        BoundsError: the graph takes too much memory or time, or ends the child.
    """
    more = max(0, bytes_ - USUAL) / A_SECOND
    processor = PROCESSOR + more if again else None
    ended = run_limited(
        program,
        arguments,
        seconds=SECONDS + more,
        memory=memory,
        processor=processor,
        descriptors=descriptors,
    )
    if ended.kind is Kind.TIME:
        raise BoundsError(
            f"{name} takes longer than {processor or SECONDS + more:.0f} s ({doubt})."
        )
    if ended.kind is Kind.SIGNAL:
        raise BoundsError(
            f"{name} ends the process that reads it, with {ended.said} and {size(memory)} of "
            f"memory ({doubt})."
        )
    if ended.kind is Kind.MEMORY or (ended.kind is Kind.REFUSED and is_of_memory(ended.said)):
        raise too_much_memory(name, memory, doubt, ended.said)
    return ended


def is_of_memory(reason: str) -> bool:
    """Return whether a library's error says that it got no memory."""
    return _MEMORY.search(reason) is not None


def too_much_memory(name: str, memory: int, doubt: str, reason: str) -> BoundsError:
    """Return the error for a graph whose reader got no more memory."""
    return BoundsError(f"{name} takes more than {size(memory)} of memory ({doubt}): {reason}")
