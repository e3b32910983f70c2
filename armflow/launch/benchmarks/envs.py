"""How fast the environments step and go back, beside plain pybullet on the same machine; one thread."""

import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pybullet

from armflow.envs.gym_env import ArmflowEnv
from armflow.envs.shapes import block, place
from armflow.envs.world import SUBSTEPS, World
from armflow.robot.embodiments import load_arm

__all__ = ["env_rows"]


def env_rows(rounds: int = 20, steps: int = 50) -> list[dict]:
    """Measure stepping with one object and 20 substeps, and going back to a saved state.

    Args:
        rounds: Times each figure is taken; the best counts, as other work on the machine only slows.
        steps: Control steps in a round.
    """
    env = _one_object()
    actions = env.action_space
    actions.seed(0)
    moves = iter([0.2 * actions.sample() for _ in range(rounds * steps + steps)])
    plain, end_plain = _plain_pybullet()
    stepping = _best(lambda: env.step(next(moves)), rounds, steps)
    raw = _best(plain, rounds, steps)
    world = World(load_arm("panda"))
    saved = world.save()
    back = _best(lambda: pybullet.restoreState(saved.number, physicsClientId=world.client), rounds, steps)
    whole = _best(lambda: _lay_out(world), rounds, 3)
    for close in (env.close, world.close, end_plain):
        close()
    reference = f"panda-gym 950, plain pybullet 1390 where the bar was set and {1 / raw:.0f} here now"
    return [
        _row("environment steps, one object, state", 1 / stepping, "steps/s", 1250.0, "higher", reference),
        _row("the same beside plain pybullet", raw / stepping, "ratio", 0.9, "higher", "panda-gym 0.68"),
        _row("restoreState in reset", 1e6 * back, "us", 50.0, "lower", ""),
        _row("whole reset, one new object", 1e3 * whole, "ms", 20.0, "lower", ""),
    ]


def _row(name: str, value: float, unit: str, bar: float, better: str, reference: str) -> dict:
    ok = value >= bar if better == "higher" else value <= bar
    row = {"name": name, "value": value, "unit": unit, "bar": bar}
    return {**row, "better": better, "reference": reference, "ok": bool(ok)}


def _best(work: Callable[[], object], rounds: int, count: int) -> float:
    """Shortest mean time of `count` calls, s."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(count):
            work()
        times.append((time.perf_counter() - start) / count)
    return min(times)


def _one_object() -> ArmflowEnv:
    """An environment in an episode whose only loose body is the block."""
    env = ArmflowEnv("Push")
    for seed in range(100):
        env.reset(seed=seed)
        if env.loose_bodies == 1:
            break
    return env


def _lay_out(world: World) -> None:
    world.reset()
    world.add(block("block", (0.04, 0.04, 0.04), (0.8, 0.1, 0.1, 1.0)), place(0.5, 0.0, 0.02))


def _plain_pybullet() -> tuple[Callable[[], None], Callable[[], None]]:
    """The reference: panda, table and one cube as pybullet has them, twenty calls a control step."""
    client = pybullet.connect(pybullet.DIRECT)
    c = {"physicsClientId": client}
    spec = find_spec("pybullet_data")
    assert spec is not None
    assert spec.origin is not None
    urdf = Path(spec.origin).parent / "franka_panda" / "panda.urdf"
    pybullet.setGravity(0, 0, -9.81, **c)
    pybullet.setTimeStep(0.002, **c)
    arm = pybullet.loadURDF(str(urdf), useFixedBase=True, **c)
    home = load_arm("panda").home.tolist()
    for joint, q in enumerate(home):
        pybullet.resetJointState(arm, joint, q, **c)
    slab = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=[0.5, 0.5, 0.02], **c)
    pybullet.createMultiBody(0, slab, basePosition=[0.6, 0, -0.02], **c)
    cube = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=np.full(3, 0.02), **c)
    pybullet.createMultiBody(0.05, cube, basePosition=[0.6, 0, 0.02], **c)
    pybullet.setJointMotorControlArray(arm, range(7), pybullet.POSITION_CONTROL, home, forces=[87.0] * 7, **c)

    def step() -> None:
        for _ in range(SUBSTEPS):
            pybullet.stepSimulation(**c)

    return step, lambda: pybullet.disconnect(client)
