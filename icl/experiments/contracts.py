"""What components return, held against their contracts: one line that names the component and what is
wanted, before anything is computed from it.

The contracts themselves are in `icl.protocols`.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, NoReturn

from icl.errors import ConfigError, IclError
from icl.protocols import Solve
from icl.training import GivenKeysValues, TrainingCost, Tuned, VirtualTokens
from icl.types import Demonstration, GenerateRequest, Outcome, Prompt, Query, ScoreRequest, Task

ROUNDING = 1e-9
FITTED = {"selector": ("select",), "method": ("solve", "finish")}


class ComponentFailed(ConfigError):
    """A component that is not icl's own raised an exception; its cause."""


def is_own(component: object) -> bool:
    """Whether a component is one of icl's."""
    return type(component).__module__.split(".")[0] == "icl"


def broke(kind: str, label: str, what: str) -> ConfigError:
    """`what` begins with the member: "fit() must return ..."."""
    return ConfigError(f"{kind} {label!r} breaks its contract: {what}")


@contextmanager
def calling(kind: str, label: str, component: object, member: str, where: str = "") -> Iterator[None]:
    """An exception of a component that is not icl's own becomes one line with file and line of its code.

    Those of icl's components pass as they are: they are icl's to mend.
    """
    try:
        yield
    except IclError:
        raise
    except Exception as error:
        _failed(kind, label, component, member, where, error)


def _failed(kind: str, label: str, component: object, member: str, where: str, error: Exception) -> NoReturn:
    if is_own(component):
        raise error
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    said = " ".join(str(error).split())
    at = f", {where}" if where else ""
    words = f"{kind} {label!r}: {member}() failed{at}: {type(error).__name__}: {said}{place}"
    raise ComponentFailed(words) from error


def fitted(kind: str, label: str, made: Any) -> Any:
    """What `fit` returned, if it is a fitted component."""
    missing = [name for name in FITTED[kind] if not callable(getattr(made, name, None))]
    if missing:
        raise broke(kind, label, f"fit() must return the fitted {kind} (`return self`), not {shown(made)}")
    return made


def tuned(label: str, made: Any, member: str) -> Tuned:
    """What a tuner returned, if it is a tuned network that nothing trains any more."""
    if not isinstance(made, Tuned):
        raise broke("tuner", label, f"{member}() must return a Tuned, not {shown(made)}")
    state = made.state
    fields: tuple[tuple[str, Any, bool, str], ...] = (
        ("network", made.network, callable(getattr(made.network, "parameters", None)), "a network"),
        (
            "root",
            made.root,
            made.root is None or isinstance(made.root, VirtualTokens | GivenKeysValues),
            "None, VirtualTokens or GivenKeysValues",
        ),
        (
            "state",
            state,
            isinstance(state, Mapping)
            and all(isinstance(k, str) and hasattr(v, "detach") for k, v in state.items()),
            "a mapping name -> tensor",
        ),
        ("cost", made.cost, isinstance(made.cost, TrainingCost), "a TrainingCost"),
        (
            "config",
            made.config,
            isinstance(made.config, Mapping) and isinstance(made.config.get("tuner"), str),
            "a mapping with the tuner's name under 'tuner'",
        ),
        ("notes", made.notes, isinstance(made.notes, Mapping), "a mapping"),
    )
    for name, value, good, wanted in fields:
        if not good:
            raise broke("tuner", label, f"{name} of a Tuned is {wanted}, not {shown(value)} ({member}())")
    trained = [name for name, p in made.network.named_parameters() if p.requires_grad]
    if trained:
        what = f"parameters of the network still require a gradient: {trained[0]}"
        raise broke("tuner", label, f"{what} ({member}())")
    return made


