"""From one RGB-D frame to the table and the named objects on it."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import RigidTransform

from armflow.perception.assembly import describe_drawer, describe_rack, is_cabinet, is_post
from armflow.perception.cloud import robot_mask, view_from
from armflow.perception.colors import color_word
from armflow.perception.describe import Piece, Shape, describe, piece_of
from armflow.perception.detection import Detection, TablePlane
from armflow.perception.frame import RGBDFrame
from armflow.perception.particles import ObjectState
from armflow.perception.regions import SegmentConfig, segment
from armflow.perception.table import find_table
from armflow.robot.arrays import check_shape

__all__ = ["RobotCapsules", "SceneObjects", "perceive"]

RobotCapsules = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Starts [C, 3], ends [C, 3] and radii [C] of the robot's capsules in the world, m."""


@dataclass(frozen=True, slots=True)
class SceneObjects:
    """All that one frame shows.

    Attributes:
        table: The supporting plane.
        detections: Objects, nearest to the robot first.
        obstacles_world: [M, 3] every point above the table that is not the robot's, m.
    """

    table: TablePlane
    detections: tuple[Detection, ...]
    obstacles_world: np.ndarray


def perceive(
    frame: RGBDFrame,
    *,
    rng: np.random.Generator,
    robot: RobotCapsules | np.ndarray | None = None,
    table: TablePlane | None = None,
    config: SegmentConfig | None = None,
) -> SceneObjects:
    """Find the table and the objects on it.

    Args:
        frame: The picture.
        rng: Source of the random samples of the fits.
        robot: What belongs to the robot: its capsules in the world, or a mask [H, W] bool.
        table: The plane, where it is known already.
        config: Thresholds of the segmentation.

    Raises:
        DepthError: Too few depth readings.
        PlaneError: No table in sight.
    """
    table = table or find_table(frame, rng=rng)
    skip = _skip(frame, robot)
    view = view_from(frame, table)
    labels = segment(view, skip, config)
    pieces = [piece_of(view, labels == k) for k in range(1, int(labels.max()) + 1)]
    found = _assemble(_whole_discs([p for p in pieces if p is not None], rng), rng)
    detections = [_detection(piece, shape, frame.stamp) for piece, shape in found]
    detections.sort(key=lambda d: float(np.linalg.norm(d.state.points_world.mean(0))))
    above = (view.points[..., 2] > 0.005) & ~skip
    obstacles = view.points[above] @ view.T_world_table[:3, :3].T + view.T_world_table[:3, 3]
    return SceneObjects(table, tuple(detections), obstacles)


def _skip(frame: RGBDFrame, robot: RobotCapsules | np.ndarray | None) -> np.ndarray:
    """Mask of the robot's pixels."""
    if robot is None:
        return np.zeros(frame.depth.shape, bool)
    if isinstance(robot, np.ndarray):
        check_shape("robot", robot, "H W", dict(zip("HW", frame.depth.shape, strict=True)))
        return robot.astype(bool)
    return robot_mask(frame, *robot)


def _whole_discs(pieces: list[Piece], rng: np.random.Generator) -> list[Piece]:
    """Join flat pieces of one colour that lie on one circle: a disc that something stands on is seen as arcs."""
    whole: list[Piece] = []
    for piece in pieces:
        for k, other in enumerate(whole):
            joined = _one_disc(other, piece, rng)
            if joined is not None:
                whole[k] = joined
                break
        else:
            whole.append(piece)
    return whole


def _one_disc(first: Piece, second: Piece, rng: np.random.Generator) -> Piece | None:
    """Both pieces in one where they are parts of one disc."""
    if max(first.top, second.top) > 0.012 or _word(first) != _word(second):
        return None
    joined = piece_of(first.view, first.mask | second.mask)
    shape = describe(joined, rng=rng) if joined is not None else None
    if joined is None or shape is None or shape.kind != "disc":
        return None
    reach = np.linalg.norm(joined.points[:, :2] - shape.T_table_object[:2, 3], axis=1)
    return joined if np.quantile(reach, 0.98) < shape.size[0] / 2 + 0.004 else None


