"""Find out whether the model answers by what earlier calls left behind.

Examples are ``self.calls += 1`` that decides from the fortieth call on, or an average that moves
only for unusual inputs. On the cases of a proof such a model answers consistently. So what a call
leaves behind is set to other values, and the model is run again. This includes numbers that each
call changes, and tensors that it writes from its input or changes with each call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from onnxpack.exporters.torch.watch.writes import dense_tensors, memory_of, target_of

FAR = (0, *(2**power for power in range(2, 20)), 10**6)
"""Values to try for counters of calls: powers of two, some of which fall into any part of a
cycle."""
ONLY_SHAPES = {
    "empty_like", "full_like", "new_empty", "new_empty_strided", "new_full", "new_ones",
    "new_zeros", "ones_like", "zeros_like",
}  # fmt: skip
"""Operators that use a tensor's shape and dtype, but none of its values."""
SETTLES = {"embedding_renorm_"}
"""Operators that write the same value each time: a shortened row is not shortened again."""
Ask: TypeAlias = Callable[[], Mapping[str, Tensor]]


@dataclass(frozen=True)
class _Slot:
    """An attribute of a module.

    Attributes:
        holder: the mapping that holds the attribute: a module's attributes, parameters or buffers.
    """

    holder: MutableMapping[str, Any]
    key: str

    @property
    def value(self) -> Any:
        """The current value of the attribute; None if it is gone."""
        return dict(self.holder.items()).get(self.key)  # TorchScript's own kind has no get()


def kept_between_calls(
    model: torch.nn.Module,
    ask: Callable[[Sequence[Tensor]], Mapping[str, Tensor]],
    sample: Callable[[], Sequence[Tensor]],
    as_new: Callable[[], AbstractContextManager[None]],
) -> list[str]:
    """Return the attributes that calls change and that affect the model's answers.

    Args:
        ask: runs the model.
        sample: returns the sample's tensors.
        as_new: context that restores the model at its end to its state at the beginning.
    """
    with as_new():
        try:
            first = _copied(ask(sample()))
        except Exception:  # noqa: BLE001 - the proof refuses the sample with a message
            return []
        moved = _moved(model, ask, sample)
        if not moved or not _same(first, ask(sample())):
            return []  # a model that answers inconsistently at once is refused for that
        return [
            name
            for name, slot in moved.items()
            if any(
                _decides(slot, value, first, lambda: ask(sample()), as_new)
                for value in _others(slot.value)
            )
        ]


def _moved(
    model: torch.nn.Module,
    ask: Callable[[Sequence[Tensor]], Mapping[str, Tensor]],
    sample: Callable[[], Sequence[Tensor]],
) -> dict[str, _Slot]:
    """Return the attributes that a call changes once the first call is over."""
    slots = dict(_slots(model))
    before = {name: _copy(slot.value) for name, slot in slots.items()}
    memories = {
        memory_of(slot.value): name for name, slot in slots.items() if _is_dense(slot.value)
    }
    tensors = sample()
    with _Flow(tensors, memories) as flow:
        ask(tensors)
    # Weights are large: only those that a call writes to are copied, to see if it changes them.
    weights = [name for name in flow.assigned if isinstance(slots[name].value, torch.nn.Parameter)]
    as_they_were = {name: slots[name].value.detach().clone() for name in weights}
    if weights:
        ask(sample())
    return {
        name: slot
        for name, slot in slots.items()
        if name in flow.written
        or (name in as_they_were and not torch.equal(as_they_were[name], slot.value))
        or (_is_dense(slot.value) and memory_of(slot.value) in flow.tainted)
        or not _equal(before[name], slot.value)
    }


def _decides(
    slot: _Slot,
    value: Any,
    wanted: Mapping[str, Tensor],
    ask: Ask,
    as_new: Callable[[], AbstractContextManager[None]],
) -> bool:
    """Return whether the model answers differently, or fails, if an attribute is changed."""
    with as_new():
        try:
            if isinstance(slot.value, Tensor):
                slot.value.data.copy_(value)
            else:
                slot.holder[slot.key] = value
            return not _same(wanted, ask())
        except Exception:  # noqa: BLE001 - an answer that is none is another one
            return True


