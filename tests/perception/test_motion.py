"""Cameras without a pose, and which object moves: on made clips, and on a real one where it is at hand."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import RigidTransform

from armflow.perception.frame import RGBDFrame
from armflow.perception.motion import moving_object
from armflow.perception.recording import load_recording
from armflow.perception.unposed import perceive_unposed
from tests.perception.scenes import block, camera, cup, render

CLIP = Path(__file__).parents[2].parent / "shared" / "data" / "bridge" / "episode_1.npz"
needs_clip = pytest.mark.skipif(
    not CLIP.is_file(), reason="the real clip ../shared/data/bridge/episode_1.npz is not here"
)


def clip(carried: bool, count: int = 14) -> list[RGBDFrame]:
    """A black bar comes down from the picture's top and sweeps to the side, with or without a red square below."""
    rng = np.random.default_rng(0)
    ground = np.broadcast_to(rng.integers(120, 180, (96, 128, 1), dtype=np.uint8), (96, 128, 3))
    frames = []
    for i in range(count):
        rgb = ground.copy()
        left = 8 + 7 * i
        rgb[:50, left : left + 12] = 20
        if carried:
            rgb[60:72, left : left + 12] = (200, 30, 30)
        frames.append(RGBDFrame(rgb, np.ones((96, 128)), np.eye(3), RigidTransform.identity(), 0.1 * i))
    return frames


def test_an_object_that_travels_along_is_found_and_not_the_arm() -> None:
    found = moving_object(clip(carried=True))
    assert found.best >= 0
    for index, mask in found.masks.items():
        rows, columns = np.nonzero(mask)
        assert 58 <= rows.mean() <= 73
        assert abs(columns.mean() - (13.5 + 7 * index)) < 4


def test_an_empty_handed_arm_gives_an_abstention() -> None:
    found = moving_object(clip(carried=False))
    assert (found.best, found.masks) == (-1, {})
    assert found.reason.startswith("no moving object")


def test_a_still_picture_and_a_short_clip_give_abstentions() -> None:
    frame = clip(carried=True)[0]
    assert moving_object([frame] * 8).best == -1
    assert "too few" in moving_object([frame] * 2).reason


def unposed(noise: float = 0.001) -> RGBDFrame:
    frame, _ = render([block(0.5, 0.1), cup(0.5, -0.1)], camera(), rng=np.random.default_rng(0), noise=noise)
    return replace(frame, T_world_camera=RigidTransform.identity())


def test_objects_are_found_without_the_pose_of_the_camera() -> None:
    scene = perceive_unposed(unposed(), rng=np.random.default_rng(0))
    assert scene.shapes_told
    assert sorted(d.state.name for d in scene.objects.detections) == ["blue cup", "red block"]
    origins = {d.kind: d.T_world_object.translation for d in scene.objects.detections}
    gap = np.linalg.norm(origins["block"][:2] - origins["cup"][:2])
    assert gap == pytest.approx(0.2, abs=0.004)


def test_no_kinds_are_told_from_rough_depth() -> None:
    frame = unposed()
    noise = cv2.GaussianBlur(np.random.default_rng(0).standard_normal(frame.depth.shape), (0, 0), 6)
    scene = perceive_unposed(
        replace(frame, depth=frame.depth + 0.012 * noise / noise.std()), rng=np.random.default_rng(0)
    )
    assert not scene.shapes_told
    assert all(d.kind == "unknown" for d in scene.objects.detections)


@needs_clip
def test_the_carried_spoon_is_what_moves_in_the_real_clip() -> None:
    found = moving_object(load_recording(CLIP).frames)
    assert 16 <= found.best <= 22
    row, column = np.argwhere(found.masks[18]).mean(0)  # by eye: below the gripper, in front of the dark wood
    assert abs(row - 60) < 20
    assert abs(column - 112) < 25


@needs_clip
def test_the_real_clip_has_a_surface_and_few_objects() -> None:
    recording = load_recording(CLIP)
    scene = perceive_unposed(recording.frames[0], rng=np.random.default_rng(0))
    assert not scene.shapes_told
    assert 1 <= len(scene.objects.detections) <= 12
    assert "green object" in [d.state.name for d in scene.objects.detections]
