"""What flows into and out of learned dynamics: particles, a tool's path, and the module that every model is."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from armflow.planning.dynamics.errors import DynamicsError

__all__ = ["DT", "HISTORY", "DynamicsModel", "Particles", "ToolPath", "ToolStep", "rotation_matrices", "tool_steps"]

DT = 0.1  # s, one step of every model: Zhang et al. (2025), arXiv:2506.15680, section IV
HISTORY = 2  # velocities that a model sees


@dataclass(frozen=True, slots=True)
class Particles:
    """The state of B objects of N particles each, world frame, z up.

    Attributes:
        points: [B, N, 3] m.
        velocities: [B, H, N, 3] m/s over the last H = 2 steps of `DT`, oldest first.
        rest: [B, N, 3] m, the same particles in the rest shape, in any pose: as they were when the object was first
            seen. Models read from it which particles are neighbours and the offsets between them at rest.
        code: [B, C] what the object is: category and material. C is the model's `code_size`.
        ground: Height of the table, m.
    """

    points: torch.Tensor
    velocities: torch.Tensor
    rest: torch.Tensor
    code: torch.Tensor
    ground: float = 0.0

    def __post_init__(self) -> None:
        """Check shapes and finiteness.

        Raises:
            DynamicsError: No particle, one alone, shapes that disagree, or a number that is not finite.
        """
        _check_shape("points", self.points, (None, None, 3))
        B, N, _ = self.points.shape
        if N < 2:
            found = "an empty cloud" if N == 0 else "one particle"
            raise DynamicsError("points", f"{found} has no shape to predict; give at least 2 particles")
        _check_shape("velocities", self.velocities, (B, HISTORY, N, 3))
        _check_shape("rest", self.rest, (B, N, 3))
        _check_shape("code", self.code, (B, None))
        for name in ("points", "velocities", "rest", "code"):
            _check_finite(name, getattr(self, name))

    def expand(self, B: int) -> "Particles":
        """The same object B times, without a copy."""
        if len(self.points) == B:
            return self
        fields = (self.points, self.velocities, self.rest, self.code)
        return Particles(*(field.expand(B, *field.shape[1:]) for field in fields), ground=self.ground)


@dataclass(frozen=True, slots=True)
class ToolPath:
    """Where the tool is at times 0, DT, ... T DT, world frame.

    Attributes:
        points: [B, T + 1, 3] the point between the fingertips, m.
        rotations: [B, T + 1, 4] orientation, wxyz, unit norm.
        closed: [B, T + 1] from 0 (open) to 1 (closed).
    """

    points: torch.Tensor
    rotations: torch.Tensor
    closed: torch.Tensor

    def __post_init__(self) -> None:
        """Check shapes and finiteness.

        Raises:
            DynamicsError: No tool, no step to take, shapes that disagree, or a number that is not finite.
        """
        _check_shape("tool points", self.points, (None, None, 3))
        B, rows, _ = self.points.shape
        if B == 0 or rows < 2:
            raise DynamicsError(
                "tool points", f"no tool path: [B, T + 1, 3] needs B >= 1 and T >= 1, got {B} and {rows - 1}"
            )
        _check_shape("tool rotations", self.rotations, (B, rows, 4))
        _check_shape("tool closed", self.closed, (B, rows))
        for name in ("points", "rotations", "closed"):
            _check_finite(f"tool {name}", getattr(self, name))
        if bool((self.rotations.norm(dim=-1) < 0.5).any()):
            raise DynamicsError("tool rotations", "a quaternion is near zero; give unit quaternions, wxyz")


class ToolStep(NamedTuple):
    """The tool over one step.

    Attributes:
        point: [B, 3] at its start, m.
        rotation: [B, 3, 3] at its start, from tool to world.
        velocity: [B, 3] m/s.
        turn: [B, 3, 3] rotation over the step, world axes.
        closed: [B] at its end.
    """

    point: torch.Tensor
    rotation: torch.Tensor
    velocity: torch.Tensor
    turn: torch.Tensor
    closed: torch.Tensor

    def velocity_at(self, points: torch.Tensor) -> torch.Tensor:
        """Velocity [B, M, 3] with which points [B or 1, M, 3] end the step where the tool carries them rigidly, m/s."""
        arms = points - self.point[:, None]
        return self.velocity[:, None] + arms @ self.chord

    @property
    def chord(self) -> torch.Tensor:
        """[B, 3, 3] such that an arm (a row, m) from the tool moves with `arm @ chord` m/s as the tool turns."""
        return (self.turn - torch.eye(3, dtype=self.turn.dtype, device=self.turn.device)).mT / DT


class DynamicsModel(nn.Module):
    """A model of how particles move with a tool. Subclasses write `prepare` and `velocity`.

    Attributes:
        code_size: C, the length of the code that it takes.
    """

    code_size: int = 0

    def settings(self) -> dict[str, Any]:
        """JSON that rebuilds the module."""
        return {}

    def prepare(self, particles: Particles) -> Any:
        """Compute once per rollout what does not change with time."""
        return None

    def velocity(self, kept: Any, points: torch.Tensor, history: torch.Tensor, tool: ToolStep) -> torch.Tensor:
        """Velocity [B, N, 3] over the next step, m/s.

        Args:
            kept: What `prepare` returned.
            points: [B or 1, N, 3] m.
            history: [B or 1, H, N, 3] m/s; a single row means that all B tools start from the same state.
            tool: B tools.
        """
        raise NotImplementedError

    def widen(self, kept: Any, B: int) -> Any:
        """What `prepare` returned for one object, for B copies of it that have moved apart."""
        return kept

    def settle(self, kept: Any, points: torch.Tensor) -> torch.Tensor:
        """Where moved points [B, N, 3] may really be, such as above the table."""
        return points

    def advance(
        self, kept: Any, points: torch.Tensor, history: torch.Tensor, velocity: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Points and history one step later; all as in `velocity`, whose result is the last argument."""
        moved = self.settle(kept, points + DT * velocity)
        last = history[:, -1].expand(len(moved), -1, -1)
        return moved, torch.stack((last, (moved - points) / DT), dim=1)

    def rollout(self, particles: Particles, tools: ToolPath) -> torch.Tensor:
        """Predict.

        Args:
            particles: B objects, or one for all tools; then the first step is encoded once.
            tools: B paths of T steps.

        Returns:
            [B, T, N, 3] particles at DT, ... T DT, m; differentiable in everything given.

        Raises:
            DynamicsError: The model cannot foretell this object, or the batches disagree.
        """
        check_batch(self, particles, tools)
        kept = self.prepare(particles)
        points, history = particles.points, particles.velocities
        B, found = len(tools.points), []
        for tool in tool_steps(tools):
            velocity = self.velocity(kept, points, history, tool)
            if len(points) < B:
                kept = self.widen(kept, B)
            points, history = self.advance(kept, points, history, velocity)
            found.append(points)
        return torch.stack(found, dim=1)


