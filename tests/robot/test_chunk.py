import numpy as np
import pytest

from armflow.robot.chunk import ActionChunk
from armflow.robot.errors import ShapeError, ValueRangeError
from armflow.robot.watchdog import Watchdog

Q, OPEN = np.zeros((4, 7)), np.ones(4)


def test_chunk_knows_its_horizon():
    assert ActionChunk(Q, OPEN, 0.04, 0.0).horizon == 4


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ((Q[0], OPEN, 0.04, 0.0), ShapeError, "q must be an array"),
        ((Q.tolist(), OPEN, 0.04, 0.0), ShapeError, "q must be an array"),
        ((Q, OPEN[:3], 0.04, 0.0), ShapeError, "gripper must be .* with H = 4"),
        ((Q[:0], OPEN[:0], 0.04, 0.0), ShapeError, "H >= 1"),
        ((Q * np.nan, OPEN, 0.04, 0.0), ShapeError, "q must be finite; got 28 non-finite entries of 28"),
        ((Q, OPEN * np.inf, 0.04, 0.0), ShapeError, "gripper must be finite"),
        ((Q, 2 * OPEN, 0.04, 0.0), ValueRangeError, "within 0"),
        ((Q, -OPEN, 0.04, 0.0), ValueRangeError, "within 0"),
        ((Q, OPEN, 0.0, 0.0), ValueRangeError, "dt is 0.0"),
        ((Q, OPEN, np.nan, 0.0), ValueRangeError, "dt is nan"),
        ((Q, OPEN, 0.04, np.inf), ValueRangeError, "stamp is inf"),
    ],
)
def test_chunk_refuses(fields, error, message):
    with pytest.raises(error, match=message):
        ActionChunk(*fields)


def test_watchdog_waits_for_the_first_word_of_each_source():
    dog = Watchdog({"observation": 0.5, "command": 0.2})
    dog.heard("observation", 0.0)
    assert dog.stop_reason(0.0) == "no command has come yet"


def test_watchdog_is_content_up_to_the_limit_and_names_what_is_stale_beyond():
    dog = Watchdog({"observation": 0.5, "command": 0.2})
    dog.heard("observation", 1.0)
    dog.heard("command", 1.0)
    assert dog.stop_reason(1.2) == ""
    assert dog.stop_reason(1.25) == "command is 0.250 s old; the limit is 0.200 s"


def test_watchdog_takes_a_clock_that_went_back_for_stale():
    dog = Watchdog({"command": 0.2})
    dog.heard("command", 5.0)
    assert dog.stop_reason(4.0).startswith("command is -1.000 s old")


@pytest.mark.parametrize("limit", [0.0, -1.0, np.nan, np.inf])
def test_watchdog_refuses_limits_that_never_or_always_bark(limit):
    with pytest.raises(ValueRangeError, match="limit of command"):
        Watchdog({"command": limit})
