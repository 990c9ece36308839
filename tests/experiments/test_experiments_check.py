"""What is found wrong before a model loads, and the grid that comes of a right file."""

from __future__ import annotations

import json

import pytest

from icl.errors import IclError
from icl.experiments.file.config import read_experiment
from icl.experiments.grid import check as check_module
from icl.experiments.grid.cells import plan_cells
from icl.experiments.grid.check import check
from icl.outside import allow_code


def refused(path) -> str:
    with pytest.raises(IclError) as error:
        check(*read_experiment(path))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"grid": {"selector": ["rndom"]}}, "unknown selector 'rndom'. Did you mean 'random'? Allowed:"),
        (
            {"grid": {"selector": [{"bm25": {"k2": 1}}]}},
            "selector 'bm25' has no parameter 'k2'. Did you mean 'k1'?",
        ),
        ({"grid": {"selector": [{"bm25": {"b": 7}}]}}, "selector 'bm25': b is 7"),
        ({"grid": {"orderer": ["similarty"]}}, "unknown orderer 'similarty'. Did you mean 'similarity'?"),
        ({"grid": {"method": ["derict"]}}, "unknown method 'derict'. Did you mean 'direct'?"),
        ({"grid": {"shots": [30]}}, "grid.shots.0: 30 demonstrations cannot come from a pool of 20"),
        (
            {"leaderboard": {"compare_to": "rnd"}},
            "leaderboard.compare_to.selector: unknown selector 'rnd'. Did you mean 'random'?",
        ),
        (
            {"leaderboard": {"compare_to": {"orderer": "as_selekted"}}},
            "leaderboard.compare_to.orderer: unknown orderer 'as_selekted'. Did you mean 'as_selected'?",
        ),
        (
            {"leaderboard": {"compare_to": {"ordrer": "as_selected"}}},
            "unknown key 'leaderboard.compare_to.ordrer'. Did you mean 'orderer'? Allowed: selector, shots",
        ),
        (
            {"leaderboard": {"compare_to": "direct"}},
            "'direct' is a value of method: {method: direct}",
        ),
        (
            {"leaderboard": {"compare_to": "metod=direct"}},
            "leaderboard.compare_to: unknown component 'metod'. Did you mean 'method'?",
        ),
        (
            {"leaderboard": {"compare_to": {"shots": 3}}},
            "leaderboard.compare_to.shots: unknown shots '3'. Allowed: 0, 2",
        ),
        (
            {"leaderboard": {"compare_to": {"selector": "zero_shot", "shots": 2}}},
            "leaderboard.compare_to: no row has selector zero_shot, shots 2",
        ),
        (
            {
                "grid": {"method": [{"pmi": {"null_text": "a"}}, {"pmi": {"null_text": "b"}}]},
                "leaderboard": {"compare_to": {"method": "pmi"}},
            },
            "'pmi' stands for several methods; name one of: pmi(null_text=a), pmi(null_text=b)",
        ),
        ({"leaderboard": {"compare_to": 3}}, "compare_to: must be a selector or {component: value}, not 3"),
        ({"leaderboard": {"metric": "acuracy"}}, "unknown metric 'acuracy'. Did you mean 'accuracy'?"),
        ({"model": "fakee"}, "model: unknown model 'fakee'. Did you mean 'fake'?"),
        ({"model": "./nowhere"}, "no such file or folder"),
        ({"model": {"fake": {"delay": -1}}}, "delay is -1"),
        (
            {"model": {"fake": {"reply_with": "len"}}},
            "reply_with is 'len'; allowed: a function, which Python",
        ),
        ({"model": {"fake": {"context_length": 0}}}, "context_length is 0; allowed: a number of tokens"),
        ({"model": {"fake": {"context_length": "90"}}}, "context_length is '90'"),
        (
            {"model": {"fake": {"name": "a\x1b[1m"}}},
            "name is 'a\\x1b[1m'; allowed: a text that can be printed",
        ),
        ({"model": {"fake": {"dely": 1}}}, "'dely'. Did you mean 'delay'?"),
        ({"model": {"nobackend": {}}}, "unknown model 'nobackend'"),
        ({"task": "sst3"}, "unknown task 'sst3'. Did you mean 'sst2'?"),
        ({"task": "nowhere.yaml"}, "task file nowhere.yaml does not exist"),
        ({"pool": 400}, "pool is 400, but task 'mine' has"),
        ({"test": 400}, "test is 400, but the test split of task 'mine' has 12 rows"),
        ({"encoder": "minilmm"}, "unknown encoder 'minilmm'. Did you mean 'minilm'?"),
    ],
)
def test_refused_with_the_line(write, changes, expected):
    path = write(**changes)
    message = refused(path)
    assert expected in message
    assert message.startswith(f"{path}:")


def test_errors_point_at_the_line_of_the_item(write):
    path = write(grid={"selector": ["random", {"bm25": {"b": 7}}]})
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "bm25" in text)
    assert refused(path).startswith(f"{path}:{line}: grid.selector.1.bm25: ")


@pytest.mark.parametrize("key", ["pool", "test"])
def test_sizes_point_at_their_own_key(write, key):
    path = write(**{key: 400})
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if text == f"{key}: 400")
    assert refused(path).startswith(f"{path}:{line}: {key} is 400, but ")


class Useless:
    """No selector, orderer or method at all."""

    needs = ("model",)


