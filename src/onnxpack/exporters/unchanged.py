"""Restore the user's object after an export, from a snapshot taken before it.

The export works on the model itself, not on a copy. Many models cannot be copied (weights that are
computed, handles, a ``__deepcopy__`` of the user's own), and a copy can behave differently: a hook
that closes over the original module would fill the original's state. So everything that Python
reaches from the model is recorded: the attributes of each part, lists, dicts and sets, what hooks
close over, random generators, and the content of tensors and arrays.

Tensors are cloned: if user code runs in ``forward``, a snapshot takes as much memory as the weights
during the export. Their version counters would be cheaper, but ``weight.data.clamp_(0)``, the usual
way to constrain a weight in ``forward``, does not change them; and ``eval()`` may change weights
too, as loralib's does when it merges its two matrices into the layer's.

Not recorded: globals that the model's functions do not name, files, the state of C++ objects.
"""

from __future__ import annotations

import dis
import random
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from types import (
    CellType,
    CodeType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    SimpleNamespace,
)
from typing import Any, TypeAlias

import numpy as np

Restore: TypeAlias = Callable[[], None]
Part: TypeAlias = tuple[list[Any], Restore | None]
"""The objects that an object refers to, and a function that restores it; None if it cannot
change."""

MOST_OBJECTS = 500_000
"""Largest number of objects in a snapshot; those furthest from the model are left out."""
LARGEST_ARRAY = 64 * 2**20
"""Larger arrays, in bytes, are data that a model refers to; only tensors can be larger weights."""
ATOMS = frozenset(
    {type(None), bool, int, float, complex, str, bytes, type(Ellipsis), range, slice, np.dtype}
)
"""Types that hold nothing that can change."""
OPAQUE = frozenset(sys.stdlib_module_names) | {
    "jaxlib", "lightning", "numpy", "onnxruntime", "pandas", "polars", "pyarrow",
    "pytorch_lightning", "sympy", "tensorflow", "torch",
}  # fmt: skip
"""Packages whose objects hold no state of a model; modules and tensors are read nevertheless."""
LIBRARIES = OPAQUE | {
    "catboost", "equinox", "flax", "jax", "keras", "lightgbm", "onnxpack", "scipy", "sklearn",
     "torchvision", "transformers", "xgboost",
}  # fmt: skip
"""Packages whose classes and functions are not part of the user's model."""
_EMPTY = object()
STORE_GLOBAL = dis.opmap["STORE_GLOBAL"]
KEPT_BY_PYTHON = {"__abstractmethods__", "__dict__", "__doc__", "__slotnames__", "__weakref__"}
"""Attributes of a class that are not state."""


@contextmanager
def unchanged(*models: Any, never_written: Iterable[Any] = ()) -> Iterator[None]:
    """Restore everything that Python reaches from these objects to its current state.

    Args:
        never_written: objects that the models refer to and do not change, such as large weights.
    """
    restorations, kept = _snapshot(models, never_written)
    with ExitStack() as stack:
        # In the order of a walk from the model inwards: called back last, the model comes last.
        for restore in restorations:
            stack.callback(restore)
        yield
    del kept


def _snapshot(
    models: Iterable[Any], never_written: Iterable[Any]
) -> tuple[list[Restore], dict[int, Any]]:
    """Record what is reached; the objects themselves are kept, so that ids stay unique."""
    seen: dict[int, Any] = {id(each): each for each in never_written}
    readers: dict[type, Callable[[Any], Part]] = {}
    restorations: list[Restore] = []
    waiting = deque(models)
    while waiting and len(seen) < MOST_OBJECTS:
        thing = waiting.popleft()
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        # By its type, never by isinstance, which asks the object itself.
        kind = type(thing)
        read = readers.get(kind) or readers.setdefault(kind, _reader(kind))
        children, restore = read(thing)
        waiting.extend(child for child in children if type(child) not in ATOMS)
        if restore is not None:
            restorations.append(restore)
    return restorations, seen


def _reader(kind: type) -> Callable[[Any], Part]:
    """Return the function that reads objects of this type."""
    torch = sys.modules.get("torch")
    if torch is not None:
        if issubclass(kind, torch.Tensor):
            return _read_tensor
        if issubclass(kind, torch.jit.ScriptModule):
            return _read_script
        if issubclass(kind, torch.nn.Module):
            return _read_object
        if issubclass(kind, torch.Generator):
            return _read_torch_generator
    for base, read in READERS:
        if issubclass(kind, base):
            return read
    return _read_nothing if _package(kind) in OPAQUE else _read_object


