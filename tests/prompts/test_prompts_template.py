"""Templates: what is refused before a run, and what is rendered."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl.errors import ConfigError
from icl.prompts.template import (
    answer_cue,
    check_template,
    check_templates,
    query_head,
    render_instruction,
    render_side,
)
from icl.types import Example, Query, Task, Template

SENTIMENT = Task(
    name="films",
    kind="classification",
    template=Template(
        query="Review: {{ text }}\nSentiment:",
        channel_answer="Sentiment: {{ answer }}\nReview:",
        channel_query=" {{ text }}",
    ),
    inputs=("text",),
    labels=("neg", "pos"),
    verbalisers={"neg": "bad", "pos": "good"},
    instruction="Choose from {{ labels | join(' or ') }}.",
)
FILM = Example("e1", {"text": "a fine film"}, "pos", rationale="It is praised.")


def test_each_side_of_an_example():
    assert render_side(SENTIMENT, "query", FILM) == "Review: a fine film\nSentiment:"
    assert render_side(SENTIMENT, "answer", FILM) == " good"
    assert render_side(SENTIMENT, "rationale", FILM) == " It is praised. The answer is good."
    assert render_side(SENTIMENT, "channel_answer", FILM) == "Sentiment: good\nReview:"
    assert render_side(SENTIMENT, "channel_query", FILM) == " a fine film"


def test_a_query_takes_the_label_that_is_tried():
    query = Query("q", {"text": "dull"})
    assert render_side(SENTIMENT, "channel_answer", query, "neg") == "Sentiment: bad\nReview:"


def test_instruction_lists_the_verbalised_labels():
    assert render_instruction(SENTIMENT) == "Choose from bad or good."


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        # a block swallows nothing: neither the break behind it nor the spaces in front of it
        (
            "Q: {{ question }}{% for a in choices %}\n{{ a }}. {{ choices[a] }}{% endfor %}\nA:",
            "Q: Which?\nB. two\nA. one\nA:",
        ),
        ("{% if question %}\n{{ question }}\n{% endif %}\nA:", "\nWhich?\n\nA:"),
        ("Q:\n  {% if question %}{{ question }}{% endif %}\nA:", "Q:\n  Which?\nA:"),
        ("{# a remark #}\n{{ question }}{% set x = 1 %}\n\nA:", "\nWhich?\n\nA:"),
        # who wants lines gone says so, as everywhere in jinja
        (
            "Q: {{ question }}\n{%- for letter in choices %}\n{{ letter }}{%- endfor %}\nA:",
            "Q: Which?\nB\nA\nA:",
        ),
    ],
)
def test_line_breaks_stand_where_they_were_written(source, expected):
    task = Task("mc", "multiple_choice", Template(query=source), ("question",))
    query = Query("q", {"question": "Which?"}, {"B": "two", "A": "one"})
    assert render_side(task, "query", query) == expected


def test_text_is_not_escaped_and_a_template_in_the_data_is_not_run():
    query = Query("q", {"text": "<b> & {{ 7 * 7 }}"})
    assert render_side(SENTIMENT, "query", query) == "Review: <b> & {{ 7 * 7 }}\nSentiment:"


def test_a_query_that_ends_in_an_input_with_spaces_does_not_end_in_a_space():
    task = Task("t", "string", Template(query="{{ text }}"), ("text",))
    assert render_side(task, "query", Query("q", {"text": "what is it?  "})) == "what is it?"


def test_a_missing_rationale_names_the_example():
    with pytest.raises(ConfigError, match="example 'e2' has no rationale"):
        render_side(SENTIMENT, "rationale", replace(FILM, id="e2", rationale=None))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ txet }}", "unknown template variable 'txet'. Did you mean 'text'? Allowed: choices, text"),
        ("one\n{{ text ", "line 2"),
        ("a\nb\n{% if text %}", "line 3"),
        ("{{ text | uper }}", "uper"),
        ("{{ lipsum() }}", "lipsum"),
        ("{{ answer }}", "unknown template variable 'answer'"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_refused(source, message):
    with pytest.raises(ConfigError) as caught:
        check_template(source, ("text", "choices"), "films.yaml: template.query")
    assert str(caught.value).startswith("films.yaml: template.query")
    assert message in str(caught.value)


def test_names_made_inside_the_template_are_known():
    source = "{% set x = text %}{% for c in choices %}{{ c }}{{ x }}{% endfor %}"
    check_template(source, ("text", "choices"), "t")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query": "Review: {{ text }}\nSentiment: "}, "template.query ends in a space"),
        ({"channel_answer": "{{ answer }} "}, "template.channel_answer ends in a space"),
        ({"query": "  "}, "template.query is empty"),
        ({"answer": ""}, "template.answer is empty"),
        ({"channel_query": ""}, "go together"),
        ({"answer": " {{ anwser }}"}, "Did you mean 'answer'?"),
        ({"query": "{{ text }} {{ answer }}"}, "template.query: unknown template variable 'answer'"),
    ],
)
def test_a_task_template_that_would_mislead_is_refused(change, message):
    template = replace(SENTIMENT.template, **change)
    with pytest.raises(ConfigError) as caught:
        check_templates(template, ("text",), "", "films.yaml")
    assert message in str(caught.value)


def test_a_good_template_passes():
    check_templates(SENTIMENT.template, ("text",), SENTIMENT.instruction, "films.yaml")


@pytest.mark.parametrize(
    "source", ["{{ text.__class__.__mro__ }}", "{{ choices.update({}) }}", "{{ 1 / 0 }}", "{{ choices.Z.y }}"]
)
def test_a_failing_template_is_one_clear_error(source):
    task = Task("t", "string", Template(query=source), ("text",))
    with pytest.raises(ConfigError, match=r"task 't', template\.query, item 'q'"):
        render_side(task, "query", Query("q", {"text": "x"}))


@pytest.mark.parametrize(
    ("source", "head"),
    [("Q: {{ text }}\nA:", "Q:"), ("{{ text }}\nA:", ""), ("Read.\nReview: {% if text %}", "Read.\nReview:")],
)
def test_query_head(source, head):
    assert query_head(Template(query=source)) == head


@pytest.mark.parametrize(
    ("source", "cue"),
    [
        ("Q: {{ text }}\nA:", "A:"),
        ("{{ text }}\n{% if text %}x{% endif %}\n答案：", "答案："),
        ("{{ text }}", ""),
        ("is", ""),
    ],
)
def test_answer_cue(source, cue):
    assert answer_cue(Template(query=source)) == cue


@given(st.text(max_size=40))
def test_any_template_is_rendered_or_refused_with_one_error(source):
    task = Task("t", "string", Template(query=source), ("text",))
    with contextlib.suppress(ConfigError):  # anything else fails the test
        check_template(source, ("text",), "t")
        assert isinstance(render_side(task, "query", Query("q", {"text": "x"})), str)
