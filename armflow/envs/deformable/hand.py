"""The hand in MuJoCo: two fingers on a body that a stiff weld draws along with the arm's tool.

The arm itself is not simulated; its joints go exactly where the limiter lets them. The hand has a mass, so that what it
touches feels its velocity and pushes back with a bounded force.
"""

from typing import Any

import mujoco
import numpy as np
from scipy.spatial.transform import RigidTransform

from armflow.robot.model import Gripper

__all__ = ["Hand", "hand_xml"]

FORCE = 12.0  # N, at each finger
MASS = 0.8  # kg
FRICTION = 0.9  # rubber pads; more, and a cloth hangs on to opened fingers
PAD_DEPTH = 0.045  # m, extent of a simulated finger along the tool's z, up from its tip


def hand_xml(gripper: Gripper) -> tuple[str, str]:
    """Write the hand as MJCF: children of <worldbody>, and of <mujoco>."""
    thick, wide = gripper.finger_thickness / 2, gripper.pad_width / 2
    middle = gripper.tip - PAD_DEPTH / 2
    pad = f'size="{wide:.5f} {thick:.5f} {PAD_DEPTH / 2:.5f}" friction="{FRICTION} 0.01 0.0005" condim="4" mass="0.03"'
    fingers = "".join(
        f'<body name="finger_{side}" pos="0 {sign * thick:.5f} {middle:.5f}" gravcomp="1">'
        f'<joint name="finger_{side}" type="slide" axis="0 {sign} 0" '
        f'range="0 {gripper.max_width / 2:.5f}" damping="4"/>'
        f'<geom type="box" {pad} priority="1" solref="0.004 1"/></body>'
        for side, sign in (("left", 1), ("right", -1))
    )
    bodies = (
        '<body name="target" mocap="true"/>'
        f'<body name="hand" gravcomp="1"><freejoint name="hand"/>'
        f'<inertial pos="0 0 0" mass="{MASS}" diaginertia="2e-3 2e-3 2e-3"/>{fingers}</body>'
    )
    motors = "".join(
        f'<position name="{side}" joint="finger_{side}" kp="900" forcerange="-{FORCE} {FORCE}"/>'
        for side in ("left", "right")
    )
    weld = '<equality><weld body1="hand" body2="target" solref="0.008 1" solimp="0.95 0.99 0.001"/></equality>'
    return bodies, f"{weld}<actuator>{motors}</actuator>"


class Hand:
    """Where the hand shall be, and where it is.

    Attributes:
        width: Opening between the pads at 1, m.
    """

    def __init__(self, model: Any, data: Any, gripper: Gripper) -> None:
        """Find the hand in a simulation."""
        self._data, self.width = data, gripper.max_width
        self._mocap = model.body("target").mocapid[0]
        self._root = model.joint("hand").qposadr[0]
        self._fingers = [model.joint(f"finger_{side}").qposadr[0] for side in ("left", "right")]
        self._motors = [model.actuator(side).id for side in ("left", "right")]
        self.fingers = tuple(
            mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, f"finger_{s}") for s in ("left", "right")
        )

    def put(self, T_world_tool: RigidTransform, opening: float) -> None:
        """Place the hand at once, at rest."""
        self.aim(T_world_tool, opening)
        place = np.concatenate([self._data.mocap_pos[self._mocap], self._data.mocap_quat[self._mocap]])
        self._data.qpos[self._root : self._root + 7] = place
        self._data.qpos[self._fingers] = opening * self.width / 2

    def aim(self, T_world_tool: RigidTransform, opening: float) -> None:
        """Let the weld draw the hand to a pose, and the motors the fingers to an opening, 0 to 1."""
        place, turn = T_world_tool.as_components()
        self._data.mocap_pos[self._mocap] = place
        self._data.mocap_quat[self._mocap] = turn.as_quat(scalar_first=True)
        self._data.ctrl[self._motors] = np.clip(opening, 0.0, 1.0) * self.width / 2

    def opening(self) -> float:
        """Measured opening, 0 closed to 1 open."""
        return float(np.clip(self._data.qpos[self._fingers].sum() / self.width, 0.0, 1.0))

    def pose7(self) -> np.ndarray:
        """Where the hand is [7]: m, quaternion wxyz."""
        return self._data.qpos[self._root : self._root + 7].copy()