def _read_nothing(_: Any) -> Part:
    return [], None


def _read_tensor(thing: Any) -> Part:
    from onnxpack.exporters.torch.patch.tensors import read_tensor

    children, restore = read_tensor(thing)
    attributes, put_back = _read_object(thing)
    return [*children, *attributes], partial(_all, [restore, put_back])


def _read_script(thing: Any) -> Part:
    """Read a scripted module, which keeps its tensors in C++."""
    attributes, restore = _read_object(thing)
    return [*attributes, *thing.parameters(), *thing.buffers()], restore


def _read_torch_generator(thing: Any) -> Part:
    return [], partial(thing.set_state, thing.get_state())


def _package(kind: Any) -> str:
    return str(getattr(kind, "__module__", "")).partition(".")[0]


def _read_object(thing: Any) -> tuple[list[Any], Restore]:
    """Read the attributes of an instance, and its class if that is the user's own."""
    kind = type(thing)
    children: list[Any] = [kind]
    restorations: list[Restore] = []
    try:
        attributes = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        attributes = None
    if type(attributes) is dict:
        more, restore = _read_dict(attributes)
        children += more
        restorations.append(restore)
    slots = _slots(thing)
    children += [value for _, value in slots]
    if slots:
        restorations.append(partial(_restore_slots, thing, slots))
    return children, partial(_all, restorations)


def _all(restorations: list[Restore]) -> None:
    for restore in restorations:
        restore()


def _slots(thing: Any) -> list[tuple[Any, Any]]:
    """Return the descriptor of each slot, and its value."""
    kinds = type(thing).__mro__ if _package(type(thing)) not in OPAQUE else ()
    return [
        (slot, _slot(slot, thing))
        for kind in kinds
        for slot in vars(kind).values()
        if type(slot) is MemberDescriptorType
    ]


def _slot(slot: Any, thing: Any) -> Any:
    """Return the value of a slot; a marker if the slot is empty."""
    try:
        return slot.__get__(thing)
    except AttributeError:
        return _EMPTY


def _restore_slots(thing: Any, slots: list[tuple[Any, Any]]) -> None:
    for slot, value in slots:
        if _slot(slot, thing) is value:
            continue
        if value is _EMPTY:
            slot.__delete__(thing)
        else:
            slot.__set__(thing, value)


def _read_dict(thing: dict[Any, Any]) -> tuple[list[Any], Restore]:
    base: Any = OrderedDict if issubclass(type(thing), OrderedDict) else dict
    items = list(base.items(thing))
    return [*base.keys(thing), *base.values(thing)], partial(_restore_dict, base, thing, items)


def _restore_dict(base: Any, thing: dict[Any, Any], items: list[tuple[Any, Any]]) -> None:
    now = list(base.items(thing))
    if _same([x for pair in now for x in pair], [x for pair in items for x in pair]):
        return
    base.clear(thing)
    for key, value in items:
        base.__setitem__(thing, key, value)


def _read_list(thing: list[Any]) -> Part:
    content = list.copy(thing)
    return content, partial(_restore_list, thing, content)


def _restore_list(thing: list[Any], content: list[Any]) -> None:
    if not _same(list.copy(thing), content):
        list.__setitem__(thing, slice(None), content)


def _read_deque(thing: deque[Any]) -> Part:
    content = list(deque.__iter__(thing))
    return content, partial(_restore_deque, thing, content)


def _restore_deque(thing: deque[Any], content: list[Any]) -> None:
    if not _same(list(deque.__iter__(thing)), content):
        deque.clear(thing)
        deque.extend(thing, content)


def _read_set(thing: set[Any]) -> Part:
    content = set.copy(thing)
    return list(set.__iter__(content)), partial(_restore_set, thing, content)


def _restore_set(thing: set[Any], content: set[Any]) -> None:
    if {id(each) for each in set.__iter__(thing)} != {id(each) for each in set.__iter__(content)}:
        set.clear(thing)
        set.update(thing, content)


def _same(now: list[Any], before: list[Any]) -> bool:
    """Return whether two lists hold the same objects; ``==`` would call the user's ``__eq__``."""
    return len(now) == len(before) and all(map(_is, now, before))


