"""`armflow new-arm`: the YAML file of an arm from its URDF, with every guess marked."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from armflow.launch.files import make_folder, write_text
from armflow.robot.errors import ChoiceError, FormatError, RobotError, StackError, ValueRangeError

if TYPE_CHECKING:
    from armflow.launch.urdf_tree import UrdfTree
    from armflow.robot.model import RobotModel

__all__ = ["NewArm"]

SAMPLES = 2000
POSTURES = 100  # starts from which rest positions are looked for
CLEAR = 0.03  # distance of a resting arm from itself that is enough, m, and from its limits, rad
ROUNDING = 1e-3  # the file holds four digits, so home stays this far inside the limits, rad
LOOKS = 200  # poses over the table that are tried for the figure at the end


@dataclass(frozen=True)
class NewArm:
    """Write the YAML file that adds an arm, from its URDF; `--arm FILE.yaml` then takes it everywhere."""

    urdf: Path
    """URDF file of the arm, with or without a gripper of its own."""
    out: Path = Path("arms/new_arm.yaml")
    """YAML file to write; an arm in ./arms is also known by its name."""
    base_link: str = ""
    """First link of the arm; the URDF's root if empty."""
    tip_link: str = ""
    """Last link of the arm, which carries the gripper; the end of the longest chain of turning joints if empty."""
    v_max: float = 0.0
    """Velocity limit of every joint, rad/s, where the URDF has none."""
    a_max: float = 5.0
    """Acceleration limit of every joint, rad/s^2; no URDF has one."""
    force: bool = False
    """Replace the file if there is one."""

    def run(self) -> int:
        """Write the file, load the arm from it, and say what it can reach."""
        from armflow.launch.urdf_tree import read_tree

        self._check()
        tree = read_tree(self.urdf.resolve(), self.base_link, self.tip_link)
        make_folder(self.out.parent)
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / self.out.name
            write_text(draft, self._text(tree, 0.5 * (tree.q_min + tree.q_max), reach=1.0))
            reach, home = _measure(_load(draft))
            write_text(draft, self._text(tree, home, reach))
            share = _share_over_bench(_load(draft))
        write_text(self.out, self._text(tree, home, reach))
        print(f"{self.out}: {len(tree.joints)} joints, reach {reach:.2f} m, {tree.hand_note}")
        print(f"the tool, pointing down, reaches {100 * share:.0f} % of the bench")
        if share < 0.5:
            print("that is little: name the flange with --tip-link, or turn the mount so that z points out of it")
        print(f"lines marked 'guess' deserve a look; then: armflow sim --arm {self.out} --task PickPlace")
        return 0

    def _check(self) -> None:
        if not self.urdf.is_file():
            raise FormatError(self.urdf, "--urdf", "no such file")
        if self.out.suffix not in (".yaml", ".yml"):
            raise ChoiceError("ending", self.out.suffix, (".yaml", ".yml"))
        if self.out.exists() and not self.force:
            raise FormatError(self.out, "--out", "exists already; --force replaces it")
        if not (np.isfinite(self.a_max) and self.a_max > 0):
            raise ValueRangeError("--a-max", self.a_max, "above 0 rad/s^2")
        if not (np.isfinite(self.v_max) and self.v_max >= 0):
            raise ValueRangeError("--v-max", self.v_max, "above 0 rad/s, or 0 for the URDF's own")

    def _text(self, tree: "UrdfTree", home: np.ndarray, reach: float) -> str:
        """The YAML file; `armflow/robot/embodiments/panda.yaml` explains the fields."""
        count = len(tree.joints)
        limits = [f"v_max: {_row(np.full(count, self.v_max))}"] if self.v_max > 0 else []
        low, high = (0.15 * reach, -0.75 * reach, 0.0), (0.95 * reach, 0.75 * reach, 0.9 * reach)
        center, half = (0.58 * reach, 0.0), (0.13 * reach, 0.24 * reach)
        lines = [
            f"# {self.out.stem}, written by armflow new-arm: m, rad; a list over joints runs base to tool.",
            f'urdf: "{self.urdf.resolve()}"',
            f"base_link: {tree.base}",
            f"joints: [{', '.join(tree.joints)}]",
            *limits,
            f"a_max: {_row(np.full(count, self.a_max))}   # guess: put the maker's figures here",
            f"home: {_row(home)}   # the tool over the middle of the bench, pointing down",
            *tree.hand_lines,
            f"workspace: {{low: {_row(low)}, high: {_row(high)}}}   # guess from the reach",
            f"bench: {{center: {_row(center)}, half: {_row(half)}}}   # guess from the reach",
        ]
        return "\n".join(lines) + "\n"


