"""Chinese end to end, on real rows: answers in figures of full width and in numerals, judged in Chinese."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import icl
from icl.engine.fake import FakeModel
from icl.experiments.running import judging
from icl.metrics.contains import Contains
from icl.prompts.answers import equivalent, parse
from icl.tasks import TaskData, load_task

MIRROR = Path(os.environ.get("ICL_DATA") or Path(__file__).parents[3] / "shared" / "data")
WIDE = str.maketrans("0123456789.,", "０１２３４５６７８９．，")
DIGITS, UNITS = "零一二三四五六七八九", ("", "十", "百", "千")


@pytest.fixture(autouse=True)
def mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICL_DATA", str(MIRROR))


def loaded(name: str) -> TaskData:
    if not (MIRROR / name).is_dir():
        pytest.skip(f"no {name} in {MIRROR}")
    return load_task(name)


def numeral(number: int) -> str:
    """A number below 10,000 as it is said, 两 for the hundreds and thousands of two."""
    text, gap = "", False
    for at, digit in enumerate(figures := str(number)):
        unit = UNITS[len(figures) - 1 - at]
        if digit == "0":
            gap = True
            continue
        said = "两" if digit == "2" and unit in ("百", "千") else DIGITS[int(digit)]
        text += ("零" if gap and text else "") + said + unit
        gap = False
    return (text[1:] if text.startswith("一十") else text) or "零"


def test_numerals_of_the_test() -> None:
    said = [numeral(n) for n in (0, 5, 12, 20, 105, 320, 2000, 2020)]
    assert said == ["零", "五", "十二", "二十", "一百零五", "三百二十", "两千", "两千零二十"]


@pytest.mark.parametrize("form", ["答案是{}。", "所以，他一共有{}个苹果。", "解：……\n答：{}元"])
def test_sums_are_read_in_every_way_of_writing_them(form: str) -> None:
    data = loaded("mgsm_zh")
    assert len(data.test) == 250
    for example in data.test:
        ways = [example.target, example.target.translate(WIDE)]
        if example.target.isdigit() and int(example.target) < 10_000:
            ways += [numeral(int(example.target)), f"{int(example.target):,}"]
        for way in ways:
            found = parse(form.format(way), data.task, example.query).answer
            assert equivalent(found, example.target, data.task), (form, way, found)


@pytest.mark.parametrize("form", ["{}", "{}。", "答案是{}。", "类别：{}", "这条新闻属于“{}”类。"])
def test_categories_are_read_with_their_punctuation(form: str) -> None:
    data = loaded("tnews")
    for example in data.test[:300]:
        text = form.format(data.task.verbalise(example.target))
        assert parse(text, data.task, example.query).answer == example.target, text


@pytest.mark.parametrize("form", ["{}", "{}。", "答案是{}。", "“{}”", "我认为是{}，没错。"])
def test_every_reference_stands_in_a_right_answer(form: str) -> None:
    data = loaded("chinese_simpleqa")
    missed = [e.target for e in data.test if Contains().score(form.format(e.target), e.target, data.task) < 1]
    assert missed == []


def test_answers_judge_and_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["chinese_simpleqa", "mgsm_zh", "tnews"]
    for name in names:
        loaded(name)
    prompts: list[str] = []

    def knows(prompt: str, letter: str) -> float:
        prompts.append(prompt)
        asked = prompt.rsplit("\n\n", 1)[1]
        reference = asked.split("参考答案：")[1].partition("\n")[0]
        given = asked.rsplit("回答：", 1)[1].partition("\n")[0]
        return -0.1 if letter == ("A" if reference == given else "B") else -3.0

    monkeypatch.setattr(judging, "open_judge", lambda *_, **__: FakeModel(knows))
    run = icl.run(
        {
            "name": "zh",
            "model": "fake",
            "task": names,
            "pool": 8,
            "test": 6,
            "grid": {"selector": ["zero_shot"], "shots": [0], "method": ["generate"]},
            "metric": {"judge": {"simpleqa": {"model": "fake"}}},
        },
        output=tmp_path,
        model=FakeModel(reply_with=lambda prompt, sample: "体育\n"),
    )
    assert all(prompt.startswith("请为简短的事实问题") for prompt in prompts)
    rows = {(row.task, row.selector): row for row in run.leaderboard().rows}
    assert {task for task, _ in rows} == set(names)
    for result in run.results:
        if result.cell.selector != "zero_shot":
            continue
        found = [p.details["judge"]["label"] for p in result.predictions]
        right = result.cell.task == "tnews"
        assert found == ["correct" if right and p.gold == "体育" else "incorrect" for p in result.predictions]
    judged = rows["tnews", "zero_shot"].verdicts
    assert judged is not None
    assert judged.agreement is not None
    assert judged.agreement.value == 1.0, "the judge and accuracy say the same of labels"
