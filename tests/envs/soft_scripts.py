"""Solutions of the tasks with things that bend, by scripts that read the simulation's truth: they show that an arm
behind its limiter can reach the goals."""

import numpy as np
from scipy.spatial.transform import Rotation

from armflow.envs.deformable.cloth_tasks import ABOUT, CORNERS, INWARD, PINCH, corner_grasp
from armflow.envs.deformable.episode import SoftTaskWorld
from armflow.envs.deformable.free_hand import hand_down
from armflow.robot.ik import solve_ik

STEP, TURN, FINGER = 0.006, 0.05, 0.1  # m, rad and opening in one control step
CLEAR = 0.16  # m
GRIP = 0.3  # opening that holds a plush body
LET_GO = 0.5  # opening that lets a cloth go and does not spread it


class ScriptedArm:
    """Moves fingertips straight from pose [8] to pose, every command through the limiter."""

    def __init__(self, episode: SoftTaskWorld) -> None:
        self._episode, self._model = episode, episode.world.arm
        self._rng, self._q = np.random.default_rng(0), episode.arm.read_q()
        tool = self._model.tool(self._q)
        turn = tool.rotation
        tip = tool.translation + turn.apply([0.0, 0.0, self._model.gripper.tip])
        self.pose = np.concatenate([tip, turn.as_quat(scalar_first=True), [1.0]])
        self.reached = True

    def go(self, goal: np.ndarray, *, speed: float = 1.0, pause: int = 0) -> None:
        turns = Rotation.from_quat(np.stack([self.pose[3:7], goal[3:7]]), scalar_first=True)
        vector = (turns[0].inv() * turns[1]).as_rotvec()
        needs = (
            np.linalg.norm(goal[:3] - self.pose[:3]) / (speed * STEP),
            np.linalg.norm(vector) / TURN,
            abs(goal[7] - self.pose[7]) / FINGER,
        )
        count = max(1, int(np.ceil(max(needs))))
        for share in (*np.arange(1, count + 1) / count, *[1.0] * pause):
            place = self.pose[:3] + share * (goal[:3] - self.pose[:3])
            turn = turns[0] * Rotation.from_rotvec(share * vector)
            self._command(place, turn, self.pose[7] + share * (goal[7] - self.pose[7]))
        for _ in range(60):  # the limiter may have let the arm fall behind
            if np.abs(self._episode.arm.read_q() - self._q).max() < 1e-3:
                break
            self._episode.arm.command(self._q, float(goal[7]))
        self.pose = goal

    def _command(self, place: np.ndarray, turn: Rotation, opening: float) -> None:
        T_world_tool = np.eye(4)
        T_world_tool[:3, :3] = turn.as_matrix()
        T_world_tool[:3, 3] = place - turn.apply([0.0, 0.0, self._model.gripper.tip])
        found = solve_ik(self._model, T_world_tool, self._q, rng=self._rng, restarts=0)
        self.reached &= found.ok
        self._q = found.q
        self._episode.arm.command(self._q, float(opening))


def at(pose: np.ndarray, height: float, opening: float) -> np.ndarray:
    """The same pose at another height and opening."""
    return np.array([*pose[:2], height, *pose[3:7], opening])


def grasp(arm: ScriptedArm, pose: np.ndarray, opening: float = 0.0) -> None:
    arm.go(at(pose, CLEAR, pose[7]))
    arm.go(pose, speed=0.6, pause=3)
    arm.go(np.append(pose[:7], opening), pause=8)


def lift_cloth(episode: SoftTaskWorld, arm: ScriptedArm) -> None:
    hold = episode.task.hold
    grasp(arm, at(hold, PINCH, ABOUT))
    arm.go(hold, pause=20)