def selected(
    label: str, chosen: Any, queries: Sequence[Query], shots: int
) -> Sequence[Sequence[Demonstration]]:
    """What `select` returned, if it is at most `shots` demonstrations a query."""
    wanted = f"select() must return a list with at most {shots} Demonstration objects for each of the queries"
    if not _is_list(chosen) or len(chosen) != len(queries):
        got = f"{len(chosen)} entries for {len(queries)} queries" if _is_list(chosen) else shown(chosen)
        raise broke("selector", label, f"{wanted}; it returned {got}")
    for query, some in zip(queries, chosen, strict=True):
        if not _is_list(some) or len(some) > shots:
            got = f"{len(some)} demonstrations" if _is_list(some) else shown(some)
            raise broke("selector", label, f"{wanted}; for query {query.id!r} it returned {got}")
        for item in some:
            if not isinstance(item, Demonstration):
                raise broke("selector", label, f"{wanted}; for query {query.id!r} it returned {shown(item)}")
            if not (item.score is None or isinstance(item.score, Real)) or not isinstance(item.why, Mapping):
                raise broke(
                    "selector", label,
                    "a Demonstration has a number or None as score and a mapping as why; for query "
                    f"{query.id!r} they are {shown(item.score)} and {shown(item.why)}",
                )  # fmt: skip
    return chosen  # type: ignore[no-any-return]


def permutations(
    label: str, orders: Any, queries: Sequence[Query], chosen: Sequence[Sequence[Demonstration]]
) -> list[tuple[int, ...]]:
    """What `order` returned, if it is an order of each query's demonstrations."""
    wanted = "order() must return for each query an order of its demonstrations, such as (1, 0, 2)"
    if not _is_list(orders) or len(orders) != len(queries):
        got = f"{len(orders)} for {len(queries)} queries" if _is_list(orders) else shown(orders)
        raise broke("orderer", label, f"{wanted}; it returned {got}")
    for query, some, order in zip(queries, chosen, orders, strict=True):
        numbers = _is_list(order) and all(isinstance(i, Integral) for i in order)
        if not numbers or sorted(order) != list(range(len(some))):
            got = f"{list(order) if _is_list(order) else shown(order)}"
            raise broke(
                "orderer", label, f"{wanted}; for the {len(some)} of query {query.id!r} it returned {got}"
            )
    return [tuple(int(i) for i in order) for order in orders]


def reasons(label: str, told: Any, queries: Sequence[Query]) -> tuple[Mapping[str, Any], ...]:
    """An orderer's `reasons`, if they are none or one mapping a query."""
    if (
        not _is_list(told)
        or len(told) not in (0, len(queries))
        or not all(isinstance(r, Mapping) for r in told)
    ):
        raise broke("orderer", label, f"reasons must be one mapping a query or nothing, not {shown(told)}")
    return tuple(told)


def conversation(label: str, method: object, solve: Any, where: str) -> Solve:
    """A method's conversation, each step held against the contract; `where`: the cell and the query."""
    if not hasattr(solve, "send"):
        what = "solve() must be a generator: it yields lists of requests and returns an Outcome"
        raise broke("method", label, f"{what}; it returned {shown(solve)}")
    responses: Any = None
    while True:
        try:
            asked = next(solve) if responses is None else solve.send(responses)
        except StopIteration as end:
            return outcome(label, end.value, where)
        except IclError:
            raise
        except Exception as error:
            _failed("method", label, method, "solve", where, error)
        responses = yield requests(label, asked, where)