def _word(piece: Piece) -> str:
    """Colour word of a piece."""
    return color_word(piece.view.rgb[tuple(piece.pixels.T)])


def _assemble(pieces: list[Piece], rng: np.random.Generator) -> list[tuple[Piece, Shape]]:
    """Describe each piece; racks and drawers first take the parts that are theirs, vessels swallow their contents."""
    found: list[tuple[Piece, Shape]] = []
    rest = sorted(pieces, key=lambda p: -len(p.points))
    while rest:
        piece = rest.pop(0)
        shape = None
        if is_post(piece):
            piece, rest = _join(piece, rest, 0.012)
            shape = describe_rack(piece)
        shape = shape or describe(piece, rng=rng)
        if is_cabinet(shape, piece):
            yaw = float(np.arctan2(shape.T_table_object[1, 0], shape.T_table_object[0, 0]))
            box = shape.T_table_object[:2, 3], shape.size[:2]
            piece, rest = _join(piece, rest, 0.06)
            shape = describe_drawer(piece, yaw, *box) or shape
        found.append((piece, shape))
    return [(p, s) for p, s in found if not _contained(p, s, found)]


def _join(piece: Piece, rest: list[Piece], reach: float) -> tuple[Piece, list[Piece]]:
    """Add the pieces that touch this one well above the table."""
    tree = cKDTree(piece.points)
    kept: list[Piece] = []
    for other in rest:
        touching = tree.query(other.points, distance_upper_bound=reach)[0] < reach
        hovering = np.quantile(other.points[:, 2], 0.05) > 0.015
        if touching.any() and hovering:
            piece = piece_of(piece.view, piece.mask | other.mask) or piece
        else:
            kept.append(other)
    return piece, kept


def _contained(piece: Piece, shape: Shape, found: list[tuple[Piece, Shape]]) -> bool:
    """True for small things inside a vessel's outline and below its rim (beads)."""
    if shape.kind == "pen":
        return False
    center = np.median(piece.points, axis=0)
    for other, vessel in found:
        if other is piece or vessel.kind not in ("cup", "mug", "holder"):
            continue
        offset = np.linalg.norm(center[:2] - vessel.T_table_object[:2, 3])
        if offset < vessel.size[0] / 2 and center[2] < other.top + 0.01:
            return True
    return False


def _handle_alone(piece: Piece, shape: Shape) -> Piece | None:
    """The part of a cabinet's piece that a hand takes hold of; None where almost nothing of it is seen."""
    local = (piece.points - shape.T_table_object[:3, 3]) @ shape.T_table_object[:3, :3]
    near = (np.abs(local) <= shape.size / 2 + 0.006).all(axis=1)
    mask = np.zeros_like(piece.mask)
    mask[tuple(piece.pixels[near].T)] = True
    return piece_of(piece.view, mask) if near.sum() >= 12 else None


def _detection(piece: Piece, shape: Shape, stamp: float) -> Detection:
    """Move a described piece into the world and name it."""
    view, word = piece.view, _word(piece)
    if shape.kind == "drawer":
        piece = _handle_alone(piece, shape) or piece
    points = piece.points @ view.T_world_table[:3, :3].T + view.T_world_table[:3, 3]
    rgb = view.rgb[piece.pixels[:, 0], piece.pixels[:, 1]]
    noun = "object" if shape.kind == "unknown" else shape.kind
    state = ObjectState(f"{word} {noun}", points, np.zeros_like(points), stamp)
    T = RigidTransform.from_matrix(view.T_world_table @ shape.T_table_object)
    return Detection(state, piece.mask, rgb / 255.0, word, shape.kind, T, shape.size, shape.confidence)
