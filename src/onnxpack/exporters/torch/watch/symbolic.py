"""Run the model once with symbolic sizes and tensors without values: the second witness.

The other watches list what Python may ask of a tensor, and trust everything else. This run trusts
nothing by default. Under ``FakeTensorMode`` tensors have no values: code that reads one gets an
error. Every size on a dynamic axis is a symbol: code that decides by one must ask this module's
``ShapeEnv``, which records the question. The same holds for a size that reaches an integer of an
operator (``avg_pool1d(x, x.shape[-1] // 64 + 1)``). So a trace is trusted only if this run
finished, and if no recorded question has another answer at another size.

It matters who asked. A question from Python code of the user, or of a library on top of PyTorch, is
a decision. Python code of torch and torchvision is written with tracing in mind, and every size at
which it would take another branch becomes a case of the proof. C++ code and code inside an operator
choose a kernel or a memory layout, where the ONNX operator follows its own specification. Of their
questions only those for a number count, and those for the length of a list that an operator
returns.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import sympy
import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._sympy.printers import PythonPrinter

from onnxpack.errors import ExportError
from onnxpack.exporters.frames import Place, module_of, of_torch, user_line
from onnxpack.exporters.replaced import replaced
from onnxpack.exporters.torch.decompose.known_sizes import Varying
from onnxpack.exporters.torch.patch.recurrent import shapes_of_recurrent_layers
from onnxpack.exporters.torch.watch.conditions import Condition
from onnxpack.exporters.torch.watch.writes import Writes, dense_tensors

TAKES_SIZES = {
    "_assert_scalar", "_to_copy", "_unsafe_view", "add", "arange", "as_strided", "clamp",
    "clamp_max", "clamp_min", "constant_pad_nd", "div", "empty", "empty_strided", "eq", "expand",
    "eye", "fill", "fill_", "floor_divide", "fmod", "full", "full_like", "ge", "gt", "le", "lt",
    "masked_fill", "masked_fill_", "mul", "narrow", "ne", "new_empty", "new_empty_strided",
    "new_full", "new_ones", "new_zeros", "ones", "pad", "pow", "reflection_pad1d",
    "reflection_pad2d", "remainder", "repeat", "replication_pad1d", "replication_pad2d", "reshape",
    "rsub", "scalar_tensor", "select", "slice", "split", "split_with_sizes", "sub",
    "sym_constrain_range_for_size", "topk", "unsafe_split", "upsample_bicubic2d",
    "upsample_bilinear2d", "upsample_linear1d", "upsample_nearest1d", "upsample_nearest2d",
    "upsample_nearest3d", "upsample_trilinear3d", "view", "zeros",
}  # fmt: skip
"""Operators whose sizes and numbers ONNX takes as inputs, so that a trace keeps them variable.

