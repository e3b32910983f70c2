"""Scripted motion from the simulator's truth, for tests of the physics alone; the limiter still watches."""

import numpy as np
from scipy.spatial.transform import RigidTransform, Rotation

from armflow.envs.episode import TaskWorld
from armflow.envs.world import CONTROL_PERIOD
from armflow.robot.chunk import ActionChunk
from armflow.robot.ik import solve_ik


def down(x: float, y: float, z: float, yaw: float = 0.0) -> RigidTransform:
    """Tool pose that looks straight down, its fingers closing along (-sin yaw, cos yaw)."""
    return RigidTransform.from_components([x, y, z], Rotation.from_euler("z", yaw) * Rotation.from_euler("x", np.pi))


def nearest_yaw(yaw: float) -> float:
    """The same yaw modulo half a turn, within a quarter turn of 0."""
    return float((yaw + np.pi / 2) % np.pi - np.pi / 2)


def solve(world: TaskWorld, T_world_tool: RigidTransform) -> np.ndarray:
    result = solve_ik(world.arm.model, T_world_tool, world.arm.read_q(), rng=np.random.default_rng(0))
    assert result.ok, result.reason
    return result.q


def move(world: TaskWorld, T_world_tool: RigidTransform, gripper: float, seconds: float) -> float:
    """Move smoothly in joint space; returns the largest tracking error, rad."""
    q_start, q_end = world.arm.read_q(), solve(world, T_world_tool)
    count = round(seconds / CONTROL_PERIOD)
    s = np.linspace(0, 1, count + 1)[1:, None]
    q = q_start + s**3 * (10 - 15 * s + 6 * s**2) * (q_end - q_start)
    worst = 0.0
    for row in q:
        world.arm.execute(ActionChunk(row[None], np.array([gripper]), CONTROL_PERIOD, world.time))
        worst = max(worst, float(abs(world.arm.read_q() - row).max()))
    return worst


def hold(world: TaskWorld, gripper: float, seconds: float) -> None:
    count = round(seconds / CONTROL_PERIOD)
    q = np.repeat(world.arm.read_q()[None], count, axis=0)
    world.arm.execute(ActionChunk(q, np.full(count, gripper), CONTROL_PERIOD, world.time))


def grasp_block(world: TaskWorld, handle: int) -> float:
    """Pick a block up across its shorter side and lift it; returns the yaw of the tool."""
    pose = world.world.pose(handle)
    x, y, z = pose.translation
    yaw = nearest_yaw(pose.rotation.as_euler("xyz")[2])
    move(world, down(x, y, 0.15, yaw), 1.0, 2.0)
    move(world, down(x, y, max(z, 0.014), yaw), 1.0, 1.0)
    hold(world, 0.0, 0.8)
    move(world, down(x, y, 0.2, yaw), 0.0, 1.0)
    return yaw
