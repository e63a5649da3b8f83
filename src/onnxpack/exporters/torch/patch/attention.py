"""Write the attention of transformers as plain operators while a graph is made.

PyTorch's fused attention answers zero for a row in which every key is masked, such as the padding
at the left of a causal model. The graphs that its exporters make of it give another answer there.
And transformers omits a mask if its values allow it, which a graph cannot. So in the graph, and
only there, "sdpa" is written out, and every mask is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import masking_utils
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from onnxpack.exporters.replaced import existing, replaced, replaced_item
from onnxpack.parity.subject import Probes

FUSED, PLAIN, GROUPED = "sdpa", "eager", "grouped_mm"


def with_attention_written_out(make: Callable[[Path], Probes]) -> Callable[[Path], Probes]:
    """Return a function that makes the same graph, but with :func:`written_out`."""

    def made(to: Path) -> Probes:
        with written_out():
            return make(to)

    return made


@contextmanager
def written_out() -> Iterator[None]:
    """Replace every "sdpa" of transformers by plain operators with a mask."""
    with ExitStack() as stack:
        stack.enter_context(replaced(masking_utils, "prepare_padding_mask", _as_long_as_the_tokens))
        for interface, name, own, ours in _stand_ins():
            # What the user registered under the name is part of the model, and stays.
            if interface.get(name) is own:
                local = existing(interface, "_local_mapping")
                stack.enter_context(replaced_item(local, name, ours))
        yield


def _stand_ins() -> Iterator[tuple[Any, str, Callable[..., Any], Callable[..., Any]]]:
    """Yield each registry of transformers, a name in it, its own function and the replacement.

    Mixtures of experts get no grouped product of matrices, which ONNX does not have.
    """
    yield ALL_ATTENTION_FUNCTIONS, FUSED, sdpa_attention_forward, attend
    for name, make in ((FUSED, sdpa_mask), (PLAIN, eager_mask)):
        yield ALL_MASK_ATTENTION_FUNCTIONS, name, make, partial(full_mask, make)
    try:
        from transformers.integrations import moe
    except ImportError:  # before there were mixtures with a choice
        return
    own = existing(moe, "grouped_mm_experts_forward", function=True)
    yield moe.ALL_EXPERTS_FUNCTIONS, GROUPED, own, moe.batched_mm_experts_forward


def full_mask(make: Callable[..., Any], *args: Any, **kwargs: Any) -> torch.Tensor | None:
    """Return the mask of transformers, even if the values at hand would allow to omit it."""
    kwargs["allow_is_causal_skip"] = False
    if kwargs.get("attention_mask") is not None:
        kwargs["allow_is_bidirectional_skip"] = False
    mask: torch.Tensor | None = make(*args, **kwargs)
    return mask


def _as_long_as_the_tokens(mask: torch.Tensor | None, *_: Any) -> torch.Tensor | None:
    """Return the padding mask unchanged: without a cache it has the length of the tokens."""
    return mask


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,  # noqa: ARG001 - by position; there is none in inference
    scaling: float | None = None,
    is_causal: bool | None = None,
    position_bias: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Return the answer of ``sdpa_attention_forward``, computed by plain operators."""
    groups = getattr(module, "num_key_value_groups", 1)
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    mask = attention_mask
    if position_bias is not None:
        from transformers.integrations.sdpa_attention import create_position_bias_mask

        mask = create_position_bias_mask(position_bias, mask, causal, query, key)
    elif mask is None and causal:
        mask = _causal(query, key)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    weights = _weights(query @ key.transpose(-1, -2) * scale, mask).to(value.dtype)
    return (weights @ value).transpose(1, 2).contiguous(), None


def _weights(scores: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return the softmax over keys that are not masked; zero if all are masked."""
    if mask is None:
        return scores.softmax(-1)
    if mask.dtype != torch.bool:
        return (scores + mask).softmax(-1)
    kept = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1)
    return kept.masked_fill(~mask, 0.0)


def _causal(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Return a mask in which each place sees itself and those before it."""
    rows = torch.arange(query.shape[2], device=query.device)
    columns = torch.arange(key.shape[2], device=key.device)
    return columns[None, :] <= rows[:, None]
