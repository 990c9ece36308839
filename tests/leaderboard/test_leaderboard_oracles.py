"""Numbers of the leaderboard against statsmodels, which shares no line with them."""

import numpy as np
import pandas
import pytest
import statsmodels.api as sm
from statsmodels.stats.contingency_tables import mcnemar as its_mcnemar
from statsmodels.stats.multitest import multipletests

from icl.leaderboard.components import components
from icl.leaderboard.statistics import holm, mcnemar
from icl.metrics.shared.strengths import fit
from icl.seeding import generator


def test_holm():
    rng = generator(0, "holm")
    for size in (1, 2, 7, 40):
        ps = list(rng.random(size) ** 3)
        assert holm(ps) == pytest.approx(list(multipletests(ps, method="holm")[1]))
    assert holm([0.01, 0.01, 0.5]) == pytest.approx(list(multipletests([0.01, 0.01, 0.5], method="holm")[1]))


@pytest.mark.parametrize("pair", [(0, 5), (3, 9), (12, 12), (40, 22)])
def test_mcnemar(pair):
    table = [[100, pair[0]], [pair[1], 50]]
    assert mcnemar(*pair) == pytest.approx(its_mcnemar(table, exact=True).pvalue)


def test_two_rows_that_never_differ_are_no_difference():
    """statsmodels' corrected McNemar gives p = 0 there."""
    assert mcnemar(0, 0) == 1.0


def test_bradley_terry_is_a_logistic_regression_on_pairs():
    rng = generator(1, "pairs")
    wins = rng.random((6, 6)) + 0.05
    np.fill_diagonal(wins, 0.0)
    lines, shares, weights = [], [], []
    for i in range(6):
        for j in range(i + 1, 6):
            line = np.zeros(6)
            line[i], line[j] = 1.0, -1.0
            lines.append(line[1:])  # the first setting is the one that others are measured from
            shares.append(wins[i, j] / (wins[i, j] + wins[j, i]))
            weights.append(wins[i, j] + wins[j, i])
    family = sm.families.Binomial()
    known = sm.GLM(shares, np.array(lines), family=family, freq_weights=np.array(weights)).fit(tol=1e-12)
    strengths = np.concatenate([[0.0], known.params])
    assert fit(wins) == pytest.approx(strengths - strengths.mean(), abs=1e-6)


def test_components_are_those_of_a_mixed_model():
    """In a balanced table whose moments are all positive they are the estimates of restricted likelihood."""
    rng = generator(2, "mixed")
    seeds, queries = 6, 12
    table = 0.6 * rng.standard_normal((seeds, 1)) + 0.8 * rng.standard_normal((1, queries))
    table = table + 0.5 * rng.standard_normal((seeds, queries))
    found = components(table)
    assert min(found.seed, found.query, found.rest) > 0.01
    at = np.indices(table.shape)
    frame = pandas.DataFrame({"y": table.ravel(), "seed": at[0].ravel(), "query": at[1].ravel(), "all": 1})
    parts = {"seed": "0 + C(seed)", "query": "0 + C(query)"}
    model = sm.MixedLM.from_formula("y ~ 1", groups="all", vc_formula=parts, data=frame)
    known = model.fit(reml=True)
    its = dict(zip(model.exog_vc.names, known.vcomp, strict=True))
    assert (found.seed, found.query, found.rest) == pytest.approx(
        (its["seed"], its["query"], known.scale), rel=0.02
    )
