"""How a byte-level vocabulary cuts text before its merges: by the name in `tokenizer.ggml.pre`.

A GGUF file names the rule and does not contain it. Each rule is that of the tokenizer.json of the models
which carry the name: one expression after another, each applied to the pieces that the one before left.
"""

from __future__ import annotations

from dataclasses import dataclass

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


def _words(digits: str, letters: str = r"\p{L}", contractions: str = f"{_CONTRACTIONS}|") -> str:
    """The expression that Llama 3, Qwen and their kin share but for a few places."""
    marks = r"\p{M}" if r"\p{M}" in letters else ""
    return (
        rf"{contractions}[^\r\n\p{{L}}\p{{N}}]?{letters}+|{digits}"
        rf"| ?[^\s\p{{L}}{marks}\p{{N}}]+[\r\n]*|{_SPACES}"
    )


def _cased(digits: str, after: str = "") -> str:
    """Words cut where lower case turns to upper case."""
    head = r"[^\r\n\p{L}\p{N}]?"
    return (
        rf"{head}{_UPPER}*{_LOWER}+{after}|{head}{_UPPER}+{_LOWER}*{after}|{digits}"
        rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
    )


GPT2 = (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",)
DIGITS = (r"\p{N}", *GPT2)
LLAMA3 = (_words(r"\p{N}{1,3}"),)
QWEN2 = (_words(r"\p{N}"),)
QWEN35 = (_words(r"\p{N}", r"[\p{L}\p{M}]"),)
TEKKEN = (_cased(r"\p{N}"),)
GPT4O = (_cased(r"\p{N}{1,3}", f"{_CONTRACTIONS}?"),)
FALCON = (r"[\p{P}$+<=>^~|`]+", *GPT2, r"[0-9][0-9][0-9]")
DEFAULT = (r"[\p{P}$+<=>^~|]+", *GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")
"""What llama.cpp does for a file that names no rule."""
BLOOM = (r" ?[^(\s|.,!?…。，、।۔،)]+",)
_CASED_LETTERS = r"[\p{Lu}\p{Ll}\p{Lt}&&[^\x{10D0}-\x{10FF}\x{1D400}-\x{1D7FF}]]"
DEEPSEEK_LLM = (
    r"[\r\n]",
    rf"\s?{_CASED_LETTERS}+",
    r"\s?[!-/:-~！-／：-～‘-‟\x{3000}-。]+",
    r"\s+$",
    "[一-龥ࠀ-一가-퟿]+",
    r"\p{N}+",
)
DEEPSEEK_CODER = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}")
DEEPSEEK3 = (
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}",
)
BAILING = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+",
)
SEED = (rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}",)


@dataclass(frozen=True, slots=True)
class Splitting:
    """A rule by name. `whole`: a piece that is a token as it stands is not merged up from its bytes.
    `bos`: a text begins with BOS where the file does not say."""

    expressions: tuple[str, ...]
    whole: bool = False
    bos: bool = False


def _named(names: str, expressions: tuple[str, ...], **flags: bool) -> dict[str, Splitting]:
    return dict.fromkeys(names.split(), Splitting(expressions, **flags))


SPLITTINGS: dict[str, Splitting] = {
    "default": Splitting(DEFAULT),
    **_named(
        "gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum mpt olmo jais trillion "
        "granite-docling exaone4 jina-v1-en jina-v2-code roberta-bpe",
        GPT2,
    ),
    **_named("starcoder refact command-r smollm codeshell exaone minerva-7b mellum2", DIGITS),
    **_named(
        "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
        LLAMA3,
        whole=True,
        bos=True,
    ),
    **_named("dbrx smaug-bpe glm4 chatglm-bpe", LLAMA3),
    **_named("qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2", QWEN2),
    **_named("qwen35", QWEN35),
    **_named("tekken", TEKKEN, whole=True, bos=True),
    **_named("gpt-4o llama4 kanana2 talkie minimax-m2", GPT4O),
    **_named("falcon", FALCON),
    **_named("bloom poro-chat gpt3-finnish", BLOOM),
    **_named("viking", (*BLOOM, r"\p{N}")),
    **_named("deepseek-llm", DEEPSEEK_LLM),
    **_named("deepseek-coder", DEEPSEEK_CODER),
    **_named("deepseek-v3 hunyuan-dense joyai-llm hy_v4", DEEPSEEK3),
    **_named("bailingmoe bailingmoe2 llada-moe", BAILING),
    **_named("seed-coder", SEED),
    **_named("ufakzeka", (_words(r"\p{N}", contractions=""),)),
}
"""By the name in the file."""