For all others, such as a convolution's dilation or the shifts of ``roll``, they are attributes of
an ONNX node: a trace would write the sample's values into the graph.
"""

WITH_SIZES = (
    torch.ops.aten.split_with_sizes.default,
    torch.ops.aten.split_with_sizes_copy.default,
)


@dataclass(frozen=True, slots=True)
class Observation:
    """The result of one symbolic run.

    Attributes:
        decisions: places in the user's code at which a dynamic size decided, each with the
            condition that was asked.
        conditions: questions from a library's own code; a size at which the answer differs should
            be a case of the proof.
        stale: lines that read a value written through another view, see
            :mod:`onnxpack.exporters.torch.watch.writes`.
        varying: for each shape that a tensor had, which of its sizes vary.
    """

    decisions: tuple[tuple[Place, Condition], ...]
    conditions: tuple[Condition, ...]
    stale: tuple[str, ...] = ()
    varying: Varying = field(default_factory=dict)


def witness(
    run: Callable[..., Any],
    tensors: Sequence[torch.Tensor],
    axes: Sequence[Mapping[int, str]],
    own: Mapping[str, int],
) -> Observation:
    """Run the model symbolically.

    Args:
        run: calls the model with these tensors; the patches of the exporters are active.
        tensors: the inputs; every dynamic dim has a size of its own, at least 2.
        axes: for each tensor, the name of each dynamic axis. Axes of one name share a symbol.
        own: the size of each dynamic dim in these tensors.

    Raises:
        ExportError: the run reached code that has no answer without values, or an operator whose
            shapes torch cannot compute without them.
    """
    env = _RecordingEnv()
    mode = FakeTensorMode(shape_env=env, allow_non_fake_inputs=True)
    fakes = [
        mode.from_tensor(tensor, static_shapes=False, symbolic_context=_context(tensor, named))
        for tensor, named in zip(tensors, axes, strict=True)
    ]
    names = _names(fakes, axes)
    # opt_einsum chooses an order of contraction by comparing sizes, which changes no answer.
    with ExitStack() as stack:
        stack.enter_context(torch.backends.opt_einsum.flags(enabled=False))
        stack.enter_context(shapes_of_recurrent_layers())
        stack.enter_context(mode)
        # Operators that C++ composes of others would read sizes as numbers there; Python's
        # versions of them, which torch.export uses as well, keep symbols.
        stack.enter_context(enable_python_dispatcher())
        writes = Writes()
        stack.enter_context(writes.assignments())
        stack.enter_context(_Operators(env, writes))
        stack.enter_context(text_of_sizes(lambda size, _: env.note(size.node.expr, decides=True)))
        stack.enter_context(torch.no_grad())
        try:
            writes.returned(run(*fakes))
        except Exception:
            # A size as a dict key raises an error, as does code after a decision that went wrong.
            seen = _observation(env, writes, names, own)
            if seen.decisions:
                return seen
            raise
    return _observation(env, writes, names, own)


def _observation(
    env: _RecordingEnv, writes: Writes, names: Mapping[str, str], own: Mapping[str, int]
) -> Observation:
    decisions: dict[Place, Condition] = {}
    conditions: dict[str, Condition] = {}
    for question in env.asked:
        condition = Condition.of_symbols(question.code, names, own)
        if question.place is None:
            conditions.setdefault(question.code, condition)
        elif question.place not in decisions and condition.varies():
            decisions[question.place] = condition
    varying = tuple(each for each in conditions.values() if each.varies())
    return Observation(tuple(decisions.items()), varying, tuple(writes.stale), env.varying)


def _context(tensor: torch.Tensor, named: Mapping[int, str]) -> StatelessSymbolicContext[Any, Any]:
    """Return symbolic dynamic axes; DUCK gives axes of equal size one symbol.

    So axes of one name share a symbol.
    """
    kinds = [
        DimDynamic.DUCK if axis in named else DimDynamic.STATIC for axis in range(tensor.dim())
    ]
    return StatelessSymbolicContext(dynamic_sizes=kinds)


def _names(fakes: Sequence[torch.Tensor], axes: Sequence[Mapping[int, str]]) -> Mapping[str, str]:
    """Return the dim that each symbol stands for.

    Raises:
        ExportError: a dynamic size is not a symbol, so its decisions would not be seen.
    """
    names: dict[str, str] = {}
    for fake, named in zip(fakes, axes, strict=True):
        for axis, dim in named.items():
            size: Any = fake.shape[axis]
            if not isinstance(size, torch.SymInt):
                raise ExportError(
                    f"torch {torch.__version__} gave axis {axis} ({dim}) no symbol, so decisions "
                    "by its size could not be seen"
                )
            names[str(size.node.expr)] = dim
    return names


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question about sizes: its expression as Python code, and who asked.

    Attributes:
        place: the user's line; None if a library's own code asked.
    """

    code: str
    place: Place | None


class _RecordingEnv(ShapeEnv):
    """Answers every question about sizes as the sample would, and records the question.

    The base class turns an answer into a guard, and a number into a specialised symbol. Here no
    answer changes later ones: a symbol stays a symbol, so that a harmless question does not hide
    the following ones.
    """

    def __init__(self) -> None:
        super().__init__(allow_scalar_outputs=True, allow_dynamic_output_shape_ops=True)
        self.asked: list[_Asked] = []
        self.varying: dict[tuple[int, ...], tuple[bool, ...]] = {}
        self.operator: Any = None

    def evaluate_expr(self, orig_expr: Any, hint: Any = None, *args: Any, **options: Any) -> Any:
        """Return the answer for the sample's sizes.

        Raises:
            GuardOnDataDependentSymNode: the question is about a count of found elements.
        """
        known = isinstance(hint, bool | int | float)  # else it is a count of found elements
        if not known or not getattr(orig_expr, "free_symbols", None):
            return super().evaluate_expr(orig_expr, hint, *args, **options)
        self.note(orig_expr, decides=not isinstance(hint, bool))
        return _sympified(hint)

    def note(self, expr: Any, *, decides: bool) -> None:
        """Record that some code asked for the value of an expression.

        Args:
            decides: whether the answer counts even if C++ code asked: a number does, a choice does
                not.
        """
        if self.operator is not None:
            return
        if _python_asks():
            self.write(expr, user_line(_of_tensors))
        elif decides:
            self.write(expr, user_line(of_torch))

    def note_shapes(self, value: Any) -> None:
        """Record, for each tensor in a value, which of its sizes vary."""
        for tensor in dense_tensors(value):
            sizes: list[Any] = list(tensor.shape)
            hints = tuple(map(_hint, sizes))
            if -1 not in hints:  # else it has a count of found elements, which always varies
                masks = tuple(map(_varies, sizes))
                before = self.varying.get(hints, (False,) * len(hints))
                self.varying[hints] = tuple(map(max, before, masks))

    def _get_user_frame(self) -> FrameType | None:
        """Return the calling frame, in place of torch's search for the user's frame.

        Torch shows it in errors and logs, which are hidden here. To recognise its own files it
        imports inductor and ``torch.export`` (torch 2.14), which takes a second in each process.
        """
        return inspect.currentframe()

    def write(self, expr: Any, place: Place | None) -> None:
        """Record a question, with the user's line that asked."""
        printer: Any = PythonPrinter()  # type: ignore[no-untyped-call]
        self.asked.append(_Asked(printer.doprint(expr), place))