def fold_cloth(episode: SoftTaskWorld, arm: ScriptedArm) -> None:
    corner, vertices = episode.task.corner, episode.world.vertices()
    start = corner_grasp(vertices, corner)
    way = vertices[CORNERS[(corner + 2) % 4]] - vertices[CORNERS[corner]]
    grasp(arm, start)
    reach = (0.5 - 0.5 * INWARD) * way  # from the hand to the fold, about which it goes in a half circle
    for angle in np.linspace(0.0, np.pi, 13)[1:]:
        place = start[:2] + (1.0 - np.cos(angle)) * reach[:2]
        arm.go(hand_at(start, place, 0.012 + 0.7 * np.linalg.norm(reach) * np.sin(angle), 0.0), speed=0.8)
    arm.go(at(arm.pose, 0.012, 0.0), pause=10)
    arm.go(at(arm.pose, 0.012, LET_GO), pause=10)
    arm.go(at(arm.pose, CLEAR, LET_GO), speed=0.3)


def hand_at(pose: np.ndarray, place: np.ndarray, height: float, opening: float) -> np.ndarray:
    return np.array([*place, height, *pose[3:7], opening])


def place_plush(episode: SoftTaskWorld, arm: ScriptedArm) -> None:
    points, goal = episode.world.particles(episode.task.points), episode.goal_points()
    turned = Rotation.align_vectors(goal - goal.mean(0), points - points.mean(0))[0].as_rotvec()[2]
    along = np.linalg.svd(points[:, :2] - points[:, :2].mean(axis=0), full_matrices=False)[2][0]
    yaw = (np.arctan2(along[1], along[0]) + np.pi / 2) % np.pi - np.pi / 2
    start, end = points.mean(axis=0), goal.mean(axis=0)
    grasp(arm, hand_down(np.array([*start[:2], 0.012]), yaw, 1.0), GRIP)
    arm.go(at(arm.pose, 0.06, GRIP))
    arm.go(hand_down(np.array([*end[:2], 0.06]), yaw + turned, GRIP))
    arm.go(at(arm.pose, 0.013, GRIP), speed=0.5, pause=3)
    arm.go(at(arm.pose, 0.013, 1.0), pause=5)
    arm.go(at(arm.pose, CLEAR, 1.0))


def close_box(episode: SoftTaskWorld, arm: ScriptedArm) -> None:
    data = episode.world.data
    turn, hinge = data.body("box").xmat.reshape(3, 3), data.body("box_lid").xpos.copy()
    opened = float(data.joint("box_lid").qpos[0])
    length = 2.0 * (data.body("box").xpos - hinge) @ turn[:, 0]
    yaw = (np.arctan2(turn[1, 1], turn[0, 1]) + np.pi / 2) % np.pi - np.pi / 2

    def beside(angle: float, gap: float) -> np.ndarray:
        outward = np.array([-np.sin(angle), 0.0, np.cos(angle)])
        local = 0.85 * length * np.array([np.cos(angle), 0.0, np.sin(angle)]) + gap * outward
        return hand_down(hinge + turn @ local, yaw, 0.0)

    first, aside = beside(opened, 0.03), turn @ np.array([-0.09, 0.0, 0.0])
    outside = hand_down(first[:3] + aside, yaw, 0.0)  # the lid leans this way: come down beyond it
    arm.go(at(outside, CLEAR + 0.05, 0.0))
    arm.go(outside)
    arm.go(first, speed=0.6)
    for angle in np.linspace(opened, 0.0, 12):
        arm.go(beside(angle, 0.012), speed=0.6)
    arm.go(beside(0.0, 0.004), speed=0.4, pause=8)
    arm.go(at(arm.pose, CLEAR + 0.05, 0.0))


SCRIPTS = {"ClothLift": lift_cloth, "ClothFold": fold_cloth, "PlushPlace": place_plush, "BoxClose": close_box}


def solve(episode: SoftTaskWorld) -> None:
    """Play the script of an episode that was just reset, then wait for two seconds."""
    SCRIPTS[episode.task.name](episode, arm := ScriptedArm(episode))
    for _ in range(60):
        arm.go(arm.pose)
