"""Figures as files: what is drawn, read back out of the pixels and of the drawing itself."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from icl.experiments.study.drawing import draw_figures, png
from icl.mechanism.contract import Figure, Series


def pixels(figure: Figure) -> np.ndarray:
    """[height, width, 3]."""
    return np.asarray(Image.open(BytesIO(png(figure))).convert("RGB"), dtype=int)


def count(image: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(image - colour).max(axis=2) < 12).sum())


BLUE = (31, 119, 180)


def one(series: Series, **other: object) -> Figure:
    return Figure("f", "cost $x$ of", "x", "y", (series,), **other)  # type: ignore[arg-type]


def test_a_bar_has_the_height_of_its_number() -> None:
    tall = count(pixels(one(Series("s", ("a", "b"), (4.0, 0.0), kind="bars"))), BLUE)
    both = count(pixels(one(Series("s", ("a", "b"), (4.0, 4.0), kind="bars"))), BLUE)
    assert both == pytest.approx(2 * tall, rel=0.1)


def test_a_hole_is_not_drawn_over() -> None:
    whole = count(pixels(one(Series("s", (0, 1, 2, 3), (1, 1, 1, 1)))), BLUE)
    holed = count(pixels(one(Series("s", (0, 1, 2, 3), (1, 1, None, 1)))), BLUE)
    assert 0 < holed < 0.6 * whole


def test_a_control_is_drawn_apart() -> None:
    line = Series("s", (0, 1), (0, 1))
    control = Series("s", (0, 1), (0, 1), control=True)
    assert count(pixels(one(control)), BLUE) < 0.5 * count(pixels(one(line)), BLUE)


def test_the_first_row_of_a_map_is_at_the_bottom() -> None:
    image = pixels(Figure("f", "t", "x", "y", cells=((0.0, 0.0), (1.0, 1.0))))
    yellow = np.abs(image - (253, 231, 37)).max(axis=2) < 12
    left = image.shape[1] // 2  # the bar of colours stands at the right
    rows = np.nonzero(yellow[:, :left].any(axis=1))[0]
    assert rows.max() < image.shape[0] * 0.6


def test_what_is_above_the_highest_is_cut_off_and_leaves_the_rest_its_room() -> None:
    def height_of_the_flat_line(highest: float | None) -> float:
        lines = (Series("s", (0, 1, 2), (1, 1, 1)), Series("far", (0, 1, 2), (1, 900, 1)))
        image = pixels(Figure("f", "t", "x", "y", lines, highest=highest))
        blue = np.abs(image - BLUE).max(axis=2) < 12
        return 1 - float(np.median(np.nonzero(blue[:, : image.shape[1] // 2])[0])) / image.shape[0]

    assert height_of_the_flat_line(None) < 0.25
    assert 0.4 < height_of_the_flat_line(2.0) < 0.65


def test_the_same_data_give_the_same_file(tmp_path) -> None:
    figure = one(Series("$a_b$ \x1b[31m", (1, 2), (3, 4), (2, None), (4, None), kind="points"), log_x=True)
    assert png(figure) == png(figure)
    assert draw_figures([figure], tmp_path / "figures") == ""
    assert (tmp_path / "figures" / "f.png").read_bytes() == png(figure)
