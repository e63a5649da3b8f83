"""Load ``module:attr`` and ``file.py:attr``, which the user's own code defines."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from difflib import get_close_matches
from functools import reduce
from itertools import chain, count
from pathlib import Path
from types import ModuleType
from typing import Any

from onnxpack.errors import TargetError


def load_attribute(text: str) -> Any:
    """Return the object that ``module:attr`` or ``path/file.py:attr`` names.

    ``attr`` may contain dots. The folder of the file, or the current one, is searched for imports,
    as ``python file.py`` does. Importing runs the user's code, as the user asked for by naming it.

    Raises:
        TargetError: the module cannot be imported, or has no such attribute.
    """
    home, _, path = text.rpartition(":")
    if not home or not path:
        raise TargetError(
            f"{text!r} is not module:attr or file.py:attr.", remedy="train.py:make_model"
        )
    module = _load_module(home)
    try:
        return reduce(getattr, path.split("."), module)
    except AttributeError as exc:
        public = sorted(name for name in vars(module) if not name.startswith("_"))
        near = get_close_matches(path, public, n=1)
        raise TargetError(
            f"{home} has no {path!r}; it has: {', '.join(public[:20]) or 'nothing'}.",
            remedy=f"{home}:{near[0]}" if near else "",
        ) from exc


def make_importable(folder: Path) -> None:
    """Search a folder for imports, before all others; it stays so until the process ends."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _load_module(home: str) -> ModuleType:
    file = Path(home)
    is_file = file.suffix == ".py"
    if is_file and not file.is_file():
        raise TargetError(f"the file {home} does not exist.")
    make_importable(file.resolve().parent if is_file else Path.cwd())
    try:
        return _load_file(file.resolve()) if is_file else importlib.import_module(home)
    except (Exception, SystemExit) as exc:
        absent = exc.name if isinstance(exc, ModuleNotFoundError) else None
        raise TargetError(
            f"{home} cannot be imported: {type(exc).__name__}: {exc}",
            remedy=f"install what {absent!r} comes from, or cd to its folder" if absent else "",
        ) from exc


def _load_file(file: Path) -> ModuleType:
    """Return the module of this very file, named by its stem, or with a number if that is taken."""
    names = chain([file.stem], (f"{file.stem}_{number}" for number in count(2)))
    name = next(name for name in names if sys.modules.get(name) is None or _is_of(name, file))
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python module")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_of(name: str, file: Path) -> bool:
    known = getattr(sys.modules[name], "__file__", None)
    return known is not None and Path(known).resolve() == file
