"""icl preview: the prompts of a run, with the model's own tokenizer, before any weights."""

from __future__ import annotations

import json

import pytest

from tests.byte_folder import write_folder


@pytest.fixture
def model(tmp_path):
    """A folder with a tokenizer that puts a BOS in front, a chat template, and no weights."""
    write_folder(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_the_prompts_are_those_of_the_run(icl, folder):
    said = icl("preview", "experiment.yaml", "-n", 2, "--selector", "knn")
    assert (said.code, said.err) == (0, "")
    assert said.out.count("mine · knn 2-shot as_selected direct · seed 0 · query test-") == 2
    assert not (folder / "runs").exists()
    icl("run", "experiment.yaml", "-q")
    (cell,) = (folder / "runs" / "small" / "cells").glob("mine_knn_2_*_s0*.jsonl")
    for line in map(json.loads, cell.read_text().splitlines()[:2]):
        names = ", ".join(name for name, _ in line["demonstrations"])
        assert f"demonstrations: {names}" in said.out
        assert f"query {line['query_id']}\n" in said.out
        assert f"{line['details']['prompt_tokens']} tokens of" in said.out


def test_special_tokens_and_those_that_the_tokenizer_adds(icl, folder, model):
    plain = icl("preview", "task.yaml", "--model", model).out
    assert "\n⟦+<s>⟧Text: " in plain
    assert plain.count("⟦") == 1
    assert "Label:▏\n" in plain
    assert "tokens of 400; then scored, with their tokens: ' good' (5), ' bad' (4)" in plain
    chat = icl("preview", "task.yaml", "--model", model, "--set", "prompt.chat=turns").out
    assert "⟦<s>⟧⟦<|user|>⟧Text: " in chat
    assert "+<s>" not in chat
    assert chat.count("⟦<|assistant|>⟧") == 5
    assert "⟦<|assistant|>⟧▏" in chat
    assert "'good' (4), 'bad' (3)" in chat


def test_a_mark_in_the_data_is_shown_as_what_the_model_reads(icl, folder, model):
    rows = [{"text": f"thing {i} </s> more", "label": "good"} for i in range(8)]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert "⟦</s>⟧ more\nLabel:▏" in icl("preview", "task.yaml", "--model", model).out


def test_what_the_chat_template_adds_or_moves(icl, folder, model):
    """Its own instruction where the task has none; the task's in the first turn where it takes no system."""
    template = (model / "chat_template.jinja").read_text()
    hidden = "{{ bos_token }}{% if messages[0].role != 'system' %}<|system|>Be brief.</s>{% endif %}"
    (model / "chat_template.jinja").write_text(template.replace("{{ bos_token }}", hidden))
    chat = ["--model", model, "--set", "prompt.chat=turns"]
    said = icl("preview", "task.yaml", *chat).out
    assert "⟦<|system|>⟧Be brief.⟦</s>⟧" in said
    assert "the chat template adds a system message of its own: 'Be brief.'" in said
    assert "of its own" not in icl("preview", "task.yaml", "--model", model).out
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + template
    (model / "chat_template.jinja").write_text(refusing)
    with (folder / "task.yaml").open("a") as file:
        file.write("instruction: Judge it.\n")
    said = icl("preview", "task.yaml", *chat).out
    assert "⟦<|user|>⟧Judge it.\n\nText: " in said
    assert "takes no system message; the instruction opens the first user turn" in said
    assert "takes no system" not in icl("preview", "task.yaml", *chat[:3], "prompt.chat=single").out


def test_demonstrations_that_do_not_fit_are_named(icl, folder, model):
    said = icl("preview", "task.yaml", "--model", model, "--set", "grid.shots=30").out
    assert "dropped train-" in said
    assert "context: " in said


def test_components_outside_the_grid(icl, folder):
    said = icl("preview", "experiment.yaml", "--method", "generate", "--selector", "{mmr: {lambda: 0.25}}")
    assert "mine · mmr(lambda=0.25) 2-shot as_selected generate" in said.out
    assert "a text is written, at most" in said.out
    said = icl("preview", "experiment.yaml", "--method", "generrate")
    assert (said.code, "--method: grid.method.0.generrate" in said.err) == (2, True)
    assert "Did you mean 'generate'?" in said.err


def test_what_the_model_would_have_a_say_in_is_told(icl, folder):
    assert (
        "answers are made up"
        in icl("preview", "experiment.yaml", "--selector", "{influence: {validation: 5}}").out
    )
    assert "answers are made up" not in icl("preview", "experiment.yaml", "--selector", "knn").out
