import numpy as np
import pytest

from armflow.envs.sensor import DepthSensor
from armflow.robot.errors import ShapeError, ValueRangeError

EXACT = DepthSensor(sigma=0.0, quantum=0.0, edge_dropout=0.0, speckle=0.0)


def measure(sensor, depth, seed=0):
    return sensor.measure(depth, rng=np.random.default_rng(seed))


def plane(z, shape=(120, 160)):
    return np.full(shape, z, np.float32)


def test_sensor_without_flaws_returns_the_truth():
    depth = np.random.default_rng(0).uniform(0.3, 2.0, (40, 50)).astype(np.float32)
    np.testing.assert_allclose(measure(EXACT, depth), depth, rtol=1e-6)


@pytest.mark.parametrize("z", [0.5, 1.0, 2.0])
def test_noise_grows_with_the_square_of_distance(z):
    reading = measure(DepthSensor(quantum=0.0, edge_dropout=0.0, speckle=0.0), plane(z, (300, 300)))
    assert reading.std() == pytest.approx(0.001 * z * z, rel=0.02)  # 9e4 samples: 1 / sqrt(2 n) = 0.24 %
    assert reading.mean() == pytest.approx(z, abs=2e-5 * z * z)


@pytest.mark.parametrize("z", [0.5, 1.0, 2.0])
def test_steps_grow_with_the_square_of_distance(z):
    sensor = DepthSensor(sigma=0.0, quantum=0.004, edge_dropout=0.0, speckle=0.0)
    ramp = np.linspace(0.97 * z, 1.03 * z, 4000, dtype=np.float32)[None]
    steps = np.diff(np.unique(measure(sensor, ramp)))
    np.testing.assert_allclose(steps, 0.004 * z * z, rtol=0.08)  # z itself changes by 3 % over the ramp


def test_edges_lose_about_the_share_of_pixels_that_was_asked_for():
    depth = plane(1.0, (400, 40))
    depth[:, 20:] = 0.8
    gone = np.isnan(measure(DepthSensor(edge_dropout=0.5, speckle=0.0), depth))
    assert gone[:, 19:21].mean() == pytest.approx(0.5, abs=0.06)
    assert not gone[:, :19].any()
    assert not gone[:, 21:].any()


def test_smooth_slopes_are_no_edges():
    depth = np.tile(np.linspace(0.6, 1.2, 160, dtype=np.float32), (120, 1))
    assert np.isfinite(measure(DepthSensor(edge_dropout=1.0, speckle=0.0), depth)).all()


def test_speckle_takes_its_share():
    gone = np.isnan(measure(DepthSensor(speckle=0.1, edge_dropout=0.0), plane(1.0, (300, 300))))
    assert gone.mean() == pytest.approx(0.1, abs=0.005)


def test_out_of_range_and_empty_pixels_give_no_reading():
    depth = np.array([[np.nan, np.inf, 0.05, 9.0, -1.0, 0.0, 1.0]], np.float32)
    reading = measure(EXACT, depth)
    assert np.isnan(reading[0, :6]).all()
    assert reading[0, 6] == pytest.approx(1.0)


def test_same_seed_same_reading_and_the_argument_is_left_alone():
    depth = plane(0.9)
    kept = depth.copy()
    first, again, other = (measure(DepthSensor(), depth, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other, equal_nan=True)
    np.testing.assert_array_equal(depth, kept)


def test_sensor_refuses_impossible_numbers():
    with pytest.raises(ValueRangeError, match=r"edge_dropout is 1\.5"):
        DepthSensor(edge_dropout=1.5)
    with pytest.raises(ValueRangeError, match="sigma"):
        DepthSensor(sigma=float("nan"))
    with pytest.raises(ValueRangeError, match="z_max"):
        DepthSensor(z_min=5.0)
    with pytest.raises(ShapeError, match="depth"):
        measure(DepthSensor(), np.ones((2, 2, 2)))
