import pytest

from armflow.launch.figures import latency_summary, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),  # Wilson's formula by hand, z = 1.959964
        (95, 100, 0.8882, 0.9785),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 1, 0.2065, 1.0),
    ],
)
def test_wilson_intervals_match_known_values(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_wilson_agrees_with_scipy():
    from scipy.stats import binomtest

    for successes, trials in [(3, 7), (50, 100), (99, 100), (400, 1000)]:
        expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
        assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_without_trials_nothing_is_known():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_latency_pools_the_episodes():
    summary = latency_summary([{"plan": [1.0, 2.0]}, {"plan": [3.0], "track": []}])
    assert summary == {"plan": {"count": 3, "median_ms": 2.0, "p95_ms": pytest.approx(2.9)}}
