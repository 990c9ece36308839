"""GGUF files as models: the same distribution as in llama.cpp, or a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, GenerationConfig

from icl.cache import cache_folder
from icl.engine.loading.files import load_tokenizer, local_folder
from icl.engine.loading.gguf.convert import NOTES
from icl.engine.loading.gguf.file import GGUFFile
from icl.engine.loading.gguf.rope import llama3_factors
from icl.engine.loading.gguf.tokenizer import build_tokenizer
from icl.engine.loading.load import load_model
from icl.engine.loading.sources import resolve
from icl.errors import ModelError
from icl.types import ScoreRequest

from . import llama_cpp
from .gguf_files import HIDDEN, LAYERS, byte_level, sentencepiece, weights, write

NATS = 0.02
VOCABULARY = len(byte_level()["tokens"])
HALF = HIDDEN // 4 // 2
PROMPT = [int(i) for i in np.random.default_rng(1).integers(2, VOCABULARY - 1, 150)]
needs_llama_cpp = pytest.mark.skipif(
    not llama_cpp.available(), reason=f"the second reader, the package {llama_cpp.PACKAGE}, is not installed"
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICL_CACHE", str(tmp_path / "cache"))


def random(*shape: int) -> np.ndarray:
    return (np.random.default_rng(5).standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)


def per_block(drop: tuple[str, ...] = (), head: int = 16, **added: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The small Llama's tensors with others in each block ("attn_q__bias" for attn_q.bias)."""
    names = {f"blk.{i}.{n.replace('__', '.')}": shape for i in range(LAYERS) for n, shape in added.items()}
    made = weights(VOCABULARY, names, head=head)
    return {name: array for name, array in made.items() if not any(part in name for part in drop)}


QKV = {"attn_q__bias": (64,), "attn_k__bias": (32,), "attn_v__bias": (32,)}
NORMS = {"post_attention_norm__weight": (64,), "post_ffw_norm__weight": (64,)}
EXPERTS = {
    "ffn_gate_inp__weight": (4, 64),
    "ffn_gate_exps__weight": (4, 48, 64),
    "ffn_up_exps__weight": (4, 48, 64),
    "ffn_down_exps__weight": (4, 64, 48),
}
FUSED = {"attn_qkv__weight": (128, 64), "ffn_up__weight": (192, 64)}
APART = ("attn_q.", "attn_k.", "attn_v.", "ffn_gate.")
HEAD16 = {"attention.key_length": 16, "attention.value_length": 16}
YARN = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64}
LAYER_NORM = {"attention.layer_norm_rms_epsilon": None, "attention.layer_norm_epsilon": 1e-3}
LONG = {
    "rope_factors_long.weight": np.linspace(1, 6, HALF),
    "rope_factors_short.weight": np.linspace(1, 2, HALF),
}

