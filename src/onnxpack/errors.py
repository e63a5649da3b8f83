"""The errors that onnxpack raises on purpose.

::

    OnnxpackError                 has a message and a remedy: the line to type next
    ├── UsageError                what was passed or typed cannot be used
    │   ├── TargetError           the model to export cannot be found or loaded
    │   ├── SampleError           the sample does not fit, or cannot be read
    │   └── FeedError             an input given to a model does not fit its signature
    ├── PackError                 a pack or graph is malformed, tampered with, or hostile
    │   └── BoundsError           a graph takes more memory or time than its size explains
    ├── ImageError                a container image cannot be made, or is malformed or hostile
    ├── RegistryError             a registry refuses, cannot be reached, or cannot be believed
    ├── ExportError               no graph could be made that answers as the model does
    │   ├── NondeterministicError the model answers differently to the same input
    │   └── ParityError           graphs were made, and every one answers differently
    ├── OptimizeError             a graph cannot be made faster this way, or loses too much
    ├── ProviderError             an execution provider was asked for and does not run
    ├── WorkerError               a process of a server ended by itself
    └── MissingExtraError         an optional dependency is not installed

Anything else that escapes is a bug in onnxpack.
"""

from __future__ import annotations


class OnnxpackError(Exception):
    """An error with a message and a remedy.

    Args:
        message: names the thing, the actual value, and the expected value.
        remedy: a command or a line of code to type next; empty if there is none.
        option: the option, with its value, that has the same effect on the command line, if the
            remedy is Python.
    """

    def __init__(self, message: str, *, remedy: str = "", option: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.option = option

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.remedy}" if self.remedy else self.message


class UsageError(OnnxpackError):
    """What was passed or typed cannot be used."""


class TargetError(UsageError):
    """The model to export cannot be found or loaded."""


class SampleError(UsageError):
    """The sample does not fit the model, or cannot be read."""


class FeedError(UsageError):
    """An input given to a model does not fit its signature."""


class PackError(OnnxpackError):
    """A pack or graph is malformed, tampered with, or hostile."""


class BoundsError(PackError):
    """A graph takes more memory or time than the size of its file explains."""


class ImageError(OnnxpackError):
    """A container image, or a part of it, cannot be made, or is malformed or hostile."""


class RegistryError(OnnxpackError):
    """A registry of images refuses, cannot be reached, or cannot be believed."""


class ExportError(OnnxpackError):
    """No graph could be made that answers as the model does."""


class NondeterministicError(ExportError):
    """The model answers differently to the same input."""


class ParityError(ExportError):
    """Graphs were made, and every one of them answers differently from the model."""


class OptimizeError(OnnxpackError):
    """A graph cannot be made faster this way, or loses more than is allowed."""


class ProviderError(OnnxpackError):
    """An execution provider was asked for and does not truly run."""


class WorkerError(OnnxpackError):
    """A process of a server ended by itself."""


class MissingExtraError(OnnxpackError):
    """An optional dependency is not installed.

    Args:
        module: the module that could not be imported.
        extra: the extra of onnxpack that brings it.
    """

    def __init__(self, module: str, *, extra: str) -> None:
        super().__init__(
            f"{module!r} is needed for this and is not installed.",
            remedy=f'pip install "onnxpack[{extra}]"',
        )
