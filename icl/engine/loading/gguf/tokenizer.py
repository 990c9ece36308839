"""The tokenizer of a GGUF file, built from what the file says.

transformers' own reader leaves the vocabulary of many files: it knows few of the rules that
`tokenizer.ggml.pre` names, spells control tokens outside the byte alphabet in bytes, and gives every
SentencePiece text a space before it. Built here as llama.cpp reads the same file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from icl.engine.loading.ends import ends_by_name
from icl.engine.loading.gguf.file import GGUFFile
from icl.engine.loading.gguf.splitting import SPLITTINGS, Splitting
from icl.errors import ModelError

UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4
"""Types of tokens that are matched whole in a text."""
BLANK = "▁"
ROLES = {"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"}
SENTENCEPIECE_IDS = {"bos": 1, "eos": 2, "unknown": 0}
"""What a SentencePiece file means where it does not say."""
KINDS = ("gpt2", "llama", "gemma4")


@dataclass(frozen=True, slots=True)
class Built:
    """A tokenizer of transformers; the ids that end a text; what must be said of it."""

    tokenizer: Any
    ends: list[int]
    notes: list[str]


def build_tokenizer(file: GGUFFile) -> Built:
    """The tokenizer that the file describes, with the ends that it names and those known by name.

    Raises ModelError where the file cannot be read as it means it: no vocabulary, a kind of vocabulary that
    is not known here, a special token outside the vocabulary, two tokens of one spelling.
    """
    from transformers import PreTrainedTokenizerFast

    said = file.vocabulary
    kind = str(said.get("model", "none"))
    if kind not in KINDS or not said.get("tokens"):
        raise ModelError(
            f"{file.path.name}: a vocabulary of the kind {kind!r} is not read here; "
            f"allowed: {', '.join(KINDS)}"
        )
    tokens = _spelled(file)
    special = _special_ids(file, kind, len(tokens))
    splitting = _splitting(said) if kind == "gpt2" else Splitting((), bos=kind == "llama")
    built = (
        _byte_level(said, tokens, splitting)
        if kind == "gpt2"
        else _sentencepiece(said, tokens, special, kind)
    )
    whole, control = _matched_whole(said, tokens, special)
    built.add_special_tokens([_added(file, tokens[i], True) for i in whole if i in control])
    built.add_tokens([_added(file, tokens[i], False) for i in whole if i not in control])
    before, after = _wrapping(said, special, splitting.bos)
    named = [(tokens[i], i) for i in {*before, *after}]
    single = [*(tokens[i] for i in before), "$A", *(tokens[i] for i in after)]
    built.post_processor = processors.TemplateProcessing(single=single, pair=None, special_tokens=named)
    _check_ids(file, built, tokens, whole)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=built,
        chat_template=file.metadata.get("tokenizer.chat_template"),
        clean_up_tokenization_spaces=False,
        **{ROLES[role]: tokens[i] for role, i in special.items() if role in ROLES},
    )
    said_ends = {special[role] for role in ("eos", "eot", "eom") if role in special}
    ends = said_ends | ends_by_name({tokens[i]: i for i in control})
    notes = [_unknown_splitting(said)] if kind == "gpt2" and said.get("pre") not in SPLITTINGS else []
    return Built(tokenizer, sorted(ends), notes)


def _spelled(file: GGUFFile) -> list[str]:
    """The vocabulary by id; an empty token gets a name, as in llama.cpp."""
    tokens = [token or f"[EMPTY_{i}]" for i, token in enumerate(file.vocabulary["tokens"])]
    if len(set(tokens)) < len(tokens):
        twice = next(token for i, token in enumerate(tokens) if token in tokens[:i])
        raise ModelError(f"{file.path.name}: two tokens are spelled {twice!r}")
    return tokens


def _special_ids(file: GGUFFile, kind: str, size: int) -> dict[str, int]:
    """Role -> id. Raises ModelError for an id outside the vocabulary."""
    ids = dict(SENTENCEPIECE_IDS) if kind == "llama" else {}
    for role in ("bos", "eos", "eot", "eom", "unknown", "padding"):
        key = f"{role}_token_id"
        if key in file.vocabulary:
            ids[role] = int(file.vocabulary[key])
    for role, i in ids.items():
        if not 0 <= i < size:
            raise ModelError(
                f"{file.path.name}: tokenizer.ggml.{role}_token_id is {i}, "
                f"and the vocabulary has {size} tokens"
            )
    return ids


def _splitting(said: dict[str, Any]) -> Splitting:
    return SPLITTINGS.get(str(said.get("pre")), SPLITTINGS["default"])


def _unknown_splitting(said: dict[str, Any]) -> str:
    name = said.get("pre")
    what = (
        "names no rule for cutting text before its merges (tokenizer.ggml.pre)"
        if name is None
        else f"names a rule for cutting text that is not known (tokenizer.ggml.pre = {name!r})"
    )
    return f"the file {what}; a general one is used, and texts may not become the tokens that the model knows"


def _byte_level(said: dict[str, Any], tokens: list[str], splitting: Splitting) -> Tokenizer:
    vocabulary = {token: i for i, token in enumerate(tokens)}
    merges = [_pair(merge) for merge in said.get("merges", ())]
    known = [(a, b) for a, b in merges if a in vocabulary and b in vocabulary and a + b in vocabulary]
    built = Tokenizer(models.BPE(vocabulary, known, ignore_merges=splitting.whole))
    cuts = [pre_tokenizers.Split(Regex(e), behavior="isolated") for e in splitting.expressions]
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [*cuts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    built.decoder = decoders.ByteLevel()
    return built


def _pair(merge: str) -> tuple[str, str]:
    """A merge's two sides; the first may be a space itself."""
    at = merge.find(" ", 1)
    return merge[:at], merge[at + 1 :]


