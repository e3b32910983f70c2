"""Windows of recorded interaction: what dynamics are trained and judged on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from armflow.learning.store.schema import Schema
from armflow.learning.store.table import EpisodeTable
from armflow.planning.dynamics.adapt import MATERIAL, make_code
from armflow.planning.dynamics.errors import DynamicsError
from armflow.planning.dynamics.types import DT, HISTORY, Particles, ToolPath

__all__ = ["COLUMNS", "Interactions", "Scene", "Windows", "move_windows", "read_scenes", "show_tracks"]

COLUMNS = ("observation.state", "tracks", "material")
STATE = 8  # hand: position, quaternion wxyz, opening


@dataclass(frozen=True, slots=True)
class Scene:
    """One episode of interaction with one object, world frame with the table at z = 0.

    Attributes:
        tracks: [F, P, 3] where material points truly were, m: what a prediction is judged by.
        shown: [F, P, 3] the same points as a model is shown them, m: the truth again, or what cameras saw.
        tool: [F, 8] position, m; quaternion wxyz; opening, 0 closed to 1.
        code: [C] category and material, see `make_code`.
        stride: Frames of one step of `DT`.
    """

    tracks: np.ndarray
    shown: np.ndarray
    tool: np.ndarray
    code: np.ndarray
    stride: int


@dataclass(frozen=True, slots=True)
class Windows:
    """B pieces of interaction.

    Attributes:
        particles: At the start.
        tools: Paths of T steps.
        truth: [B, T, N, 3] where the particles went, m.
    """

    particles: Particles
    tools: ToolPath
    truth: torch.Tensor

    def tensors(self) -> dict[str, torch.Tensor]:
        """By name, each with B in front."""
        p, t = self.particles, self.tools
        whole = {"points": p.points, "velocities": p.velocities, "rest": p.rest, "code": p.code, "truth": self.truth}
        return {**whole, "tool_points": t.points, "tool_rotations": t.rotations, "tool_closed": t.closed}

    @classmethod
    def of(cls, parts: dict[str, torch.Tensor]) -> "Windows":
        """From what `tensors` returned."""
        particles = Particles(parts["points"], parts["velocities"], parts["rest"], parts["code"])
        return cls(
            particles, ToolPath(parts["tool_points"], parts["tool_rotations"], parts["tool_closed"]), parts["truth"]
        )


def read_scenes(table: EpisodeTable, schema: Schema) -> list[Scene]:
    """Cut a recording of interaction into scenes.

    Raises:
        DynamicsError: A column is missing or has another shape, a number is not finite, or the rate does not fit `DT`.
    """
    _check_columns(table)
    stride = round(schema.fps * DT)
    if stride < 1 or abs(stride / schema.fps - DT) > 1e-6:
        raise DynamicsError("fps", f"{schema.fps:g} Hz; a whole number of frames must make {DT} s, as at 30 Hz")
    down = np.array([0.0, 0.0, float(schema.extra.get("ground", 0.0))], np.float32)
    return [
        _scene(table.episode(index), str(schema.extra.get("category", "")), down, stride)
        for index in range(table.episodes)
    ]


def _check_columns(table: EpisodeTable) -> None:
    for name in COLUMNS:
        if name not in table.arrays:
            raise DynamicsError(name, "not in the data; record interaction with `armflow play record --task RopeShape`")
        if not np.isfinite(table.arrays[name]).all():
            raise DynamicsError(name, "holds numbers that are not finite; see `armflow data check`")
    state, tracks, material = (table.arrays[name].shape[1:] for name in COLUMNS)
    if state != (STATE,):
        raise DynamicsError("observation.state", f"a frame has shape {state}; a hand's pose has ({STATE},)")
    if len(tracks) != 2 or tracks[0] < 2 or tracks[1] != 3:
        raise DynamicsError("tracks", f"a frame has shape {tracks}; at least 2 points of 3 numbers are needed")
    if material != (MATERIAL,):
        raise DynamicsError("material", f"a frame has shape {material}; it must be ({MATERIAL},)")


def _scene(rows: dict[str, np.ndarray], category: str, down: np.ndarray, stride: int) -> Scene:
    tool = rows["observation.state"].astype(np.float32)
    tool[:, :3] -= down
    code = make_code(category, torch.from_numpy(rows["material"][0].astype(np.float32)))
    tracks = rows["tracks"].astype(np.float32) - down
    return Scene(tracks, tracks, tool, code.numpy(), stride)


def show_tracks(truth: Scene, seen: Scene) -> Scene:
    """The scene as cameras saw it, judged by the truth: each seen point by the material point nearest to it at first.

    Args:
        truth: As the simulator recorded it.
        seen: The same episode, tracked from pictures.

    Raises:
        DynamicsError: They are not of one episode.
    """
    if seen.tool.shape != truth.tool.shape or not np.allclose(seen.tool, truth.tool, atol=1e-5):
        raise DynamicsError("seen", "tracks of another episode: the hand's path differs")
    _, nearest = KDTree(truth.tracks[0]).query(seen.tracks[0])
    return replace(truth, tracks=truth.tracks[:, nearest], shown=seen.tracks)


class Interactions:
    """Windows of several scenes.

    Attributes:
        scenes: All of them.
    """

    def __init__(self, scenes: Sequence[Scene]) -> None:
        """Take scenes of any lengths and numbers of points.

        Raises:
            DynamicsError: There are none.
        """
        if not scenes:
            raise DynamicsError("data", "no episodes to learn or to judge from")
        self.scenes = list(scenes)

    def starts(self, steps: int, *, every: float = 1.0, moved: float = 0.0) -> np.ndarray:
        """Where windows of `steps` steps begin.

        Args:
            steps: T.
            every: Time from one start to the next, s.
            moved: The points shall move by this much on average between two of the window's steps, m; 0 takes all.

        Returns:
            [K, 2] scene and frame.

        Raises:
            DynamicsError: Every episode is shorter than that, or nothing moves in any.
        """
        found = []
        for index, scene in enumerate(self.scenes):
            span = steps * scene.stride
            for frame in range(0, len(scene.tracks) - span, max(1, round(every / DT * scene.stride))):
                path = scene.tracks[frame : frame + span + 1 : scene.stride]
                if moved <= 0 or np.linalg.norm(path - path[0], axis=-1).mean(axis=1).max() >= moved:
                    found.append((index, frame))
        if not found:
            what = f" in which the points move {moved:g} m" if moved > 0 else ""
            raise DynamicsError("data", f"no window of {steps * DT:g} s{what}; longer episodes are needed")
        return np.array(found, np.int64)

    def windows(self, starts: np.ndarray, steps: int, count: int, *, rng: np.random.Generator) -> Windows:
        """Gather windows as recorded, in their scenes' frames.

        Args:
            starts: [B, 2] scene and frame.
            steps: T.
            count: Particles of a window; of a scene that has fewer, some are taken twice.
            rng: Picks the particles.
        """
        parts = [self._window(scene, frame, steps, count, rng) for scene, frame in starts.tolist()]
        return Windows.of({name: torch.from_numpy(np.stack([part[name] for part in parts])) for name in parts[0]})

    def _window(
        self, index: int, frame: int, steps: int, count: int, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        scene = self.scenes[index]
        rows = np.clip(frame + scene.stride * np.arange(-HISTORY, steps + 1), 0, None)  # it stood still before
        points = scene.tracks.shape[1]
        picked = rng.permutation(points)[:count] if count <= points else rng.integers(points, size=count)
        path = scene.shown[rows[: HISTORY + 1]][:, picked]
        tool = scene.tool[rows[HISTORY:]]
        return {
            "points": path[HISTORY],
            "velocities": np.diff(path, axis=0) / np.float32(DT),
            "rest": scene.shown[0, picked],
            "code": scene.code,
            "truth": scene.tracks[rows[HISTORY + 1 :]][:, picked],
            "tool_points": tool[:, :3],
            "tool_rotations": tool[:, 3:7],
            "tool_closed": 1.0 - tool[:, 7],
        }


def move_windows(parts: dict[str, torch.Tensor], *, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """Turn every window about a vertical axis, mirror none, and shift it over the table: its physics stay the same."""
    B = len(parts["points"])
    turns = Rotation.from_rotvec(np.outer(rng.uniform(-np.pi, np.pi, B), [0.0, 0.0, 1.0]))
    R = torch.from_numpy(turns.as_matrix().astype(np.float32))
    shift = torch.from_numpy(np.pad(rng.uniform(-0.1, 0.1, (B, 2)), ((0, 0), (0, 1))).astype(np.float32))
    pivot = parts["points"].mean(dim=1) * torch.tensor([1.0, 1.0, 0.0])
    moved = dict(parts)
    for name in ("points", "rest", "truth", "tool_points"):
        values = parts[name]
        lead = (B, *[1] * (values.ndim - 2), 3)
        flat = (values - pivot.view(lead)).reshape(B, -1, 3) @ R.mT
        moved[name] = flat.view(values.shape) + (pivot + shift).view(lead)
    velocities = parts["velocities"]
    moved["velocities"] = (velocities.reshape(B, -1, 3) @ R.mT).view(velocities.shape)
    rows = parts["tool_rotations"]
    turned = np.repeat(turns.as_quat(), rows.shape[1], axis=0)
    quats = Rotation.from_quat(turned) * Rotation.from_quat(rows.reshape(-1, 4).numpy(), scalar_first=True)
    moved["tool_rotations"] = torch.from_numpy(quats.as_quat(scalar_first=True).astype(np.float32)).view(rows.shape)
    return moved