def _is(one: Any, other: Any) -> bool:
    return one is other


def _read_tuple(thing: Any) -> Part:
    return list(tuple.__iter__(thing) if isinstance(thing, tuple) else thing), None


def _read_array(thing: np.ndarray[Any, Any]) -> Part:
    if thing.dtype.hasobject:
        return list(thing.flat), None
    if type(thing) is not np.ndarray or not thing.flags.writeable or thing.nbytes > LARGEST_ARRAY:
        return [], None
    return [], partial(_restore_array, thing, thing.copy())


def _restore_array(thing: np.ndarray[Any, Any], content: np.ndarray[Any, Any]) -> None:
    if thing.shape != content.shape or thing.tobytes() != content.tobytes():
        thing.resize(content.shape, refcheck=False)
        thing[...] = content


def _read_function(thing: FunctionType) -> Part:
    """Read what a function keeps: in its closure, its defaults, its attributes, in globals."""
    if _package(thing) in LIBRARIES:
        return [], None
    kept = [*(thing.__closure__ or ()), thing.__defaults__, thing.__kwdefaults__, thing.__dict__]
    names, stored = _global_names(thing.__code__)
    home = thing.__globals__
    before = {name: home[name] for name in stored if name in home}
    read = (home[name] for name in names if name in home)
    return [*kept, *read], partial(_restore_globals, home, before) if before else None


def _global_names(code: CodeType) -> tuple[set[str], set[str]]:
    """Return the names that a function reads from globals, and those that it assigns there."""
    names, stored = set(code.co_names), set()
    if STORE_GLOBAL in code.co_code[::2]:
        instructions = dis.get_instructions(code)
        stored = {each.argval for each in instructions if each.opcode == STORE_GLOBAL}
    for inner in code.co_consts:
        if type(inner) is CodeType:
            more, and_stored = _global_names(inner)
            names, stored = names | more, stored | and_stored
    return names, stored


def _restore_globals(home: dict[str, Any], before: dict[str, Any]) -> None:
    for name, value in before.items():
        if home.get(name) is not value:
            home[name] = value


def _read_cell(thing: CellType) -> Part:
    try:
        content = thing.cell_contents
    except ValueError:  # not filled yet
        return [], None
    return [content], partial(setattr, thing, "cell_contents", content)


def _read_class(thing: type) -> Part:
    """Read the attributes of a class of the user's: a counter or a cache may be kept there."""
    if _package(thing) in LIBRARIES:
        return [], None
    kept = {name: value for name, value in vars(thing).items() if name not in KEPT_BY_PYTHON}
    return [*thing.__bases__, *kept.values()], partial(_restore_class, thing, kept)


def _restore_class(thing: type, kept: dict[str, Any]) -> None:
    for name in set(vars(thing)) - kept.keys() - KEPT_BY_PYTHON:
        type.__delattr__(thing, name)
    for name, value in kept.items():
        if vars(thing).get(name) is not value:
            type.__setattr__(thing, name, value)


def _read_partial(thing: partial[Any]) -> Part:
    return [thing.func, thing.args, thing.keywords], None


def _read_method(thing: MethodType) -> Part:
    return [thing.__self__, thing.__func__], None


def _read_random(thing: random.Random) -> Part:
    return [], partial(thing.setstate, thing.getstate())


def _read_generator(thing: np.random.Generator) -> Part:
    bits = thing.bit_generator
    return [], partial(setattr, bits, "state", bits.state)


def _read_random_state(thing: np.random.RandomState) -> Part:
    return [], partial(thing.set_state, thing.get_state())


READERS: tuple[tuple[type, Callable[[Any], Part]], ...] = (
    (dict, _read_dict),
    (list, _read_list),
    (tuple, _read_tuple),
    (frozenset, _read_tuple),
    (set, _read_set),
    (deque, _read_deque),
    (np.ndarray, _read_array),
    (type, _read_class),
    (FunctionType, _read_function),
    (MethodType, _read_method),
    (CellType, _read_cell),
    (partial, _read_partial),
    (SimpleNamespace, _read_object),
    (random.Random, _read_random),
    (np.random.Generator, _read_generator),
    (np.random.RandomState, _read_random_state),
)
"""The function that reads each kind of object; the first that fits is used."""