def _row(values: object) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in np.round(np.asarray(values, float), 6) + 0.0) + "]"


def _load(path: Path) -> "RobotModel":
    """Load the arm; what pinocchio finds wrong with a URDF is a refusal too.

    Raises:
        RobotError: The arm is incomplete or contradicts itself.
    """
    from armflow.robot.embodiments import load_arm

    try:
        return load_arm(path)
    except (ValueError, IndexError, RuntimeError) as error:
        raise RobotError(f"robot {path.stem}: {error}") from error


def _measure(arm: "RobotModel") -> tuple[float, np.ndarray]:
    """Reach of the tool from the base axis, m, and a rest position with the tool over the bench, pointing down.

    Raises:
        StackError: The tool cannot point down over the table anywhere near its reach.
    """
    rng = np.random.default_rng(0)
    tools = [arm.tool(q).translation for q in rng.uniform(arm.q_min, arm.q_max, (SAMPLES, arm.dof))]
    reach = float(np.percentile([np.hypot(x, y) for x, y, z in tools if z > 0.0], 99))
    for height in (0.4, 0.3, 0.5, 0.2):
        found = _postures(arm, _tool_down(0.55 * reach, 0.0, height * reach), rng)
        if found:
            home = max(found, key=lambda q: _ease(arm, q, reach))
            return reach, np.clip(home, arm.q_min + ROUNDING, arm.q_max - ROUNDING)
    raise StackError(f"{arm.name}: the tool cannot point down at {0.55 * reach:.2f} m in front of the base")


def _postures(arm: "RobotModel", T_world_tool: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Joint positions [D] of several branches that put the tool at a pose, whatever its turn about z."""
    from armflow.robot.ik import solve_ik_batch

    low, high = np.maximum(arm.q_min, -np.pi), np.minimum(arm.q_max, np.pi)
    seeds = np.concatenate([arm.home[None], rng.uniform(low, high, (POSTURES, arm.dof))])
    poses = np.tile(T_world_tool, (len(seeds), 1, 1))
    return [result.q for result in solve_ik_batch(arm, poses, seeds, rng=rng, axis_free="z") if result.ok]


def _ease(arm: "RobotModel", q: np.ndarray, reach: float) -> float:
    """How well a posture suits a rest position: apart from itself and its limits, its links high, not turned far."""
    from armflow.robot.self_collision import self_distance

    frames, parts = arm.frames(q), arm.capsules
    gap = self_distance(frames, parts.frame, parts.a, parts.b, parts.radius, arm.self_pairs).min(initial=CLEAR)
    turn = float(np.abs(q - np.clip(0.5 * (arm.q_min + arm.q_max), -np.pi, np.pi)).mean()) / np.pi
    edge = float(np.minimum(q - arm.q_min, arm.q_max - q).min())
    return 10.0 * min(float(gap), CLEAR) + 5.0 * min(edge, CLEAR) + float(frames[:, 2, 3].mean()) / reach - 0.5 * turn


def _share_over_bench(arm: "RobotModel") -> float:
    """Share of places on the bench that the tool reaches from above."""
    from armflow.robot.ik import solve_ik

    rng = np.random.default_rng(0)
    places = arm.bench_center + rng.uniform(-1, 1, (LOOKS, 2)) * arm.bench_half
    return float(
        np.mean(
            [solve_ik(arm, _tool_down(x, y, 0.05), arm.home, rng=rng, axis_free="z", restarts=10).ok for x, y in places]
        )
    )


def _tool_down(x: float, y: float, z: float) -> np.ndarray:
    T_world_tool = np.diag([1.0, -1.0, -1.0, 1.0])
    T_world_tool[:3, 3] = x, y, z
    return T_world_tool
