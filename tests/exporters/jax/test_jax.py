"""JAX: what is taken, names, constants, control flow, random numbers, x64, what is refused."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from flax import linen, nnx

import onnxpack
from onnxpack.errors import ExportError, NondeterministicError, SampleError, TargetError
from onnxpack.exporters.jax.exporter import JaxExporter
from onnxpack.exporters.jax.folded import folded
from onnxpack.exporters.target.load import load_target
from onnxpack.pack.model import Pack

W = np.random.default_rng(1).standard_normal((8, 4)).astype(np.float32)


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def held(pack: Pack, function: Any, *inputs: Any) -> None:
    session = onnxruntime.InferenceSession(pack.model_path, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]
    found = session.run(None, dict(zip(names, inputs, strict=True)))
    for wanted, output in zip(jax.tree.leaves(function(*inputs)), found, strict=True):
        np.testing.assert_allclose(output, np.asarray(wanted), rtol=1e-3, atol=1e-5)


@jax.jit
def predict(params: Any, x: Any) -> Any:
    return jnp.tanh(x @ params["w"])


class Flax(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.one = nnx.Linear(8, 4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.norm(self.drop(self.one(x)))


class Linen(linen.Module):
    @linen.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        x = linen.max_pool(linen.Conv(4, (3, 3))(x), (2, 2), strides=(2, 2))
        x = linen.BatchNorm(use_running_average=not train)(x)
        return linen.Dense(3)(x.reshape(x.shape[0], -1))


def linen_pair() -> tuple[Any, Any]:
    module = Linen()
    return module, module.init(jax.random.key(0), noise(1, 8, 8, 1))


def test_what_is_taken() -> None:
    takes = JaxExporter().accepts
    module, variables = linen_pair()
    assert takes(predict)
    assert takes(functools.partial(predict, {"w": W}))
    assert takes(Flax())
    assert takes((module, variables))
    assert takes(functools.partial(module.apply, variables))
    assert takes(eqx.nn.MLP(4, 3, 8, 1, key=jax.random.key(0)))
    assert not takes(lambda x: x)
    assert not takes(functools.partial(print, 3))
    assert not takes((3, variables))


def test_a_plain_function_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(TargetError):
        onnxpack.export(lambda x: x, noise(2, 8), tmp_path / "pack")


def test_names_of_trees(tmp_path: Path) -> None:
    def both(batch: Any, scale: Any) -> Any:
        return {"sum": (batch["a"] + batch["b"]) * scale, "each": (batch["a"], batch["b"])}

    sample = ({"a": noise(2, 3), "b": noise(2, 3)}, noise(2, 1))
    pack = onnxpack.export(jax.jit(both), sample, tmp_path / "pack")
    assert pack.manifest is not None
    signature = pack.manifest.signature
    assert [spec.name for spec in signature.inputs] == ["batch_a", "batch_b", "scale"]
    assert [spec.name for spec in signature.outputs] == ["each_0", "each_1", "sum"]


def test_what_is_no_array_is_held_constant() -> None:
    function = jax.jit(lambda x, power: x**power, static_argnames="power")
    with JaxExporter().open(function, {"x": noise(2, 3), "power": 2}) as subject:
        assert list(subject.sample) == ["x"]
        assert subject.notes == ("argument 'power' is fixed at 2",)
        np.testing.assert_allclose(
            subject.run(subject.sample)["output"], subject.sample["x"] ** 2, rtol=1e-6
        )


def test_flax_rests_and_is_put_back(tmp_path: Path) -> None:
    net = Flax()
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(net, nnx.Param)))
    pack = onnxpack.export(net, noise(2, 8), tmp_path / "pack")
    assert net.drop.deterministic is False
    assert net.norm.use_running_average is False
    after = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(net, nnx.Param)))
    jax.tree.map(np.testing.assert_array_equal, before, after)
    net.drop.deterministic = net.norm.use_running_average = True
    held(pack, net, noise(7, 8, seed=3))


class Counting(nnx.Module):
    def __init__(self) -> None:
        self.calls = nnx.Variable(jnp.zeros(()))

    def __call__(self, x: Any) -> Any:
        self.calls[...] = self.calls[...] + 1
        return x * self.calls[...]


def test_a_state_is_refused_and_put_back(tmp_path: Path) -> None:
    net = Counting()
    with pytest.raises(NondeterministicError):
        onnxpack.export(net, noise(2, 8), tmp_path / "pack")
    assert float(net.calls[...]) == 0


def test_linen_with_pooling_by_position(tmp_path: Path) -> None:
    module, variables = linen_pair()
    pack = onnxpack.export((module, variables), noise(2, 8, 8, 1), tmp_path / "pack")
    held(pack, functools.partial(module.apply, variables), noise(5, 8, 8, 1, seed=2))
    assert pack.manifest is not None
    assert pack.manifest.source.model_class.endswith(".Linen")


def test_equinox_rests(tmp_path: Path) -> None:
    net = eqx.nn.Sequential([eqx.nn.Linear(8, 4, key=jax.random.key(0)), eqx.nn.Dropout(0.5)])
    still = jax.vmap(eqx.nn.inference_mode(net))
    pack = onnxpack.export(jax.jit(still), noise(2, 8), tmp_path / "pack")
    held(pack, still, noise(7, 8, seed=3))


@jax.jit
def scanned(x: Any) -> Any:
    start = jax.random.normal(jax.random.key(0), (4,))
    _, seen = jax.lax.scan(lambda c, row: (jnp.tanh(c + row @ W), c.sum(-1)),
                           jnp.zeros((x.shape[0], 4)) + start, x.swapaxes(0, 1))  # fmt: skip
    return seen


@jax.jit
def scanned_back(x: Any) -> Any:
    step = lambda c, row: (jnp.tanh(c + row @ W), c.sum(-1))  # noqa: E731
    last, seen = jax.lax.scan(step, jnp.zeros((x.shape[0], 4)), x.swapaxes(0, 1), reverse=True)
    return last, seen


@jax.jit
def switched(x: Any) -> Any:
    place = jnp.clip(x.sum().astype(jnp.int32), 0, 2)
    return jax.lax.switch(place, [lambda a: a, lambda a: -a, lambda a: a * a], x)


@jax.jit
def drawn(x: Any) -> Any:
    return x + jax.random.normal(jax.random.key(0), (8,))


@pytest.mark.parametrize(
    ("function", "shape"),
    [(scanned, (6, 8)), (scanned_back, (6, 8)), (switched, (8,)), (drawn, (8,))],
)
def test_control_flow_and_fixed_keys(function: Any, shape: Any, tmp_path: Path) -> None:
    pack = onnxpack.export(function, noise(2, *shape), tmp_path / "pack")
    for seed, rows in enumerate((1, 4, 7)):
        held(pack, function, noise(rows, *shape, seed=seed))


def test_integers_below_zero(tmp_path: Path) -> None:
    divided = jax.jit(lambda x: (x // 3, x % 3, jax.lax.rem(x, 3)))
    numbers = np.array([[7, -7], [-1, 0], [5, -6]], np.int32)
    held(onnxpack.export(divided, numbers, tmp_path / "pack"), divided, numbers[:1] - 9)


def test_what_no_input_decides_is_folded() -> None:
    closed = jax.make_jaxpr(folded(lambda x: (drawn(x),)))(noise(2, 8))
    assert [step.primitive.name for step in closed.jaxpr.eqns][-1] == "add"
    assert not any("random" in step.primitive.name for step in closed.jaxpr.eqns)


@jax.jit
def by_size(x: Any) -> Any:
    return x * 2 if x.shape[0] > 3 else x


@jax.jit
def frozen(x: Any) -> Any:
    return x + jnp.ones((2, 1))


def test_a_size_that_decides_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        onnxpack.export(by_size, noise(2, 8), tmp_path / "pack")
    assert "static=True" in caught.value.remedy
    assert onnxpack.export(by_size, noise(2, 8), tmp_path / "fixed", static=True)


def test_a_frozen_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises((ExportError, SampleError)):
        onnxpack.export(frozen, noise(2, 8), tmp_path / "pack")


def test_zeros_of_both_signs(tmp_path: Path) -> None:
    best = jax.jit(lambda x: jax.lax.top_k(x, 3)[1])
    with pytest.raises(ExportError) as caught:
        onnxpack.export(best, noise(2, 8), tmp_path / "pack")
    assert "jnp.where(x == 0, 0, x)" in caught.value.remedy
    safe = jax.jit(lambda x: best(jnp.where(x == 0, 0, x)))
    held(onnxpack.export(safe, noise(2, 8), tmp_path / "safe"), safe, np.zeros((4, 8), np.float32))


def test_bfloat16_is_refused(tmp_path: Path) -> None:
    half = jax.jit(lambda x: (x.astype(jnp.bfloat16) @ W.astype(jnp.bfloat16)).astype(jnp.float32))
    with pytest.raises(ExportError) as caught:
        onnxpack.export(half, noise(2, 8), tmp_path / "pack")
    assert "float32" in caught.value.remedy
    with pytest.raises(ExportError, match="bfloat16"):
        onnxpack.export(predict, (jnp.zeros((2, 8), jnp.bfloat16),) * 2, tmp_path / "pack")


def test_float64_is_float32_without_x64() -> None:
    with JaxExporter().open(jax.jit(jnp.sin), noise(2, 8).astype(np.float64)) as subject:
        (array,) = subject.sample.values()
        assert array.dtype == np.float32
        exact = subject.run_float64(subject.sample)
        assert exact is not None
        assert exact["output"].dtype == np.float64


@pytest.fixture
def _x64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


@pytest.mark.usefixtures("_x64")
def test_x64(tmp_path: Path) -> None:
    wide = jax.jit(lambda x: jnp.tanh(x @ W.astype(np.float64)))
    x = noise(2, 8).astype(np.float64)
    pack = onnxpack.export(wide, x, tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.signature.inputs[0].dtype == "float64"
    held(pack, wide, noise(5, 8, seed=1).astype(np.float64))


@pytest.mark.parametrize("sample", [None, (), {"z": noise(2, 8)}, (noise(2, 8),) * 3, 3.0])
def test_samples_that_do_not_fit(sample: Any, tmp_path: Path) -> None:
    with pytest.raises(SampleError):
        onnxpack.export(functools.partial(predict, {"w": W}), sample, tmp_path / "pack")


def test_jnp_is_left_as_it_was(tmp_path: Path) -> None:
    before = dict(vars(jnp))
    onnxpack.export(jax.jit(lambda x: x.sum(1)), noise(2, 8), tmp_path / "pack")
    assert {name for name, own in before.items() if vars(jnp).get(name) is not own} == set()
    np.testing.assert_allclose(jnp.cumsum(jnp.ones(3), 0), [1, 2, 3])


def test_a_jitted_function_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("import jax\n\n@jax.jit\ndef predict(x):\n    return x * 2\n")
    loaded = load_target(f"{tmp_path / 'net.py'}:predict")
    assert loaded.name == "predict"
    assert JaxExporter().accepts(loaded.model)


def test_floats_divided_down(tmp_path: Path) -> None:
    function = jax.jit(lambda x: x // 3)
    held(onnxpack.export(function, noise(2, 8), tmp_path / "pack"), function, noise(5, 8) * 9)


def test_a_plain_function_is_refused_with_a_cure_that_works(tmp_path: Path) -> None:
    with pytest.raises(TargetError) as caught:
        onnxpack.export(lambda x: x * 2, noise(2, 8), tmp_path / "pack")
    assert "onnxpack.export(jax.jit(function), sample, ...)" in str(caught.value.remedy)


def test_a_loop_that_may_not_end_is_asked_nothing_far_from_the_sample(tmp_path: Path) -> None:
    """Infinity halved is infinity: the function itself would never answer."""

    def halved(x: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda c: jnp.abs(c).sum() > 1, lambda c: c * 0.5, x)

    pack = onnxpack.export(jax.jit(halved), jnp.ones((2, 3)), tmp_path / "pack")
    assert pack.manifest is not None
    assert any("loop" in note for note in pack.manifest.notes)
    names = {case.name for case in pack.manifest.parity.cases}
    assert names.isdisjoint({"×1e4", "×30", "negated"})


def test_a_bound_module_of_linen(tmp_path: Path) -> None:
    module = linen.Dense(3)
    variables = module.init(jax.random.key(0), np.ones((1, 4), np.float32))
    pack = onnxpack.export(module.bind(variables), np.ones((2, 4), np.float32), tmp_path / "pack")
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    wanted = module.apply(variables, x)
    np.testing.assert_allclose(np.asarray(onnxpack.Model(pack)(x)), wanted, rtol=1e-4, atol=1e-6)


def test_a_module_of_linen_without_variables(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="has no variables") as caught:
        onnxpack.export(linen.Dense(3), np.ones((2, 4), np.float32), tmp_path / "pack")
    assert "(model, variables)" in caught.value.remedy