Case = tuple[str, dict[str, Any], Callable[[], dict[str, np.ndarray]]]
CASES: dict[str, Case] = {
    "llama": ("llama", {}, per_block),
    "llama with a head of its own": (
        "llama",
        {},
        lambda: {**per_block(), "output.weight": random(VOCABULARY, 64)},
    ),
    "llama with wide heads": (
        "llama",
        {"attention.key_length": 32, "attention.value_length": 32, "rope.dimension_count": 32},
        lambda: per_block(head=32),
    ),
    "llama with some biases": ("llama", {}, lambda: per_block(**QKV)),
    "llama 3.1": (
        "llama",
        {},
        lambda: {**per_block(), "rope_freqs.weight": llama3_factors(1e4, HALF, 8.0, 1.0, 4.0, 64)},
    ),
    "llama 3.2": (
        "llama",
        {"rope.freq_base": 5e5},
        lambda: {**per_block(), "rope_freqs.weight": llama3_factors(5e5, HALF, 32.0, 1.0, 4.0, 8192)},
    ),
    "divisors by no formula": (
        "llama",
        {},
        lambda: {**per_block(), "rope_freqs.weight": np.linspace(1, 5, HALF)},
    ),
    "linear": ("llama", {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}, per_block),
    "linear in old files": ("llama", {"rope.scale_linear": 4.0}, per_block),
    "a factor switched off": ("llama", {"rope.scaling.type": "none", "rope.scaling.factor": 4.0}, per_block),
    "yarn": ("qwen2", YARN, lambda: per_block(**QKV)),
    "yarn with a scale": ("llama", {**YARN, "rope.scaling.attn_factor": 0.7}, per_block),
    "long factors": (
        "phi3",
        {
            "rope.dimension_count": 16,
            "rope.scaling.original_context_length": 64,
            "rope.scaling.attn_factor": 1.19,
        },
        lambda: {**per_block(APART, **FUSED), **LONG, "output.weight": random(VOCABULARY, 64)},
    ),
    "heads rotated in part": (
        "phi3",
        {"rope.dimension_count": 12},
        lambda: {**per_block(APART, **FUSED), "output.weight": random(VOCABULARY, 64)},
    ),
    "soft caps and windows": (
        "gemma2",
        {
            **HEAD16,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
            "attention.sliding_window": 32,
        },
        lambda: per_block(**NORMS),
    ),
    "a base for windows": (
        "gemma3",
        {**HEAD16, "attention.sliding_window": 32, "rope.freq_base": 1e6, "rope.freq_base_swa": 5e3},
        lambda: per_block(**NORMS, attn_q_norm__weight=(16,), attn_k_norm__weight=(16,)),
    ),
    "starcoder2's base": (
        "starcoder2",
        {**LAYER_NORM, "rope.freq_base": 1e6},
        lambda: {
            **per_block(("ffn_gate",), **QKV, attn_norm__bias=(64,)),
            **per_block_biases("attn_output", 64),
            **per_block_biases("ffn_norm", 64),
            **per_block_biases("ffn_up", 96),
            **per_block_biases("ffn_down", 64),
            "output_norm.bias": random(64),
        },
    ),
    "gpt2's positions": (
        "gpt2",
        {**LAYER_NORM, "rope.freq_base": None, "attention.head_count_kv": None},
        lambda: {
            **per_block(APART, attn_qkv__weight=(192, 64), attn_qkv__bias=(192,), attn_norm__bias=(64,)),
            **per_block_biases("attn_output", 64),
            **per_block_biases("ffn_norm", 64),
            **per_block_biases("ffn_up", 96),
            **per_block_biases("ffn_down", 64),
            "output_norm.bias": random(64),
            "position_embd.weight": random(256, 64),
        },
    ),
    "qwen3's experts": (
        "qwen3moe",
        {**HEAD16, "expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 48},
        lambda: per_block(
            ("ffn_gate.", "ffn_up.", "ffn_down."),
            **EXPERTS,
            attn_q_norm__weight=(16,),
            attn_k_norm__weight=(16,),
        ),
    ),
}


def per_block_biases(name: str, size: int) -> dict[str, np.ndarray]:
    return {f"blk.{i}.{name}.bias": random(size) for i in range(LAYERS)}


def made(folder: Path, case: Case) -> Path:
    architecture, settings, tensors = case
    arrays = {name: np.asarray(array, np.float32) for name, array in tensors().items()}
    return write(folder / "m.gguf", byte_level(), settings, arrays, architecture=architecture)


def following(path: Path, prompt: list[int]) -> np.ndarray:
    """Log-probabilities of what follows, by one plain forward."""
    model: Any = load_model(str(path), engine="naive")
    with torch.no_grad():
        logits = model.model(torch.tensor([prompt])).logits[0, -1].double()
    return torch.log_softmax(logits, -1).numpy()


@needs_llama_cpp
@pytest.mark.parametrize("name", CASES)
def test_a_file_gives_llama_cpps_distribution(name: str, tmp_path: Path) -> None:
    path = made(tmp_path, CASES[name])
    [expected] = llama_cpp.read(path, prompts=[PROMPT]).logprobs
    found = following(path, PROMPT)
    assert len(expected) == VOCABULARY
    assert max(abs(found[i] - p) for i, p in expected.items()) < NATS


def test_the_cases_are_no_other_way_alike(tmp_path: Path) -> None:
    """Else the test above could not fail: each scaling moves the distribution far."""
    plain, moved = made(tmp_path, CASES["llama"]), []
    first = following(plain, PROMPT)
    for name in ("llama 3.1", "divisors by no formula", "linear", "yarn with a scale"):
        (tmp_path / name).mkdir()
        moved.append(np.abs(following(made(tmp_path / name, CASES[name]), PROMPT) - first).max())
    assert min(moved) > 10 * NATS


@pytest.mark.parametrize(
    ("length", "base"),
    [(64, 1e4), (8192, 5e5), (1000, 1e4)],
    ids=["all between", "as published", "odd length"],
)
def test_llama_3s_formula_is_recognised(length: int, base: float, tmp_path: Path) -> None:
    factors = llama3_factors(base, HALF, 8.0, 1.0, 4.0, length).astype(np.float32)
    case: Case = ("llama", {"rope.freq_base": base}, lambda: {**per_block(), "rope_freqs.weight": factors})
    folder, _ = local_folder(resolve(str(made(tmp_path, case))))
    rope = json.loads((Path(folder) / "config.json").read_text())["rope_parameters"]
    assert rope["rope_type"] == "llama3"
    again = llama3_factors(
        base,
        HALF,
        rope["factor"],
        rope["low_freq_factor"],
        rope["high_freq_factor"],
        rope["original_max_position_embeddings"],
    )
    assert again == pytest.approx(factors, rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attention.scale": 0.5}, r"llama\.attention\.scale = 0\.5 changes the model"),
        ({"logit_scale": 0.0625}, r"llama\.logit_scale = 0\.0625 changes the model"),
        ({"embedding_scale": 12.0}, r"llama\.embedding_scale"),
        ({"residual_scale": 0.22}, r"llama\.residual_scale"),
        ({"attention.sliding_window": 64}, r"llama\.attention\.sliding_window = 64"),
        ({"expert_count": 4, "expert_used_count": 2}, r"llama\.expert_count = 4"),
        ({"rope.dimension_count": 8}, r"rope\.dimension_count is 8 of heads of 16"),
        ({"rope.scaling.type": "su", "rope.scaling.factor": 2.0}, r"rope\.scaling\.type 'su' is not known"),
        ({"attention.value_length": 8}, r"llama\.attention\.value_length"),
    ],
)
def test_what_transformers_cannot_express_is_refused(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = made(tmp_path, ("llama", settings, per_block))
    with pytest.raises(ModelError, match=message):
        load_model(str(path))
    assert not list((cache_folder() / "models").glob("*")), "nothing half-made is left"


def test_tensors_without_a_place_are_refused(tmp_path: Path) -> None:
    path = made(tmp_path, ("llama", {}, lambda: per_block(attn_sinks__weight=(4,))))
    with pytest.raises(
        ModelError, match=r"no place for blk\.0\.attn_sinks\.weight, blk\.1\.attn_sinks\.weight"
    ):
        load_model(str(path))


def test_weights_that_the_file_lacks_are_refused(tmp_path: Path) -> None:
    path = made(tmp_path, ("llama", {}, lambda: per_block(("blk.1.ffn_up",))))
    with pytest.raises(ModelError, match=r"no weights for model\.layers\.1\.mlp\.up_proj\.weight"):
        load_model(str(path))


def test_a_folder_of_an_earlier_conversion_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path, CASES["llama"])
    folder, weights_now = local_folder(resolve(str(path)))
    monkeypatch.setattr("icl.engine.loading.gguf.convert.VERSION", 1)
    old, weights_then = local_folder(resolve(str(path)))
    assert (old, weights_then) != (folder, weights_now)