@pytest.mark.parametrize(
    ("axis", "lacks"),
    [
        ("selector", "needs (a set), fit(), select()"),
        ("orderer", "needs (a set), order()"),
        ("method", "kinds (a set), needs (a set), fit(), solve(), finish()"),
    ],
)
def test_a_class_from_outside_without_the_parts(write, axis, lacks):
    path = write(grid={axis: [f"{__name__}:Useless"]})
    with allow_code():
        message = refused(path)
    assert f"'{__name__}:Useless' is no {axis}, so it was not called: it lacks {lacks}" in message


def test_an_error_in_a_task_file_beside_the_experiment_names_that_file_only(write, tmp_path, monkeypatch):
    path = write()
    task = tmp_path / "task.yaml"
    task.write_text(task.read_text().replace("labels:", "lables:"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IclError, match=r"^task\.yaml:\d+: unknown key 'lables'"):
        check(*read_experiment(path.name))


def test_a_method_that_does_not_fit_names_those_that_do(write, tmp_path):
    write()
    task = (tmp_path / "task.yaml").read_text().replace("kind: classification", "kind: numeric")
    (tmp_path / "task.yaml").write_text(task.replace("labels:\n- good\n- bad\n", ""))
    for name in ("pool", "queries"):
        rows = [json.dumps({"text": f"{name} {i}", "answer": str(i)}) for i in range(30)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    message = refused(write())
    assert "method 'direct' does not fit task 'mine' (kind numeric)" in message
    fitting = message.split("Methods that fit: ")[1].split(", ")
    assert "generate" in fitting
    assert "direct" not in fitting


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"text": "no label"}', "pool.jsonl:41"),
        ('{"text": "x", "label": "ugly"}', "pool.jsonl:41"),
    ],
)
def test_a_wrong_row_is_named_by_file_and_line(write, tmp_path, line, expected):
    path = write()
    with (tmp_path / "pool.jsonl").open("a") as file:
        file.write("\n" + line)
    assert expected in refused(path)


@pytest.mark.parametrize("content", [None, ""])
def test_an_empty_or_missing_data_file(write, tmp_path, content):
    path = write()
    (tmp_path / "pool.jsonl").unlink()
    if content is not None:
        (tmp_path / "pool.jsonl").write_text(content)
    assert "pool.jsonl" in refused(path)


def test_a_template_that_names_a_missing_field(write, tmp_path):
    path = write()
    task = tmp_path / "task.yaml"
    task.write_text(task.read_text().replace("{{ text }}", "{{ txt }}"))
    assert "txt" in refused(path)


def test_a_channel_template_that_is_missing_is_found_before_the_run(write, tmp_path):
    path = write(grid={"method": ["channel"]}, task_template={"query": "Text: {{ text }}\nLabel:"})
    message = refused(path)
    assert "channel_answer" in message
    assert "grid.method.0" in message


def test_icl_data_that_does_not_exist(write, monkeypatch):
    monkeypatch.setenv("ICL_DATA", "/no/such/folder")
    message = refused(write(task="sst2"))
    assert "ICL_DATA" in message
    assert "/no/such/folder" in message


def test_no_model_is_loaded_by_the_check(write, monkeypatch):
    monkeypatch.setattr(
        "icl.experiments.asking.models.load_model", lambda *a, **k: pytest.fail("a model was loaded")
    )
    assert check_module.check(*read_experiment(write(model="smollm2-135m-instruct"))).cells


def cells(path):
    return [c.cell for c in check(*read_experiment(path)).cells]


def test_the_grid_is_the_product_with_one_zero_shot_row(write):
    found = cells(
        write(
            seeds=[3],
            grid={
                "selector": ["zero_shot", "random", "bm25"],
                "shots": [0, 2, 4],
                "orderer": ["as_selected", "random"],
                "method": ["direct", "pmi"],
            },
        )
    )
    rows = [(c.selector, c.shots, c.orderer, c.method) for c in found]
    assert rows[:2] == [("zero_shot", 0, "as_selected", "direct"), ("zero_shot", 0, "as_selected", "pmi")]
    assert len(rows) == 2 + 2 * 2 * 2 * 2
    assert len(set(rows)) == len(rows)
    assert len({c.id for c in found}) == len(found)
    assert all(shots > 0 for _, shots, _, _ in rows[2:])


def test_a_method_without_the_selectors_demonstrations_is_one_row(write):
    own = {"few_shot": {"selector": "random", "shots": 2, "missing": "drop"}}
    methods = ["few_shot", own, "zero_shot", "auto_cot", {"self_consistency": {"of": "zero_shot"}}]
    grid = {"selector": ["random", "bm25"], "shots": [2, 4], "method": methods}
    experiment, _ = read_experiment(write(grid=grid, seeds=[0]))
    rows = [(c.cell.selector, c.cell.shots, c.method.name) for c in plan_cells(experiment, ["mine"])]
    assert sum(method == "zero_shot" for _, _, method in rows) == 1
    assert sum(method in ("auto_cot", "self_consistency") for _, _, method in rows) == 2
    # of the two few_shots one shows what the selector chose: four rows and zero shots; the other one row
    assert sum(method == "few_shot" for _, _, method in rows) == 6


def test_zero_shot_is_there_unasked_and_every_row_has_all_seeds(write):
    found = cells(write(grid={"selector": ["bm25"]}, leaderboard=None))
    assert [(c.selector, c.seed) for c in found] == [
        ("zero_shot", 0),
        ("bm25", 0),
        ("zero_shot", 1),
        ("bm25", 1),
    ]


def test_the_encoder_is_needed_only_where_a_component_says_so(write):
    assert not check(*read_experiment(write(grid={"selector": ["random"]}))).needs_encoder
    assert check(*read_experiment(write(grid={"orderer": ["similarity"]}))).needs_encoder
