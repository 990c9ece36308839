"""llama.cpp's own server, as xllamacpp runs it: `llama_cpp_server.py FILE PORT SLOTS CONTEXT [KEY]`."""

from __future__ import annotations

import sys
import threading

import xllamacpp


def main(file: str, port: str, slots: str, context: str, key: str = "") -> None:
    """Serves on loopback until it is killed. context: tokens a slot."""
    options = xllamacpp.CommonParams()
    options.model.path = file
    options.port, options.n_parallel, options.n_ctx = int(port), int(slots), int(slots) * int(context)
    options.n_gpu_layers, options.warmup, options.ui, options.cache_ram_mib = 0, False, False, 64
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = 1
    options.model_alias = {"smollm2"}
    # keys and values in fp32, so that what differs from icl's own reading is the products
    options.cache_type_k = options.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    options.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if key:
        options.api_keys = [key]
    server = xllamacpp.Server(options)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