def test_what_must_be_said_is_said_at_every_load(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    vocabulary = byte_level("nobody-knows-this")
    path = write(tmp_path / "m.gguf", vocabulary, {"a_new_key": 3}, per_block())
    for _ in range(2):
        caplog.clear()
        load_tokenizer(str(path))
        said = " ".join(record.getMessage() for record in caplog.records)
        assert "tokenizer.ggml.pre = 'nobody-knows-this'" in said
        assert "a_new_key" in said
    folder, _ = local_folder(resolve(str(path)))
    assert len(json.loads((Path(folder) / NOTES).read_text())) == 2


def test_the_engine_scores_a_converted_file(tmp_path: Path) -> None:
    path = made(tmp_path, CASES["llama 3.1"])
    asked = [ScoreRequest("<|start|>hello there", (" one", " two", "12")) for _ in range(2)]
    fast, plain = load_model(str(path)), load_model(str(path), engine="naive")
    for a, b in zip(fast.score(asked), plain.score(asked), strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)


TEXTS = ["a\n\n1 x  7", " hello", "hello", "x<|start|>user\nhi<|stop|>", "[INST]hello</s>a", "don't 123 é"]


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma2", "phi3"])
@pytest.mark.parametrize("kind", ["bytes", "sentencepiece", "sentencepiece without a space"])
def test_the_folder_keeps_the_tokenizer_of_the_file(architecture: str, kind: str, tmp_path: Path) -> None:
    """transformers has a class of its own for each of these, which may rebuild what it loads."""
    vocabulary = {
        "bytes": byte_level("smollm", add_bos_token=True),
        "sentencepiece": sentencepiece(),
        "sentencepiece without a space": sentencepiece(add_space_prefix=False),
    }[kind]
    path = write(tmp_path / "m.gguf", vocabulary, architecture=architecture)
    built = build_tokenizer(GGUFFile(path))
    built.tokenizer.save_pretrained(tmp_path / "folder")
    config = AutoConfig.for_model(architecture, vocab_size=len(vocabulary["tokens"]))
    config.save_pretrained(tmp_path / "folder")
    GenerationConfig(eos_token_id=built.ends).save_pretrained(tmp_path / "folder")
    (tmp_path / "folder" / NOTES).write_text("[]")
    loaded = load_tokenizer(str(tmp_path / "folder"))
    assert loaded.encode_many(TEXTS) == [tuple(built.tokenizer(text).input_ids) for text in TEXTS]
    assert loaded.eos_ids == set(built.ends)
    for text in ("hello", "a 1", "é"):
        ids = built.tokenizer(text, add_special_tokens=False).input_ids
        assert loaded.decode(ids) == text


@pytest.mark.parametrize("named", ["PreTrainedTokenizerFast", "Qwen2Tokenizer"])
def test_a_folder_with_a_tokenizer_of_its_own(
    named: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A Qwen2 with a tokenizer of another rule: its tokenizer.json counts, or the difference is said."""
    built = build_tokenizer(GGUFFile(write(tmp_path / "m.gguf", byte_level("smollm"))))
    folder = tmp_path / "folder"
    built.tokenizer.save_pretrained(folder)
    AutoConfig.for_model("qwen2", vocab_size=VOCABULARY).save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "tokenizer_class": named}))
    loaded = load_tokenizer(str(folder))
    said = [r.getMessage() for r in caplog.records if "cuts some texts otherwise" in r.getMessage()]
    if named == "Qwen2Tokenizer":
        assert len(said) == 1
    else:
        assert not said
        assert loaded.encode_many(TEXTS) == [tuple(built.tokenizer(text).input_ids) for text in TEXTS]