def check_batch(model: DynamicsModel, particles: Particles, tools: ToolPath) -> None:
    """Refuse batches that disagree and codes of another length.

    Raises:
        DynamicsError: Names the field.
    """
    B, given = len(tools.points), len(particles.points)
    if given not in (1, B):
        raise DynamicsError("points", f"{given} objects and {B} tool paths; give one object, or one for each path")
    if model.code_size and particles.code.shape[1] != model.code_size:
        found = particles.code.shape[1]
        raise DynamicsError("code", f"{found} numbers; this model was made for {model.code_size}")


def tool_steps(tools: ToolPath) -> list[ToolStep]:
    """Cut a path into its T steps."""
    rotations = rotation_matrices(tools.rotations)
    rows = zip(
        tools.points.unbind(1)[:-1],
        rotations.unbind(1)[:-1],
        (tools.points.diff(dim=1) / DT).unbind(1),
        (rotations[:, 1:] @ rotations[:, :-1].mT).unbind(1),
        tools.closed.unbind(1)[1:],
        strict=True,
    )
    return [ToolStep(*row) for row in rows]


def rotation_matrices(quaternions: torch.Tensor) -> torch.Tensor:
    """Rotation matrices [..., 3, 3] of quaternions [..., 4], wxyz, of any norm but 0; linear in products of entries."""
    products = quaternions[..., :, None] * quaternions[..., None, :] / quaternions.square().sum(-1)[..., None, None]
    return (products.flatten(-2) @ quaternions.new_tensor(_TURNS).mT).unflatten(-1, (3, 3))


# Each entry of the matrix, row by row, from ww wx wy wz, xw xx xy xz, yw yx yy yz, zw zx zy zz.
_TURNS = (
    (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1),
    (0, 0, 0, -2, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    (0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0),
    (0, 0, 0, 2, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    (1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1),
    (0, -2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0),
    (0, 0, -2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0),
    (0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0),
    (1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1),
)


def _check_shape(name: str, tensor: torch.Tensor, shape: tuple[int | None, ...]) -> None:
    wanted = "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"
    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
        raise DynamicsError(name, f"a floating-point tensor {wanted} is needed; got {type(tensor).__name__}")
    fits = len(shape) == tensor.ndim and all(
        size in (None, found) for size, found in zip(shape, tensor.shape, strict=True)
    )
    if not fits:
        raise DynamicsError(name, f"shape {wanted} is needed; got {list(tensor.shape)}")


def _check_finite(name: str, tensor: torch.Tensor) -> None:
    if not bool(torch.isfinite(tensor).all()):
        count = int((~torch.isfinite(tensor)).sum())
        raise DynamicsError(name, f"{count} of {tensor.numel()} numbers are not finite; drop or repair those particles")
