"""Pictures of a dataset in memory, for training: `add_pictures`."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from armflow.learning.store import layout
from armflow.learning.store.load import load_table
from armflow.learning.store.reader import open_dataset
from armflow.learning.store.schema import IMAGES, Schema
from armflow.learning.store.table import EpisodeTable
from armflow.policies.pictures import PictureConfig, PictureError, resize
from armflow.robot.errors import ChoiceError

__all__ = ["MOST_BYTES", "add_pictures", "choose_columns"]

LARGEST = 96  # px; the longer side of a picture in memory
MOST_BYTES = 4 * 2**30  # of all pictures together: 155 000 of 96 x 96
STATE = "observation.state"


def choose_columns(schema: Schema, names: Sequence[str]) -> Schema:
    """Let a policy see these columns of the state, by name or number, and no others.

    Raises:
        ChoiceError: No such column.
    """
    feature = schema.features[STATE]
    known = [str(name) for name in feature.names or range(feature.shape[0])]
    columns = []
    for name in names:
        if name in known:
            columns.append(known.index(name))
        elif name.isdigit() and int(name) < feature.shape[0]:
            columns.append(int(name))
        else:
            raise ChoiceError("column of the state", name, known)
    return replace(schema, extra={**schema.extra, "observe": sorted(set(columns))})


def add_pictures(
    path: str | Path, table: EpisodeTable, schema: Schema, camera: str, *, observe: Sequence[str] = ()
) -> tuple[EpisodeTable, Schema]:
    """Read a camera's pictures and hide from the policy what it shall see in them.

    Pictures stay uint8, at most `LARGEST` px wide and high; larger ones are scaled down as they are read. Objects that
    are alike in the state look different in a picture, so that they no longer count as alike.

    Args:
        path: Where the table is from.
        table: Its numbers.
        schema: What they mean.
        camera: Name of the camera.
        observe: Columns of the state that the policy sees besides; by default those of the robot, which the dataset
            names as the ones that an action shifts ("moved").

    Returns:
        The table with "observation.images.<camera>" [F, H, W, 3] uint8, and the schema that says what a policy sees.

    Raises:
        PictureError: The dataset has no pictures of this camera, or more than `MOST_BYTES`; or it does not say which
            columns are the robot's, and neither does `observe`.
        DatasetError: A picture cannot be decoded.
    """
    name = _find(path, schema, camera)
    schema = choose_columns(schema, observe or _own(schema))
    height, width = schema.features[name].shape[:2]
    scale = min(1.0, LARGEST / max(height, width))
    size = max(round(height * scale), 1), max(round(width * scale), 1)
    needed = table.frames * size[0] * size[1] * 3
    if needed > MOST_BYTES:
        raise PictureError(
            f"{table.frames} pictures of {size[1]} x {size[0]} px need {needed / 2**30:.1f} GiB of memory, more than "
            f"the {MOST_BYTES / 2**30:.0f} GiB set aside: record smaller ones (--camera-size), or fewer episodes"
        )
    pictures = np.empty((table.frames, *size, 3), np.uint8)
    frame = -1
    for frame, picture in enumerate(_each(Path(path), name)):
        pictures[frame] = resize(picture, *size)
    if frame + 1 != table.frames:
        raise PictureError(f"{path} has {table.frames} frames but {frame + 1} pictures: run `armflow data check`")
    config = PictureConfig(camera, *size, _intrinsics(schema, camera, size[1] / width, size[0] / height))
    extra = {**schema.extra, "alike": [], "picture": asdict(config)}
    return EpisodeTable({**table.arrays, name: pictures}, table.starts), replace(schema, extra=extra)


def _find(path: str | Path, schema: Schema, camera: str) -> str:
    """Name of the feature with a camera's pictures."""
    cameras = [name.removeprefix(IMAGES) for name in schema.features if name.startswith(IMAGES)]
    if not cameras:
        raise PictureError(
            f"{path} has no pictures to train on: record with `armflow play record --images`, or leave --images away"
        )
    if camera not in cameras:
        raise ChoiceError("camera", camera, cameras)
    return IMAGES + camera


def _own(schema: Schema) -> list[str]:
    """Numbers of the robot's columns."""
    moved = schema.extra.get("moved", ())
    if not moved:
        feature = schema.features[STATE]
        known = ", ".join(str(name) for name in feature.names or range(feature.shape[0]))
        raise PictureError(f"say with --observe which columns a policy sees besides the picture; the state has {known}")
    return [str(column) for group in moved for column in group]


def _each(path: Path, name: str) -> Iterable[np.ndarray]:
    """Pictures of all frames, one after the other."""
    if not (path / layout.INFO).exists():
        return load_table(path, (name,))[0].arrays[name]
    dataset = open_dataset(path)
    return (picture for entry in dataset.entries for picture in dataset.pictures(entry, name))


def _intrinsics(schema: Schema, camera: str, across: float, down: float) -> tuple[tuple[float, ...], ...]:
    """Intrinsics of a camera whose pictures are scaled, px; () where the dataset does not tell."""
    told = schema.extra.get("cameras", {}).get(camera, {}).get("intrinsics")
    if told is None:
        return ()
    (fx, skew, cx), (_, fy, cy), last = told
    x, y = (fx * across, skew * across, (cx + 0.5) * across - 0.5), (0.0, fy * down, (cy + 0.5) * down - 0.5)
    return x, y, tuple(last)
