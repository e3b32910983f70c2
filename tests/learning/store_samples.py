"""Small recordings and datasets for the tests of the store."""

from pathlib import Path

import numpy as np

from armflow.learning.store import DatasetWriter, Recording, Schema, infer_schema

FPS = 10.0
EXTRA = {
    "environment": "Test",
    "observe": [0, 1],
    "cameras": {"front": {"depth_scale": 0.001, "serial": "0123", "intrinsics": [[60, 0, 16], [0, 60, 12], [0, 0, 1]]}},
}


def make_recording(index: int, *, pictures: bool = True, length: int = 0) -> Recording:
    """Episode `index` of a made-up play; the same every time."""
    rng = np.random.default_rng(index)
    length = length or 5 + index % 4
    arrays = {
        "observation.state": rng.normal(size=(length, 4)).astype(np.float32),
        "action": rng.normal(size=(length, 2)).astype(np.float32),
    }
    if pictures:
        ramp = np.add.outer(np.arange(24), np.arange(32))
        times = np.arange(length)[:, None, None]
        arrays["observation.images.front"] = np.stack(
            [ramp + 9 * index + times, ramp * 2 + times, 90 + 0 * ramp + times], -1
        )
        arrays["observation.images.front"] = arrays["observation.images.front"].astype(np.uint8)
        arrays["observation.depth.front"] = rng.integers(0, 4096, (length, 24, 32)).astype(np.uint16)
    stamps = 1e6 + 50.0 * index + np.arange(length) / FPS + rng.uniform(0, 0.01, length)
    return Recording(arrays, stamps, f"task {index % 3}")


def make_schema(*, pictures: bool = True) -> Schema:
    """What the recordings hold."""
    return infer_schema(make_recording(0, pictures=pictures), FPS, "xarm6", EXTRA if pictures else {})


def make_dataset(folder: Path, episodes: int, *, pictures: bool = True) -> Path:
    """Write a dataset of made-up play."""
    with DatasetWriter(folder, make_schema(pictures=pictures), durable=False) as writer:
        for index in range(episodes):
            writer.add(make_recording(index, pictures=pictures))
    return folder


def assert_same(found: Recording, wanted: Recording) -> None:
    """Everything is equal bit for bit, except colour, which video keeps to a few levels."""
    assert found.task == wanted.task
    np.testing.assert_array_equal(found.stamps, wanted.stamps)
    assert list(found.arrays) == list(wanted.arrays)
    for name, array in wanted.arrays.items():
        if name.startswith("observation.images."):
            assert np.abs(found.arrays[name].astype(int) - array).mean() < 6
        else:
            assert found.arrays[name].dtype == array.dtype
            np.testing.assert_array_equal(found.arrays[name], array)
