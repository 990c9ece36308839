"""Templates: PromptSource's form over any task, with data that looks like syntax."""

from __future__ import annotations

from pathlib import Path

import pytest

from icl.errors import ConfigError
from icl.instructions.templates import BORDER, TaskTemplate, TemplateSpec, for_task, read_templates, shipped
from icl.tasks import load_task
from icl.types import Example, Task, Template

TASK = Task(
    "mine", "classification", Template("{{ text }}"), ("text",), ("neg", "pos"), {"neg": "bad", "pos": "good"}
)


def written(
    template: str, example: Example | None = None, *, options: bool = False, **spec: object
) -> object:
    made = TemplateSpec.model_validate({"name": "t", "template": template, **spec})
    (fitting,) = for_task([(made, "here")], TASK)
    return fitting.write(example or Example("1", {"text": "Fine."}, "pos"), options=options)


def test_prompt_and_target_are_the_two_sides() -> None:
    one = written("Say it: {{ text }} ||| {{ answer }}")
    assert (one.prompt, one.target, one.instruction) == ("Say it: Fine.", "good", "")  # type: ignore[attr-defined]


def test_answer_choices_are_a_template_of_their_own_and_label_an_index() -> None:
    one = written(
        "{{ text }} {{ answer_choices | join('/') }} ||| {{ answer_choices[label] }}",
        answer_choices="no ||| yes, {{ text }}",
    )
    assert (one.prompt, one.target) == ("Fine. no/yes, Fine.", "yes, Fine.")  # type: ignore[attr-defined]


def test_an_instruction_is_a_field_of_its_own_and_options_come_where_they_are_drawn() -> None:
    with_options = written(
        "{{ text }} ||| {{ answer }}", options=True, instruction="Label this.{{ options }}"
    )
    assert with_options.instruction == "Label this.\n\nOptions:\n- bad\n- good"  # type: ignore[attr-defined]
    without = written("{{ text }} ||| {{ answer }}", options=False, instruction="Label this.{{ options }}")
    assert without.instruction == "Label this."  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text", ["{{ 7 * 7 }} and }} or {% if %}", "one ||| two", "{x} {{y}}", "价格 {{ 价 }}|||元"]
)
def test_what_looks_like_syntax_in_the_data_survives(text: str) -> None:
    one = written("Q {{ text }} ||| {{ answer }}", Example("1", {"text": text}, "pos"))
    assert (one.prompt, one.target) == (f"Q {text}", "good")  # type: ignore[attr-defined]


def test_long_fields_are_cut_as_values() -> None:
    template = TaskTemplate(TemplateSpec(name="t", template="{{ text }} ||| {{ answer }}"), TASK, "here")
    example = Example("1", {"text": "}}" * 2000}, "pos")
    assert template.write(example, options=False).prompt == "}}" * 1024  # type: ignore[union-attr]
    assert template.write(example, options=False, longest=None).prompt == "}}" * 2000  # type: ignore[union-attr]


def test_a_template_may_leave_an_example_out() -> None:
    assert written("{% if answer == 'bad' %}{{ text }} ||| {{ answer }}{% endif %}") is None
    assert written("{{ text }} ||| {{ rationale }}") is None


def test_a_name_that_the_rows_do_not_have_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        'templates:\n  - name: one\n    template: "{{ txet }} ||| {{ answer }}"\n', encoding="utf-8"
    )
    with pytest.raises(ConfigError, match=r"mine\.yaml:2: template 'one': template: .*'txet'.*'text'"):
        for_task(read_templates(path), TASK)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'templates:\n  - {name: a, template: "x ||| y"}\n  - {name: a, template: "x ||| z"}\n',
            "'a' is there twice",
        ),
        ("templates: []\n", "templates is empty"),
        ('templates:\n  - {name: a, tmplate: "x ||| y"}\n', "tmplate"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        read_templates(path)


def test_a_template_without_a_border_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"has no \|\|\|"):
        written("{{ text }} {{ answer }}")
    with pytest.raises(ConfigError, match="gives 3 parts"):
        written("{{ text }} ||| {{ answer }} ||| more")


@pytest.mark.parametrize("task", ["questions", "reviews", "arithmetic", "coin_flip", "last_letters"])
def test_every_shipped_template_writes_a_row(task: str) -> None:
    data = load_task(task, origin="own")
    fitting = for_task(shipped(), data.task)
    assert len(fitting) >= 2
    for template in fitting:
        one = template.write(data.train[0], options=True)
        if one is None:
            assert "rationale" in template.spec.template
            continue
        assert one.prompt
        assert BORDER not in one.prompt
        side = one.prompt if template.spec.inverted else one.target
        assert data.task.verbalise(data.train[0].target) in side or "not_these" in template.spec.name
