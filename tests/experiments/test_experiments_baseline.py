"""Which rows a baseline names."""

from __future__ import annotations

import pytest

from icl.errors import ConfigError
from icl.experiments.file.baseline import find_label, parse_baseline, resolve_baseline
from icl.experiments.records import Cell

FEW = ["few_shot(manual=true, max_tokens=32, show=answer)", "few_shot(manual=true, max_tokens=128)"]
NESTED = 'self_consistency(n=10, of={"few_shot": {"manual": true, "show": "answer"}})'


def cell(selector="knn", shots=4, orderer="as_selected", method="direct") -> Cell:
    return Cell("tiny", "sst2", selector, shots, orderer, method, 0)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("random", {"selector": "random"}),
        ("random(per_query=false)", {"selector": "random(per_query=false)"}),
        ("orderer=as_selected", {"orderer": "as_selected"}),
        (" orderer = as_selected , shots=4", {"orderer": "as_selected", "shots": "4"}),
        ("knn,method=pmi(a=1, b=2)", {"selector": "knn", "method": "pmi(a=1, b=2)"}),
        (f"method={NESTED}", {"method": NESTED}),
        ("mine:Longest", {"selector": "mine:Longest"}),
    ],
)
def test_text_names_components(text, named):
    assert parse_baseline(text) == named


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ordrer=mdl", "unknown component 'ordrer'. Did you mean 'orderer'?"),
        ("knn,selector=bm25", "selector is given twice: 'knn' and 'bm25'"),
        ("method=", "'method=' names no method"),
        ("", "'' names no selector"),
    ],
)
def test_text_that_names_nothing(text, said):
    with pytest.raises(ConfigError, match="^" + said.replace("?", r"\?")):
        parse_baseline(text)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (FEW[0], FEW[0]),
        ("few_shot(show=answer)", FEW[0]),
        ("few_shot(max_tokens=32,manual=true)", FEW[0]),
        ("self_consistency", NESTED),
    ],
)
def test_a_label_or_what_only_one_label_fits(value, found):
    assert find_label("method", value, [*FEW, NESTED]) == found


@pytest.mark.parametrize("value", ["few_shot", "few_shot(manual=true)"])
def test_what_several_labels_fit_is_refused_with_all_of_them(value):
    with pytest.raises(ConfigError) as error:
        find_label("method", value, [*FEW, NESTED])
    assert str(error.value).startswith(f"{value!r} stands for several methods; name one of: {', '.join(FEW)}")


def test_rows_without_demonstrations_are_no_baseline_by_their_order():
    rows = [cell("zero_shot", 0), cell("majority_class", 0, "-", "-"), cell(), cell(orderer="mdl")]
    baseline = resolve_baseline({"orderer": "as_selected"}, rows)
    assert [baseline.is_row(row) for row in rows] == [False, False, True, False]
    assert baseline.pairs(rows[3], rows[2])
    assert not baseline.pairs(cell("bm25", orderer="mdl"), rows[2])


def test_several_values_together():
    rows = [cell(s, n, o) for s in ("knn", "bm25") for n in (4, 8) for o in ("as_selected", "mdl")]
    baseline = resolve_baseline({"selector": "knn", "orderer": "as_selected"}, rows)
    assert [(r.selector, r.shots, r.orderer) for r in rows if baseline.is_row(r)] == [
        ("knn", 4, "as_selected"),
        ("knn", 8, "as_selected"),
    ]
    assert baseline.pairs(cell("bm25", 8, "mdl"), cell("knn", 8))
    assert not baseline.pairs(cell("bm25", 8, "mdl"), cell("knn", 4))
    assert baseline.text == "knn, orderer as_selected"


def test_a_combination_that_no_row_has():
    rows = [cell("zero_shot", 0), cell("knn", 4)]
    with pytest.raises(ConfigError, match="no row has selector zero_shot, shots 4"):
        resolve_baseline({"selector": "zero_shot", "shots": 4}, rows)
