"""Training throughput: icl's loop against peft with transformers' Trainer on the same work.

    ICL_DATA=DIR OMP_NUM_THREADS=1 python benchmarks/training.py --json benchmarks/results/training.json

LoRA (rank 8, all linear layers) of the embedded model on SST-2, batches of 8 rows:
short: the task's prompt and answer, as `lora` trains on them; shared: every row of a batch behind the same
demonstrations, as `metaicl` with `shared_demonstrations`. Both train the same ids on the same targets in the
same batches, from the same weights; the first loss of each says whether it is so. Trainer pads on the right
to the longest of a batch. The two take turns, `--rounds` times; the first step of a run is not timed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from icl.bench.run import processor
from icl.engine.loading.load import Opened, open_network
from icl.engine.trie.preorder import as_arrays, count_unique
from icl.prompts import PromptRenderer
from icl.seeding import stream_key
from icl.tasks import load_task
from icl.training import TrainingRow, TrainingStep
from icl.tuning.lora import Lora
from icl.tuning.shared.loop import train
from icl.tuning.shared.objective import NegativeLogLikelihood
from icl.tuning.shared.rows import task_rows
from icl.tuning.shared.tokens import TokenRow, tokenised
from icl.types import Demonstration, Query

BATCH, DEMONSTRATIONS, RATE = 8, 8, 1e-4
Batches = list[list[TokenRow]]


def opened() -> Opened:
    return open_network("smollm2-135m-instruct", dtype="float32", device="cpu")


def batches_of(model: Opened, steps: int, *, shared: bool) -> Batches:
    """Rows of SST-2's pool, `BATCH` a step; each step's own demonstrations where they are shared."""
    data = load_task("sst2")
    pool = data.split(max(256, steps * (BATCH + DEMONSTRATIONS)), 8).pool
    renderer = PromptRenderer(task=data.task, tokenizer=model.tokenizer, context_length=model.context_length)
    rows: list[TrainingRow] = []
    if not shared:
        rows = task_rows(pool[: steps * BATCH], data.task, renderer)
    for step in range(steps if shared else 0):
        part = pool[step * (BATCH + DEMONSTRATIONS) :]
        shown = [Demonstration(example) for example in part[:DEMONSTRATIONS]]
        for example in part[DEMONSTRATIONS : DEMONSTRATIONS + BATCH]:
            query: Query = example.query
            rows.append(
                TrainingRow(
                    example.id, renderer.prompt(query, shown).text,
                    renderer.answer(example.target, query=query), "sst2",
                )
            )  # fmt: skip
    made = tokenised(rows, model.tokenizer, model.context_length).rows
    assert len(made) == steps * BATCH
    return [list(made[at : at + BATCH]) for at in range(0, len(made), BATCH)]


def ours(batches: Batches) -> tuple[list[float], list[float]]:
    """(losses, seconds of each step) of icl's loop."""
    model = opened()
    settings = Lora(steps=len(batches), batch_size=BATCH, learning_rate=RATE)
    seeded()
    attached = settings.attach(model.network, None)
    ended: list[float] = []

    def report(step: TrainingStep) -> None:
        ended.append(time.perf_counter())

    trained = train(
        attached, batches.__getitem__, NegativeLogLikelihood(), settings, RATE,
        seed=0, report=report,
    )  # fmt: skip
    return trained.losses, differences(ended)


def theirs(batches: Batches) -> tuple[list[float], list[float]]:
    """(losses, seconds of each step) of transformers' Trainer on peft's model."""
    import peft
    from transformers import Trainer, TrainerCallback, TrainingArguments

    model = opened()
    seeded()
    network = peft.get_peft_model(
        model.network,
        peft.LoraConfig(r=8, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    ended: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *args: Any, **more: Any) -> None:
            ended.append(time.perf_counter())

    arguments = TrainingArguments(
        output_dir="unused", use_cpu=True, bf16=False, per_device_train_batch_size=BATCH,
        max_steps=len(batches), learning_rate=RATE, weight_decay=0.0, train_sampling_strategy="sequential",
        logging_steps=1, save_strategy="no", report_to=[], disable_tqdm=True, seed=0,
        remove_unused_columns=False, dataloader_num_workers=0,
    )  # fmt: skip
    trainer = Trainer(
        model=network, args=arguments, train_dataset=[row for batch in batches for row in batch],
        data_collator=padded, callbacks=[Clock()],
    )  # fmt: skip
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return losses, differences(ended)


def padded(rows: Sequence[TokenRow]) -> dict[str, torch.Tensor]:
    """Filled up on the right; what is not learned is no label."""
    width = max(len(row.ids) for row in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    labels, mask = torch.full_like(ids, -100), torch.zeros_like(ids)
    for at, row in enumerate(rows):
        count = len(row.ids)
        ids[at, :count], mask[at, :count] = torch.tensor(row.ids), 1
        labels[at, row.start : count] = torch.tensor(row.ids[row.start :])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def seeded() -> None:
    torch.manual_seed(stream_key(0, "tuning init") % 2**63)


def differences(ended: Sequence[float]) -> list[float]:
    return [b - a for a, b in pairwise(ended)]


def said() -> dict[str, Any]:
    """What it was measured on and with."""
    import peft
    import transformers

    return {
        "device": processor(), "threads": torch.get_num_threads(), "load": round(os.getloadavg()[0], 1),
        "torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__,
    }  # fmt: skip


def measured(name: str, batches: Batches, rounds: int) -> dict[str, Any]:
    """Both by turns: tokens a second (as rows count them, without padding) of the best round."""
    ways = {"trainer": theirs, "icl": ours}
    tokens = sum(len(row.ids) for batch in batches[1:] for row in batch)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    losses: dict[str, list[float]] = {}
    for turn in range(rounds):
        for way in list(ways) if turn % 2 == 0 else list(ways)[::-1]:
            losses[way], taken = ways[way](batches)
            seconds[way].append(sum(taken))
            print(f"{name}, {way}: {tokens / sum(taken):.1f} tokens/s, losses {losses[way]}", flush=True)
    best = {way: min(taken) for way, taken in seconds.items()}
    return {
        "tokens": tokens,
        "tokens_forwarded": sum(count_unique(as_arrays([row.ids for row in b])) for b in batches[1:]),
        "tokens_padded": sum(len(b) * max(len(row.ids) for row in b) for b in batches[1:]),
        "steps": len(batches) - 1,
        "tokens_a_second": {way: round(tokens / taken, 1) for way, taken in best.items()},
        "times_trainer": {way: round(best["trainer"] / taken, 3) for way, taken in best.items()},
        "seconds": {way: [round(t, 2) for t in taken] for way, taken in seconds.items()},
        "first_loss": {way: round(found[0], 4) for way, found in losses.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=5, help="of a run, the first not timed")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=["short", "shared"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = opened()
    made = {
        name: batches_of(model, options.steps, shared=name == "shared")
        for name in ("short", "shared")
        if options.only in (None, name)
    }
    del model
    found = {name: measured(name, batches, options.rounds) for name, batches in made.items()}
    text = json.dumps({"machine": said(), **found}, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
