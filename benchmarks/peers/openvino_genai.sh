#!/usr/bin/env bash
# Installs openvino-genai in an environment of its own, exports the model and runs the workload files.
#   bash benchmarks/peers/openvino_genai.sh MODEL_FOLDER WORKLOADS OUT.json
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
model=$1 workloads=$2 out=$3
env=${ICL_PEERS:-$here/.env}/openvino
if [ ! -x "$env/bin/python" ]; then
  python3 -m venv "$env"
  "$env/bin/pip" install --quiet "openvino-genai==2026.4.1" "optimum[openvino]" ||
    "$env/bin/pip" install --quiet openvino-genai "optimum[openvino]"
  # not needed, and it breaks the import of transformers beside some builds of torch
  "$env/bin/pip" uninstall --quiet --yes torchvision || true
fi
exported=$model-openvino
if [ ! -f "$exported/openvino_model.xml" ]; then
  "$env/bin/optimum-cli" export openvino --model "$model" --task text-generation-with-past \
    --weight-format fp16 "$exported"
fi
exec "$env/bin/python" "$here/openvino_genai_run.py" "$exported" "$workloads" "$out"
