"""Templates that ask for too much end in one error, soon; those that people write are left alone."""

from __future__ import annotations

import random
import time
import tracemalloc

import pytest

from icl.errors import ConfigError
from icl.prompts import sandbox
from icl.prompts.template import check_template, render

VALUES = {
    "text": "a|b c",
    "long": "long text, " * 20_000,
    "choices": {"A": "one", "B": "two"},
    "labels": ["good", "bad"],
    "number": "7",
}
DOUBLING = "{% set x = 'ab' %}" + "{% set x = x ~ x %}" * 60 + "{{ x }}"
NESTED = "{% for a in range(9999) %}" * 3 + "x" + "{% endfor %}" * 3

GREEDY = [
    "{{ 7 ** 300000 }}",
    "{{ 7 ** 7 ** 7 ** 7 ** 7 ** 7 }}",
    "{% set n = 9 %}{{ (n ** 999) ** 999 }}",
    "{{ 'x' * 999999999 }}",
    "{{ 999999999 * 'x' }}",
    "{{ [1] * 99999999 }}",
    "{% set n = 3000 %}{{ text * n * n }}",
    "{% for i in range(99999999) %}x{% endfor %}",
    NESTED,
    DOUBLING,
    "{% set x = 'ab' %}" + "{% set x = x + x %}" * 60 + "{{ x }}",
    "{% set x %}abcdefgh{% endset %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 60,
    "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set x = [1, 1] %}" + "{% set x = [x, x] %}" * 60 + "{{ x }}",
    "{% set x = (1, 1) %}" + "{% set x = (x, x) %}" * 60 + "{{ x == 1 }}",
    "{% set x = {'a': 1} %}" + "{% set x = {'a': x, 'b': x} %}" * 60 + "{{ x }}",
    "{{ 'x'.ljust(999999999) }}",
    "{{ 'x' | center(999999999) }}",
    "{{ 'x\n' | indent(999999999) }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '%(a)999999999d' % {'a': 1} }}",
    "{{ '%*d' % (99999999, 1) }}",
    "{{ '%999999999d' | format(1) }}",
    "{{ '{:999999999}'.format(1) }}",
    "{{ '{:{}}'.format(1, '999999999') }}",
    "{{ long | replace('', long) }}",
    "{{ long.replace('', long) }}",
    "{{ long.join(long) }}",
    "{{ long | join(long) }}",
    "{{ ('%s' * 9000) % ((long,) * 9000) }}",
    "{{ 1.5 | round(999999999, 'ceil') }}",
    "{{ 10 ** 400.5 }}",
    "{{ [long] * 9999 }}",
    "{{ ([long] * 2000) | join }}",
    "{% for i in range(9000) %}{{ long }}{% endfor %}",
    "{% for i in range(9999) %}{% for j in range(9999) %}{{ 'zz' in long }}{% endfor %}{% endfor %}",
]


@pytest.mark.parametrize("source", GREEDY)
def test_what_asks_for_too_much_is_refused_soon_and_small(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "LONGEST_SECONDS", 2.0)
    tracemalloc.start()  # its own objects only: the peak of the process is that of every test before it
    try:
        began = time.monotonic()
        with pytest.raises(ConfigError, match=r"^here: the template (is refused|failed)") as caught:
            render(source, VALUES, "here")
        assert time.monotonic() - began < 6
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert peak < 1 << 30


@pytest.mark.parametrize("source", ["{{ 7 ** 300000 }}", DOUBLING, "{{ 'x' * 999999999 }}", NESTED])
def test_what_is_too_much_for_every_item_is_found_without_one(source: str) -> None:
    with pytest.raises(ConfigError, match=r"^t\.yaml: template\.query: the template is refused: "):
        check_template(source, VALUES, "t.yaml: template.query")


@pytest.mark.parametrize(
    "source",
    [
        "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for a in [[1]] recursive %}{{ loop(a) }}{% endfor %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% block a %}x{% endblock %}",
        "{{ labels | random }}",
        "{{ ''.__class__ }}{{ text.x.y }}",
        "{{ labels.append('x') }}",
        "{{ cycler }}",
        "{{ (" + "(" * 500 + "1" + ")" * 500 + ") }}",
        "{% for a in labels %}" * 40 + "{% endfor %}" * 40,
    ],
)
def test_what_is_left_out_is_one_clear_error(source: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _checked_and_rendered(source)
    assert str(caught.value).startswith("here")
    assert "\n" not in str(caught.value)


def _checked_and_rendered(source: str) -> str:
    check_template(source, VALUES, "here")
    return render(source, VALUES, "here")


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("{{ text }} & {{ number | int + 1 }}", "a|b c & 8"),
        ("{{ text.split('|')[1].upper() }}", "B C"),
        ("{{ labels | join(' or ') }}; {{ labels }}", "good or bad; ['good', 'bad']"),
        (
            "{% for k, v in choices.items() %}({{ k }}) {{ v }} {{ loop.last }}{% endfor %}",
            "(A) one False(B) two True",
        ),
        ("{% for l in labels %}{{ loop.index }}/{{ loop.length }} {% endfor %}", "1/2 2/2 "),
        ("{% for l in labels if l != 'bad' %}{{ l }}{% else %}none{% endfor %}", "good"),
        (
            "{% set c = namespace(n=0) %}{% for l in labels %}{% set c.n = c.n + 1 %}{% endfor %}{{ c.n }}",
            "2",
        ),
        ("{% set sep = joiner(', ') %}{% for l in labels %}{{ sep() }}{{ l }}{% endfor %}", "good, bad"),
        ("{{ '-' * 10 }}{{ 2 ** 10 }} {{ 3 * 4 }} {{ 'a' ~ 1 ~ 'b' }}", "----------1024 12 a1b"),
        ("{{ '%.2f' % 1.5 }} {{ '%s-%s' | format('a', 'b') }} {{ '{:>4}'.format(7) }}", "1.50 a-b    7"),
        ("{{ ('x', 'y') | list }} {{ {'a': 1}['a'] }} {{ 'x' in ['x'] }}", "['x', 'y'] 1 True"),
        (
            "{{ labels | map('upper') | join('/') }} {{ labels | reject('equalto', 'bad') | first }}",
            "GOOD/BAD good",
        ),
        ("{{ text | replace('|', '/') | truncate(100) | title }}", "A/b C"),
        ("{% if text is string and number is defined %}{{ (1, 2) | sum }}{% endif %}", "3"),
        ("{{ long | length }}{% for i in range(3) %}{{ i }}{% endfor %}", "220000012"),
        ("{{ long | replace('long', 'short') | length }}", "240000"),
        ("{% filter upper %}{{ text }}{% endfilter %}", "A|B C"),
    ],
)
def test_what_people_write_is_left_alone(source: str, made: str) -> None:
    assert _checked_and_rendered(source) == made


def test_an_item_that_fills_a_context_window_is_rendered() -> None:
    words = " ".join(str(random.Random(n).random()) for n in range(30_000))
    assert render("Text: {{ text }}\nLabel:", {"text": words}, "here") == f"Text: {words}\nLabel:"


def test_one_rendering_does_not_pay_for_another() -> None:
    for _ in range(60):
        assert len(render("{{ long }}{{ long }}", VALUES, "here")) == 440_000
