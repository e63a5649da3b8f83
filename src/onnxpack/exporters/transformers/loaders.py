"""Load a folder with a ``config.json`` for the command line."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from onnxpack.errors import MissingExtraError, TargetError
from onnxpack.exporters.silence import hidden
from onnxpack.exporters.target.attribute import load_attribute
from onnxpack.exporters.target.loaded import LoadedTarget
from onnxpack.exporters.transformers.contained import (
    check_folder,
    contained,
    in_python,
    offline,
    read_json,
    refuse_kernels,
)
from onnxpack.floors import require_floor

TRUST = "if you trust where the folder came from, add --trust: it lets the folder run code"


def folder(path: Path, class_name: str | None, trust: bool) -> LoadedTarget:
    """Load the model of a transformers folder in float32; nothing is downloaded.

    Raises:
        TargetError: the model's class is unknown, or the folder is not trusted and holds code or
            pickled weights, or needs a file that lies elsewhere.
        MissingExtraError: transformers is not installed.
    """
    if find_spec("transformers") is None:
        raise MissingExtraError("transformers", extra="transformers")
    if not trust:
        require_floor("transformers")
        check_folder(path)
    config = read_json(path / "config.json")
    refuse_kernels(config, path)
    cls = load_attribute(class_name) if class_name else _class_of(config, path, trust=trust)
    if not hasattr(cls, "from_pretrained"):
        raise TargetError(
            f"{cls!r} is not a transformers class: it has no from_pretrained.",
            remedy="--class transformers:BertModel",
        )
    model = _load(cls, path, trust=trust)
    stored = config.get("dtype") or config.get("torch_dtype")
    wide = stored in (None, "float32")
    notes = () if wide else (f"the weights, stored as {stored}, are converted to float32",)
    pooled = (path / "modules.json").is_file()
    beyond = (
        "modules.json lists steps after the model, such as pooling; they are not part of the pack"
    )
    return LoadedTarget(model, path.resolve().name, notes=(*notes, *((beyond,) if pooled else ())))


def _class_of(config: dict[str, Any], path: Path, *, trust: bool) -> Any:
    """Return the class that the folder was saved from."""
    import transformers

    if config.get("auto_map") and trust:
        return transformers.AutoModel
    names = config.get("architectures") or ["none"]
    name = names[0] if isinstance(names, list) else names
    cls = getattr(transformers, name, None) if isinstance(name, str) else None
    if cls is not None and issubclass(cls, transformers.PreTrainedModel):
        return cls
    own = bool(config.get("auto_map"))
    raise TargetError(
        f"{path} names the architecture {name!r}, which transformers does not "
        f"have{'; the folder brings code of its own' if own else ''}.",
        remedy=TRUST if own else "name the class: --class transformers:AutoModel",
    )


def _load(cls: Any, path: Path, *, trust: bool) -> Any:
    import torch
    from huggingface_hub.errors import OfflineModeIsEnabled

    try:
        with hidden(), offline() if trust else contained(path):
            model, info = cls.from_pretrained(
                path,
                output_loading_info=True,
                local_files_only=True,
                trust_remote_code=trust,
                use_kernels=False,
                use_safetensors=None if trust else True,
                dtype=torch.float32,
            )
    except TargetError:
        raise
    except OfflineModeIsEnabled as exc:
        raise TargetError(
            f"{path} needs more than is in the folder, and nothing is fetched: "
            f"{str(exc).partition(': ')[0]}.",
            remedy=in_python(path),
        ) from exc
    except Exception as exc:
        pickled = not trust and any(path.glob("*.bin"))
        raise TargetError(
            f"{path} cannot be loaded into {cls.__name__}: {exc}",
            remedy=f"{TRUST}; pickled weights can run any code" if pickled else "",
        ) from exc
    _refuse_random(info, cls, path)
    return model


def _refuse_random(info: dict[str, Any], cls: Any, path: Path) -> None:
    """Refuse a model some of whose weights are not in the folder: transformers makes them up."""
    missing = sorted(map(str, info["missing_keys"]))
    missing += sorted(str(each[0]) for each in info["mismatched_keys"])
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise TargetError(
            f"{path} has no weights for {', '.join(missing[:3])}{more} of {cls.__name__}, which "
            "would be random.",
            remedy="name the class that the folder was trained as: --class transformers:AutoModel",
        )
