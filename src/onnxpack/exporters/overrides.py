"""Find methods of a model that are not the library's own.

An exporter writes a graph from a model's fitted attributes, because it knows how the library's
methods use them. A subclass with a ``predict`` of its own, an instance whose ``predict`` was
replaced, and a library class with a patched method give other answers with the same attributes. So
the attributes are used only if the library defines every method.

The rule is closed: each attribute that the library's class defines must resolve to the library's
own object. Only names in :data:`HARMLESS`, which train, describe or copy a model, may be replaced.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from inspect import getattr_static, isabstract
from types import (
    BuiltinFunctionType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    WrapperDescriptorType,
)
from typing import Any

from onnxpack.errors import ExportError

ANSWERS = {
    "__getattr__", "__getattribute__", "decision_function", "inverse_transform", "predict",
    "predict_log_proba", "predict_proba", "score_samples", "transform",
}  # fmt: skip
"""Names that affect an answer even if the library's class lacks them."""
HARMLESS = re.compile(
    r"""
    fit | fit_\w+ | partial_fit | _fit\w* | _partial_fit | score | _more_tags | get_params
    | set_\w+ | _set_params | _get_param\w* | get_feature_names_out | get_metadata_routing
    | _get_metadata_request | _parameter_constraints | _estimator_type | _repr_\w+ | _html_repr
    | _doc_link\w* | _get_doc_link | _sk_visual_block_ | _sklearn_auto_wrap_output_keys | _abc_impl
    | \w*__metadata_request__\w+ | save_\w+ | plot\w* | copy | eval\w*
    | __(?!getattr__|getattribute__|call__|len__|iter__|getitem__|array)\w+__
    """,
    re.VERBOSE,
)
"""Attributes that no answer of a fitted model depends on."""
NATIVE = (
    BuiltinFunctionType, GetSetDescriptorType, MemberDescriptorType, MethodDescriptorType,
    WrapperDescriptorType,
)  # fmt: skip
"""Types of functions of compiled code, which no user writes in Python."""
RESTORE = "export in a process in which no method of the library is replaced"


@dataclass(frozen=True, slots=True)
class Override:
    """An attribute that affects a model's answers, and that the library did not define.

    Attributes:
        name: the name of the attribute.
        where: what defines the attribute: ``class Guard``, ``this instance`` or
            ``a patch of Ridge``.
        remedy: what to type to export the rest of the model; empty if that is not known.
    """

    name: str
    where: str
    remedy: str = ""


def library_class(model: object, packages: Collection[str]) -> type:
    """Return the first class among a model's classes that a library defines, or ``object``.

    ``__module__`` is not enough: some users set it to keep pickles readable.
    """
    return next(kind for kind in type(model).__mro__ if kind is object or _is_of(kind, packages))


def find_override(models: Iterable[object], packages: Collection[str]) -> Override | None:
    """Return the first attribute of some models that is the user's own and affects answers.

    Args:
        models: the models to check; each class is checked only once, though a forest has hundreds
            of trees of one class.
        packages: the libraries whose methods the exporter knows, such as ``{"sklearn"}``.
    """
    names: dict[type, set[str]] = {}
    for model in models:
        kind, known = type(model), library_class(model, packages)
        if kind not in names:
            names[kind] = _names(known) | ANSWERS
            found = _of_class(kind, known, names[kind], packages)
            if found:
                return found
        for name in sorted(names[kind] & getattr(model, "__dict__", {}).keys()):
            theirs = getattr_static(known, name, None)
            replaces = callable(vars(model)[name]) or any(True for _ in _functions(theirs))
            if replaces and not hasattr(theirs, "__set__"):  # a property takes precedence
                return Override(f"{kind.__qualname__}.{name}", "this instance", f"del model.{name}")
    return None


def _of_class(
    kind: type, known: type, names: Iterable[str], packages: Collection[str]
) -> Override | None:
    for name in sorted(names):
        own, theirs = (getattr_static(each, name, None) for each in (kind, known))
        title = f"{kind.__qualname__}.{name}"
        if own is not theirs:
            owner = next(each for each in kind.__mro__ if name in each.__dict__)
            return Override(title, f"class {owner.__qualname__}", _plain(known))
        if not all(defined_in(each, packages) for each in _functions(theirs)):
            return Override(title, f"a patch of {known.__qualname__}", RESTORE)
    return None


def refuse_overrides(models: Iterable[object], packages: Collection[str]) -> None:
    """Raise an error if the user's code computes answers of one of the models.

    Raises:
        ExportError: a model has such an attribute.
    """
    found = find_override(models, packages)
    if found:
        raise ExportError(
            f"{found.name} is not the library's own: {found.where} defines it, and a graph cannot "
            "hold Python code.",
            remedy=found.remedy,
        )


def _plain(known: type) -> str:
    """Return how to make an object of the library's class with the same fitted attributes."""
    if isabstract(known):
        return ""
    return (
        f"export what it inherits, and compute the rest from the pack's answers: import copy, "
        f"{known.__module__}; plain = copy.copy(model); "
        f"plain.__class__ = {known.__module__}.{known.__qualname__}; onnxpack.export(plain, ...)"
    )


def _is_of(kind: type, packages: Collection[str]) -> bool:
    home = kind.__module__
    if home.partition(".")[0] not in packages:
        return False
    return getattr(sys.modules.get(home), kind.__qualname__, None) is kind


def _names(known: type) -> set[str]:
    """Return the attributes of a library's class, except harmless ones and those of ``object``."""
    every = set().union(*(kind.__dict__ for kind in known.__mro__ if kind is not object))
    return {name for name in every if not HARMLESS.fullmatch(name)}


def _functions(attribute: Any) -> Iterator[Any]:
    """Yield the functions that an attribute of a class runs; nothing for data."""
    if isinstance(attribute, staticmethod | classmethod | MethodType):
        yield from _functions(attribute.__func__)
    elif isinstance(attribute, property):
        for each in (attribute.fget, attribute.fset):
            yield from _functions(each)
    elif isinstance(attribute, functools.cached_property | functools.partial):
        yield from _functions(attribute.func)
    elif isinstance(attribute, NATIVE):
        return
    elif type(attribute).__module__ == "sklearn.utils._available_if":
        yield from (attribute.fn, attribute.check)
        yield from _functions(attribute.fn)
    elif callable(attribute) or hasattr(type(attribute), "__get__"):
        yield attribute
        # A wrapper made by functools.wraps has the name and the module of what it wraps.
        yield from _functions(getattr(attribute, "__wrapped__", None))


def defined_in(function: Any, packages: Collection[str]) -> bool:
    """Return whether a function's own globals, not its ``__module__``, are a library's."""
    if not isinstance(function, FunctionType):
        home = str(getattr(function, "__module__", "") or type(function).__module__)
    else:
        home = str(function.__globals__.get("__name__", ""))
    return home.partition(".")[0] in packages
