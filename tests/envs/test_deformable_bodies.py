"""Cloth, plush body and box: lengths, rest, repetition, and what material does."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from armflow.envs.deformable.body import Ranges, SoftBody
from armflow.envs.deformable.box import lid_box
from armflow.envs.deformable.cloth import BENDING, cloth
from armflow.envs.deformable.cloth_tasks import _lift, corner_grasp
from armflow.envs.deformable.free_hand import FreeHand, hand_down
from armflow.envs.deformable.plush import plush
from armflow.envs.deformable.world import SoftWorld
from armflow.robot.embodiments import load_arm

PLACE = np.array([0.42, 0.0])
BODIES = {"cloth": cloth, "plush": plush, "box": lid_box}


@pytest.fixture(scope="module")
def world() -> SoftWorld:
    return SoftWorld(load_arm("xarm6"))


def stretch(world: SoftWorld) -> np.ndarray:
    ends = world.data.flexvert_xpos[world.model.flex_edge]
    return np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) / world.model.flexedge_length0 - 1.0


def push(world: SoftWorld, frames: int) -> None:
    """Drive closed fingers into the thing along y."""
    start = hand_down(np.array([*(PLACE - [0.0, 0.16]), 0.003]), 0.0, 0.0)
    hand = FreeHand(world, start)
    for share in np.arange(1, frames + 1) / 30.0:
        hand.step(start + share * np.array([0.0, 0.2, *[0.0] * 6]))


def volume(body: SoftBody, vertices: np.ndarray) -> float:
    a, b, c = vertices[body.faces].swapaxes(0, 1)
    return float(np.einsum("ni,ni->", np.cross(a, b), c) / 6.0)


@pytest.mark.parametrize("make", BODIES.values(), ids=BODIES)
def test_a_settled_body_does_not_creep(world: SoftWorld, make: Callable[..., SoftBody]) -> None:
    world.load(make(PLACE, rng=np.random.default_rng(0)))
    before = world.vertices()
    for _ in range(15):
        world.step(world.read_q(), 1.0)
    assert np.abs(world.vertices() - before).max() < 5e-4
    assert world.vertices()[:, 2].min() > -2e-3


@pytest.mark.parametrize("make", BODIES.values(), ids=BODIES)
def test_restoring_a_state_repeats_a_push_bit_for_bit(world: SoftWorld, make: Callable[..., SoftBody]) -> None:
    world.load(make(PLACE, rng=np.random.default_rng(1)))
    before, saved, ends = world.vertices(), world.save(), []
    for _ in range(2):
        world.restore(saved)
        push(world, 27)
        ends.append(world.vertices())
    assert world.poisoned is None
    assert np.array_equal(*ends)
    assert (ends[0].mean(axis=0) - before.mean(axis=0))[1] > 0.01


def test_a_cloth_lifted_by_a_corner_keeps_its_length(world: SoftWorld) -> None:
    world.load(cloth(PLACE, rng=np.random.default_rng(1)))
    _lift(world, corner_grasp(world.vertices(), 0), 0.12)
    assert world.vertices()[:, 2].max() > 0.09
    assert stretch(world).max() < 0.03
    assert np.abs(stretch(world)).mean() < 0.002


def test_stiffness_of_a_cloth_is_that_of_bending_and_not_of_stretching(world: SoftWorld) -> None:
    bending, stretching = [], []
    for share in (0.0, 1.0):
        world.load(cloth(PLACE, rng=np.random.default_rng(1), ranges=Ranges((share, share), (0.5, 0.5))))
        bending.append(np.abs(world.model.flex_bending).max())
        stretching.append(np.abs(world.model.flex_stiffness).max())
    assert bending[1] / bending[0] == pytest.approx(BENDING[1] / BENDING[0], rel=1e-3)
    assert stretching[1] == pytest.approx(stretching[0], rel=1e-3)


def test_a_plush_body_is_closed_and_a_softer_one_is_squeezed_further(world: SoftWorld) -> None:
    widths = []
    for share in (0.0, 1.0):
        world.load(plush(PLACE, rng=np.random.default_rng(2), ranges=Ranges((share, share), (0.5, 0.5))))
        vertices = world.vertices()
        edges = np.sort(np.concatenate([world.body.faces[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
        assert 5e-5 < volume(world.body, vertices) < 5e-4
        along = np.linalg.svd(vertices[:, :2] - vertices[:, :2].mean(axis=0), full_matrices=False)[2][0]
        pose = hand_down(np.array([*vertices[:, :2].mean(axis=0), 0.012]), np.arctan2(along[1], along[0]), 1.0)
        hand = FreeHand(world, pose)
        for opening in np.maximum(np.linspace(1.0, -1.0, 20), 0.0):
            hand.step(np.append(pose[:7], opening))
        widths.append(world.read_gripper())
    assert widths[0] < widths[1] - 0.03


def test_the_lid_stays_where_its_hinge_was_put(world: SoftWorld) -> None:
    world.load(lid_box(PLACE, rng=np.random.default_rng(3)))
    for angle in (0.0, 0.8, 2.0):
        world.bend("box_lid", angle)
        for _ in range(15):
            world.step(world.read_q(), 1.0)
        assert world.data.joint("box_lid").qpos[0] == pytest.approx(angle, abs=0.02)


def test_a_simulation_that_breaks_down_says_so_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    world = SoftWorld(load_arm("xarm6"))
    world.load(lid_box(PLACE, rng=np.random.default_rng(3)))
    world.data.qvel[:] = 1e12
    world.step(world.read_q(), 1.0)
    assert world.poisoned is not None
    assert not list(tmp_path.iterdir())