def requests(label: str, asked: Any, where: str) -> list[Any]:
    """What `solve` yielded, if it is a list of requests."""
    if not isinstance(asked, list | tuple):
        raise broke("method", label, f"solve() must yield lists of requests, not {shown(asked)} ({where})")
    for request in asked:
        if isinstance(request, ScoreRequest):
            got: Any = request.continuations
            good = isinstance(got, tuple) and got and all(isinstance(c, str | tuple) for c in got)
            wanted = "the continuations of a ScoreRequest are a tuple of texts (or of tuples of token ids)"
        elif isinstance(request, GenerateRequest):
            got = (request.n, request.max_tokens)
            good = all(type(number) is int and number >= 1 for number in got)
            wanted = "n and max_tokens of a GenerateRequest are whole numbers of at least 1"
        else:
            what = "solve() must yield lists of ScoreRequest and GenerateRequest"
            raise broke("method", label, f"{what}, not {shown(request)} ({where})")
        if not good:
            raise broke("method", label, f"{wanted}, not {shown(got)} ({where})")
        if not isinstance(request.prompt, str | tuple):
            what = "the prompt of a request is a text or a tuple of token ids"
            raise broke("method", label, f"{what}, not {shown(request.prompt)} ({where})")
    return list(asked)


def outcome(label: str, told: Any, where: str) -> Outcome:
    """What `solve` returned, if it is an outcome with fields of the right kind."""
    if not isinstance(told, Outcome):
        raise broke("method", label, f"solve() must return an Outcome, not {shown(told)} ({where})")
    scores = told.label_scores
    fields: tuple[tuple[str, Any, bool, str], ...] = (
        ("answer", told.answer, told.answer is None or isinstance(told.answer, str), "a text or None"),
        ("prompt", told.prompt, isinstance(told.prompt, Prompt), "a Prompt"),
        ("output", told.output, isinstance(told.output, str), "a text"),
        (
            "label_scores",
            scores,
            isinstance(scores, Mapping) and all(isinstance(v, Real) for v in scores.values()),
            "a mapping label -> number",
        ),
        (
            "flags",
            told.flags,
            isinstance(told.flags, tuple) and all(isinstance(flag, str) for flag in told.flags),
            "a tuple of texts",
        ),
        ("details", told.details, isinstance(told.details, Mapping), "a mapping"),
    )
    for name, value, good, wanted in fields:
        if not good:
            raise broke("method", label, f"{name} of an Outcome is {wanted}, not {shown(value)} ({where})")
    return told


def finished(label: str, final: Any, told: Sequence[Outcome]) -> list[Outcome]:
    """What `finish` returned, if it is one outcome for each that it was given."""
    if not _is_list(final) or len(final) != len(told):
        got = f"{len(final)} of {len(told)}" if _is_list(final) else shown(final)
        raise broke("method", label, f"finish() must return the outcomes, all and in order, not {got}")
    return [outcome(label, one, "finish()") for one in final]


def score(label: str, metric: Any, answer: str | None, gold: str, task: Task) -> float:
    """One answer judged, if that is a number from 0 to 1."""
    with calling("metric", label, metric, "score", f"answer {answer!r}, gold {gold!r}"):
        value = metric.score(answer, gold, task)
    return _share(label, "score", value)


def aggregate(
    label: str, metric: Any, answers: Sequence[str | None], golds: Sequence[str], task: Task
) -> float:
    """A cell judged, if that is a number from 0 to 1."""
    with calling("metric", label, metric, "aggregate"):
        value = metric.aggregate(answers, golds, task)
    return _share(label, "aggregate", value)


def _share(label: str, member: str, value: Any) -> float:
    number = float(value) if isinstance(value, Real) else math.nan
    if not -ROUNDING <= number <= 1 + ROUNDING:
        raise broke("metric", label, f"{member}() must return a number from 0 to 1, not {shown(value)}")
    return number


def shown(value: object) -> str:
    """A value in a message: short, on one line, with its type where its text does not tell it."""
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    text = " ".join(repr(value).split())
    kind = type(value).__name__
    text = text if len(text) <= 80 else text[:77] + "..."
    return text if text.startswith(kind) or isinstance(value, str) else f"{kind} {text}"


def _is_list(value: object) -> bool:
    """A list, a tuple, an array."""
    if isinstance(value, str | bytes | Mapping):
        return False
    return isinstance(value, Sequence) or hasattr(value, "__array__")
