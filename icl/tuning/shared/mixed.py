"""Rows of several sources, drawn by a mixture instead of in epochs over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from icl.components import check_number
from icl.errors import ConfigError, nearest
from icl.mixing import Draw, MixSource, draws, rates
from icl.protocols import TuningResources
from icl.training import TrainingRow
from icl.tuning.shared.attached import Attached
from icl.tuning.shared.tokens import TokenRow
from icl.tuning.shared.tuner import AdaptingTuner, RowWork
from icl.tuning.shared.validation import Validation

KEYS = ("cap", "temperature", "quality", "pretraining")
PRETRAINING = "pretraining"
SHARE = 0.05


def check_mix(mix: object) -> None:
    """ValueError for what is no mixture: cap, temperature, quality: {source: weight}, pretraining: {file,
    share}."""
    if not isinstance(mix, Mapping):
        raise ValueError(f"mix is {mix!r}; allowed: a mapping with {', '.join(KEYS)}")
    for key in mix:
        if key not in KEYS:
            raise ValueError(f"mix has no key {key!r}.{_hint(str(key), KEYS)} Allowed: {', '.join(KEYS)}")
    if mix.get("cap") is not None:
        check_number("mix.cap", mix["cap"], low=1, whole=True)
    check_number("mix.temperature", mix.get("temperature", 1), low=1e-9)
    quality = mix.get("quality", {})
    if not isinstance(quality, Mapping):
        raise ValueError(f"mix.quality is {quality!r}; allowed: {{source: weight}}")
    for name, weight in quality.items():
        check_number(f"mix.quality of {name}", weight, low=0)
    plain = mix.get(PRETRAINING)
    if plain is None:
        return
    known = isinstance(plain, Mapping) and not set(plain) - {"file", "share"}
    if not known or not isinstance(plain.get("file"), str):
        raise ValueError(f"mix.pretraining is {plain!r}; allowed: {{file: texts.jsonl, share: {SHARE}}}")
    check_number("mix.pretraining.share", plain.get("share", SHARE), low=0, high=0.999)


def _hint(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known)
    return f" Did you mean {near!r}?" if near else ""


def shares_of(mix: Mapping[str, Any], names: Sequence[str], sizes: Sequence[int]) -> list[float]:
    """The rate of each source. ConfigError for a weight of no source, and where there is nothing to draw."""
    quality = mix.get("quality", {})
    for name in quality:
        if name not in names:
            known = f"{_hint(name, names)} Sources: {', '.join(names)}"
            raise ConfigError(f"mix.quality names {name!r}, which is no source.{known}")
    sources = [MixSource(n, size, quality.get(n, 1.0)) for n, size in zip(names, sizes, strict=True)]
    plain = mix.get(PRETRAINING)
    try:
        return rates(
            sources,
            cap=mix.get("cap"),
            temperature=mix.get("temperature", 1.0),
            plain=None if plain is None else PRETRAINING,
            plain_share=0.0 if plain is None else plain.get("share", SHARE),
        )
    except ValueError as error:
        raise ConfigError(f"mix: {error}") from error


class MixedWork(RowWork):
    """Draws by `icl.mixing`: sources by rates, rows without replacement within an epoch of a source."""

    def __init__(
        self,
        sources: Mapping[str, Sequence[TrainingRow]],
        mix: Mapping[str, Any],
        settings: AdaptingTuner,
        resources: TuningResources,
        validation: Validation | None,
    ) -> None:
        rows = [row for part in sources.values() for row in part]
        super().__init__(rows, settings, resources, validation)
        places: dict[str, list[int]] = {name: [] for name in sources}
        of = {id(row): name for name, part in sources.items() for row in part}
        for at, made in enumerate(self.rows):  # those that are too long are gone
            places[of[id(made.row)]].append(at)
        self._places = list(places.values())
        sizes = [len(found) for found in self._places]
        shares = shares_of(mix, list(sources), sizes)
        count = settings.steps * settings.batch_size
        self.notes["mixture"] = {
            name: {"rows": n, "rate": round(share, 6), "repeats": round(count * share / n, 4) if n else 0.0}
            for name, n, share in zip(sources, sizes, shares, strict=True)
        }
        self._stream: Iterator[Draw] = draws(shares, sizes, resources.seed, name=" of a tuner")
        self._drawn: list[int] = []

    def batch(self, step: int, attached: Attached) -> Sequence[TokenRow]:
        """The draws of a step; the same whether those before it were asked for or not."""
        size = self._settings.batch_size
        while len(self._drawn) < (step + 1) * size:
            draw = next(self._stream)
            self._drawn.append(self._places[draw.source][draw.row])
        return [self.rows[at] for at in self._drawn[step * size : (step + 1) * size]]