def _sentencepiece(said: dict[str, Any], tokens: list[str], special: dict[str, int], kind: str) -> Tokenizer:
    """Pieces over a whole text in which spaces are written as `BLANK`; unknown characters go by byte."""
    vocabulary = {token: i for i, token in enumerate(tokens)}
    if "merges" in said:
        merges = [_pair(merge) for merge in said["merges"]]
        merges = [(a, b) for a, b in merges if a in vocabulary and b in vocabulary and a + b in vocabulary]
    else:
        scores = said.get("scores") or [0.0] * len(tokens)
        merges = implied_merges(vocabulary, [float(score) for score in scores])
    unknown = tokens[special["unknown"]] if "unknown" in special else None
    built = Tokenizer(models.BPE(vocabulary, merges, unk_token=unknown, byte_fallback=True, fuse_unk=True))
    prefix = kind == "llama" and bool(said.get("add_space_prefix", True))
    blanks = normalizers.Replace(" ", BLANK)
    # by the piece between special tokens, so that the text after one gets its space too
    built.normalizer = normalizers.Sequence([normalizers.Prepend(BLANK), blanks]) if prefix else blanks
    if kind == "gemma4":
        built.pre_tokenizer = pre_tokenizers.Split(Regex(r"[^\n]+|\n+"), behavior="isolated")
    steps = [decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse()]
    built.decoder = decoders.Sequence([*steps, decoders.Strip(" ", left=1)] if prefix else steps)
    return built


def implied_merges(vocabulary: dict[str, int], scores: list[float]) -> list[tuple[str, str]]:
    """The merges of a vocabulary that lists none: every way to make a token of two, best score first."""
    found = []
    for token, i in vocabulary.items():
        for at in range(1, len(token)):
            left, right = token[:at], token[at:]
            if left in vocabulary and right in vocabulary:
                found.append((-scores[i], vocabulary[left], vocabulary[right], left, right))
    return [(left, right) for *_, left, right in sorted(found)]


def _matched_whole(
    said: dict[str, Any], tokens: list[str], special: dict[str, int]
) -> tuple[list[int], set[int]]:
    """Ids that a text is searched for, and those among them that are no text (control tokens)."""
    types = list(said.get("token_type") or [])
    control = {i for i, kind in enumerate(types) if kind in (CONTROL, UNKNOWN)}
    control |= set(special.values())
    # some files have the mark of a turn among the words; "</s>", in a vocabulary of HTML, may be one
    control |= set(
        ends_by_name({token: i for i, token in enumerate(tokens) if "|" in token or "｜" in token})
    )
    whole = control | {i for i, kind in enumerate(types) if kind == USER_DEFINED}
    return sorted(whole), control


def _added(file: GGUFFile, token: str, special: bool) -> AddedToken:
    """A token to be matched whole. Phi-3's take the space after them; the file has no place to say so."""
    name = str(file.metadata.get("general.name", "")).lower()
    phi3 = "phi-3" in name or "phi3" in name
    swallows = phi3 and token not in ("<unk>", "<s>", "<|endoftext|>")
    return AddedToken(token, special=special, normalized=False, rstrip=swallows)


def _wrapping(said: dict[str, Any], special: dict[str, int], bos: bool) -> tuple[list[int], list[int]]:
    """Ids before and after every text."""
    before = bool(said.get("add_bos_token", bos)) and "bos" in special
    after = bool(said.get("add_eos_token", False)) and "eos" in special
    return [special["bos"]] if before else [], [special["eos"]] if after else []


def _check_ids(file: GGUFFile, built: Tokenizer, tokens: list[str], whole: list[int]) -> None:
    """Every token that is matched whole has the file's id, and nothing was added past the vocabulary."""
    wrong = [tokens[i] for i in whole if built.encode(tokens[i], add_special_tokens=False).ids != [i]]
    if wrong or built.get_vocab_size(with_added_tokens=True) > len(tokens):
        raise ModelError(
            f"{file.path.name}: special tokens have other ids than in the file: {', '.join(wrong[:5])}"
        )