def _others(value: Any) -> Iterator[Any]:
    """Yield other values of what was left behind."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from map(type(value), FAR)
    elif isinstance(value, Tensor) and value.dtype is torch.bool:
        yield ~value
    elif isinstance(value, Tensor) and value.is_floating_point():
        yield value * 1.5 + 1
        if value.numel() == 1:  # it may count calls, as the variables of Keras do
            yield from (torch.full_like(value, each) for each in FAR)
    elif isinstance(value, Tensor):
        yield from (torch.full_like(value, min(each, torch.iinfo(value.dtype).max)) for each in FAR)


def _slots(model: torch.nn.Module) -> Iterator[tuple[str, _Slot]]:
    """Yield every number and tensor that a module holds by name."""
    for path, part in named_parts(model):
        kept: tuple[Any, ...] = (part._buffers, part._parameters)  # noqa: SLF001 - no public name
        for holder in (vars(part), *kept):
            for key, value in holder.items():
                plain = isinstance(value, bool | int | float) and key != "training"
                if plain or _is_dense(value):
                    yield f"self.{path}.{key}" if path else f"self.{key}", _Slot(holder, key)


def named_parts(model: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield all modules inside a module, and Keras's layers, which are not all registered."""
    seen: set[int] = set()
    for path, part in model.named_modules():
        layers = getattr(part, "_flatten_layers", None)
        for name, each in ((path, part), *((each.name, each) for each in (layers or tuple)())):
            if id(each) not in seen:
                seen.add(id(each))
                yield name, each


def _is_dense(value: Any) -> bool:
    return any(each is value for each in dense_tensors(value)) and not value.is_meta


def _copy(value: Any) -> Any:
    """Return the current value; for a weight its version counter, since weights are large."""
    if isinstance(value, torch.nn.Parameter):
        return value, value._version  # noqa: SLF001 - counts writes
    return value.detach().clone() if isinstance(value, Tensor) else value


def _equal(before: Any, now: Any) -> bool:
    if isinstance(now, torch.nn.Parameter):
        return True
    if isinstance(before, Tensor) and isinstance(now, Tensor):
        return before.shape == now.shape and torch.equal(before, now)
    return type(before) is type(now) and bool(before == now or before != before)


def _copied(answer: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in answer.items()}


def _same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        tensor.shape == second[name].shape
        and torch.equal(tensor.nan_to_num(), second[name].nan_to_num())
        for name, tensor in first.items()
    )


class _Flow(TorchDispatchMode):
    """Follows the values of the input, and records which of the model's tensors they reach.

    Attributes:
        tainted: the memories that hold values that depend on the input.
        written: the names of the model's tensors that such values were written into.
        assigned: the names of the model's tensors that anything was written into.
    """

    supports_higher_order_operators = True

    def __init__(self, inputs: Sequence[Tensor], memories: Mapping[int, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tainted = {memory_of(each) for each in dense_tensors(inputs)}
        self.written: set[str] = set()
        self.assigned: set[str] = set()
        self._memories = memories

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        arguments = (args, kwargs or {})
        given = {memory_of(each) for each in dense_tensors(arguments)}
        result = func(*args, **(kwargs or {}))
        name = getattr(getattr(func, "overloadpacket", None), "__name__", "")
        depends = name not in ONLY_SHAPES and not given.isdisjoint(self.tainted)
        target = None if name in SETTLES else target_of(func, arguments)
        if target is not None:
            memory = memory_of(target)
            known = {self._memories[memory]} if memory in self._memories else set[str]()
            self.assigned |= known
            if depends:
                self.tainted.add(memory)
                self.written |= known
        for memory in {memory_of(each) for each in dense_tensors(result)} - given:
            # Memory that was freed comes back under the same number.
            (self.tainted.add if depends else self.tainted.discard)(memory)
        return result
