#!/usr/bin/env bash
# torchmetrics 1.9.0 gives the same scores another AUROC with another batch size.
#
# Versions: torchmetrics 1.9.0, torch 2.13.0, numpy 2.4.6.
# One would guess: AUROC and average precision look at ranks only, and a metric that collects batches gives what it gives for all
#   rows at once; scores may be margins or log-odds, as its documentation allows.
# Seen: whether scores are logits is decided batch by batch. A batch with a value outside [0, 1] goes through the sigmoid, one
#   without does not, and both are then ranked together: the AUROC of 1,000 margins is 0.790 in one batch and 0.744 one by one.
#   The last batch of an evaluation, which is short, is enough for a difference.
# Exits 0 while this is so, 1 if it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6 2> >(grep -v WARNING >&2)
cat >"$work/look.py" <<'PY'
import numpy as np
import torch
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision

draws = np.random.default_rng(0)
gold = torch.tensor(draws.integers(0, 2, 1000))
margins = torch.tensor(0.8 * (draws.normal(0, 1, 1000) + gold.numpy())).float()


def by_batch(kind, scores, size):
    metric = kind()
    for at in range(0, len(scores), size):
        metric.update(scores[at : at + size], gold[at : at + size])
    return float(metric.compute())


for kind in (BinaryAUROC, BinaryAveragePrecision):
    found = {size: by_batch(kind, margins, size) for size in (1000, 10, 4, 2, 1)}
    print(kind.__name__, " ".join(f"{size}: {value:.3f}" for size, value in found.items()))
    assert found[1000] - found[1] > 0.03, "the size of a batch no longer matters"
    said = {size: by_batch(kind, margins.sigmoid(), size) for size in (1000, 1)}
    assert abs(said[1000] - said[1]) < 1e-6 and abs(said[1000] - found[1000]) < 1e-3, "probabilities are safe"
PY
"$work/venv/bin/python" "$work/look.py"
