import re

import pytest

from armflow.launch.curves import curve_chart, curves, render_training, ticks

LINES = [
    {"step": 10, "samples": 1000, "seconds": 36.0, "loss": 1.0},
    {
        "step": 10,
        "samples": 1000,
        "seconds": 36.0,
        "validation/loss": 1.2,
        "rollouts/success": 0.1,
        "rollouts/episodes": 20,
    },
    {"step": 20, "samples": 2000, "seconds": 72.0, "loss": None},
    {"step": 30, "samples": 3000, "seconds": 108.0, "loss": 0.01},
    {
        "step": 30,
        "samples": 3000,
        "seconds": 108.0,
        "validation/loss": 0.1,
        "rollouts/success": 0.9,
        "rollouts/episodes": 20,
    },
]
RECORD = {
    "method": "beso",
    "preset": "quick",
    "status": "running",
    "command": "armflow train beso --data <play>",
    "train": {"steps": 40, "batch": 100},
    "data": {"name": "play", "episodes": 3},
    "versions": {"torch": "2", "none": None},
    "hardware": {"cores": "2"},
}


def heights(picture: str) -> list[list[float]]:
    """Heights, px from the top, of the points of each curve."""
    return [[float(p.split(",")[1]) for p in line.split()] for line in re.findall(r'points="([^"]*)"', picture)]


def test_a_curve_leaves_out_what_was_not_finite():
    curve = curves(LINES, "loss")
    assert curve.values == (1.0, 0.01)
    assert curve.samples == (1000, 3000)
    assert curve.hours == pytest.approx((0.01, 0.03))


def test_rates_carry_their_interval():
    curve = curves(LINES, "rollouts/success", trials="rollouts/episodes")
    assert all(low < value < high for low, value, high in zip(curve.lows, curve.values, curve.highs, strict=True))
    assert curve.lows[1] == pytest.approx(0.6990, abs=1e-4)  # Wilson, 18 of 20


def test_a_curve_that_falls_is_drawn_falling_against_samples_and_hours():
    drawn = heights(curve_chart([curves(LINES, "loss")], "loss"))
    assert len(drawn) == 2
    assert all(first < last for first, last in drawn)  # px count downwards
    assert drawn[0] == drawn[1]


def test_rates_are_drawn_between_0_and_100_percent():
    first, last = heights(curve_chart([curves(LINES, "rollouts/success")], "success", rate=True))[0]
    assert (first, last) == (200 - 0.1 * 190, 200 - 0.9 * 190)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.13, 7.9), (-3, 4e6), (2, 2), (0, 0), (1e-9, 2e-9)])
def test_ticks_enclose_what_they_measure(low, high):
    marks = ticks(low, high)
    assert marks[0] <= low
    assert marks[-1] >= high * (1 - 1e-9)
    assert 2 <= len(marks) <= 8


def test_curves_of_one_point_and_of_one_value_can_be_drawn():
    one = [{"step": 1, "samples": 8, "seconds": 1.0, "loss": 0.0}]
    assert "nan" not in curve_chart([curves(one, "loss")], "loss").replace("dominant", "")
    assert heights(curve_chart([curves([*one, *one], "loss")], "loss"))


def test_the_page_shows_state_curves_and_command():
    page = render_training(LINES, RECORD)
    assert page.count("<svg") == 2
    assert "90 %" in page
    assert "armflow train beso --data &lt;play&gt;" in page
    assert "minutes" in page


def test_a_page_without_a_line_says_how_far_it_is():
    assert "step 0 of 40" in render_training([], RECORD)