def _python_asks() -> bool:
    """Return whether Python code asks, by a method of ``torch.SymInt`` such as ``__bool__``.

    C++ calls the symbol's node without such a method.
    """
    frame = inspect.currentframe()
    while frame is not None and module_of(frame).startswith((__name__, "torch.fx.")):
        frame = frame.f_back
    if frame is None or module_of(frame) != "torch":
        return False
    return frame.f_code.co_name.startswith("__")


class _Operators(TorchDispatchMode):
    """Notes the running operator in the environment, and passes each operator to ``Writes``."""

    supports_higher_order_operators = True

    def __init__(self, env: _RecordingEnv, writes: Writes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._env, self._writes = env, writes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        fixed = [] if _name(func) in TAKES_SIZES else list(_symbols((args, kwargs or {})))
        for expr in (*fixed, *_size_counted(func, args, kwargs or {})):
            self._env.write(expr, user_line(of_torch))
        outer, self._env.operator = self._env.operator, func
        try:
            result = func(*args, **(kwargs or {}))
        finally:
            self._env.operator = outer
        self._env.note_shapes((args, kwargs or {}, result))
        self._writes.note(func, (args, kwargs or {}), result)
        return result


@contextmanager
def text_of_sizes(note: Callable[[Any, Place], None]) -> Iterator[None]:
    """Call ``note`` for each size that becomes text or a key, which torch does not report.

    Args:
        note: called with each symbol that becomes text or a key, and the line that does so.
    """
    kind: Any = torch.SymInt
    with ExitStack() as stack:
        for name in ("__repr__", "__str__", "__format__", "__hash__"):
            plain = getattr(kind, name)

            def watched(size: Any, *args: Any, _plain: Any = plain) -> Any:
                place = user_line(_of_tensors)
                if place is not None:
                    note(size, place)
                return _plain(size, *args)

            stack.enter_context(replaced(kind, name, watched))
        yield


def _hint(size: Any) -> int:
    """Return a size of this run; -1 for a count of found elements, which is not known."""
    hint = size.node.hint if isinstance(size, torch.SymInt) else size
    return -1 if hint is None else int(hint)


def _varies(size: Any) -> bool:
    return isinstance(size, torch.SymInt) and bool(size.node.expr.free_symbols)


def _name(operator: Any) -> str:
    """Return an operator's plain name: ``convolution`` for ``aten::convolution.default``."""
    packet = getattr(operator, "overloadpacket", operator)
    return str(getattr(packet, "__name__", packet))


def _symbols(value: Any) -> Iterator[Any]:
    """Yield the expressions of the symbolic numbers among an operator's arguments."""
    if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
        yield value.node.expr
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _symbols(part)
    elif isinstance(value, dict):
        yield from _symbols(list(value.values()))


def _size_counted(operator: Any, args: Sequence[Any], named: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the size that determines how many tensors an operator returns, as for ``unbind``.

    ``split_with_sizes`` returns one tensor for each given size, whatever is split.
    """
    schema: Any = getattr(operator, "_schema", None)  # a higher-order operator has none
    if schema is None or operator in WITH_SIZES:
        return
    if not any(str(each.type) == "List[Tensor]" for each in schema.returns):
        return
    given = dict(zip((argument.name for argument in schema.arguments), args, strict=False))
    given.update(named)
    if isinstance(given.get("self"), torch.Tensor):  # meshgrid returns one for each argument
        yield from _symbols(given["self"].shape[given.get("dim", 0)])


def _of_tensors(module: str) -> bool:
    """Return whether a module holds methods of tensors and sizes, which act for their caller."""
    return module in ("torch", "torch._tensor", "torch.functional", "torch.overrides") or (
        module.startswith(("torch.fx.", "torch.utils._stats"))
    )


def _sympified(value: Any) -> Any:
    return sympy.true if value is True else sympy.false if value is False else sympy.sympify(value)
