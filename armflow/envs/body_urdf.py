"""Bodies as URDF text, which is how pybullet takes compounds of more than sixteen shapes and sliding links."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from armflow.envs.shapes import BodySpec, LinkSpec, Part

__all__ = ["Inertia", "Solid", "body_urdf", "inertia_of", "solids_of"]


@dataclass(frozen=True, slots=True)
class Solid:
    """A convex solid: kind and size as in `Part`, turn [3, 3] and centre [3] m in the body's frame, colour."""

    kind: str
    size: tuple[float, ...]
    turn: np.ndarray
    center: np.ndarray
    rgba: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Inertia:
    """Mass kg, centre of mass [3] m in the body's frame, and moments [3] kg m2 about body axes through that centre."""

    mass: float
    center: np.ndarray
    moments: np.ndarray


def solids_of(parts: Sequence[Part]) -> list[Solid]:
    """Split parts into convex solids: a tube into its bottom and its staves, anything else into itself."""
    return [solid for part in parts for solid in _split(part)]


def _split(part: Part) -> list[Solid]:
    T = part.T_body_part.as_matrix()
    turn, center = T[:3, :3], T[:3, 3]
    if part.kind != "tube":
        return [Solid(part.kind, part.size, turn, center, part.rgba)]
    inner, outer, height, bottom, count = part.size
    middle = 0.5 * (inner + outer)
    stave = (outer - inner, 2 * outer * float(np.tan(np.pi / count)), height)
    solids = []
    for angle in np.arange(int(count)) * 2 * np.pi / count:
        c, s = np.cos(angle), np.sin(angle)
        about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
        offset = np.array([middle * c, middle * s, height / 2])
        solids.append(Solid("box", stave, turn @ about_z, center + turn @ offset, part.rgba))
    if bottom > 0:
        solids.append(Solid("cylinder", (middle, bottom), turn, center + turn[:, 2] * bottom / 2, part.rgba))
    return solids


def _volume_moments(solid: Solid) -> tuple[float, np.ndarray]:
    """Volume, m3, and moments per mass about the solid's own axes, [3] m2."""
    size = solid.size
    if solid.kind == "box":
        x, y, z = np.square(size)
        return size[0] * size[1] * size[2], np.array([y + z, x + z, x + y]) / 12
    r = size[0]
    if solid.kind == "sphere":
        return 4 / 3 * np.pi * r**3, np.full(3, 0.4 * r * r)
    height = size[1] + (4 / 3 * r if solid.kind == "capsule" else 0.0)  # a capsule counts as a cylinder of its volume
    side = (3 * r * r + height**2) / 12
    return np.pi * r * r * height, np.array([side, side, r * r / 2])


def inertia_of(solids: Sequence[Solid], mass: float) -> Inertia:
    """Spread a mass evenly over the volume of the solids; products of inertia are left out."""
    if mass <= 0:
        return Inertia(0.0, np.zeros(3), np.zeros(3))
    volumes, moments = (np.array(v) for v in zip(*(_volume_moments(solid) for solid in solids), strict=True))
    masses = mass * volumes / volumes.sum()
    centers = np.array([solid.center for solid in solids])
    turns = np.array([solid.turn for solid in solids])
    center = masses @ centers / mass
    own = np.einsum("nij,nj,nij->ni", turns, moments, turns)
    square = np.square(centers - center)
    steiner = square.sum(axis=1, keepdims=True) - square
    return Inertia(mass, center, np.maximum(masses @ (own + steiner), 1e-9))


def _numbers(values: Sequence[float] | np.ndarray) -> str:
    return " ".join(repr(float(v)) for v in values)


def _origin(turn: np.ndarray, center: np.ndarray) -> str:
    """<origin> with fixed-axis roll, pitch and yaw; at a pitch of 90 degrees the yaw is 0."""
    flat = float(np.hypot(turn[0, 0], turn[1, 0]))
    pitch = np.arctan2(-turn[2, 0], flat)
    if flat > 1e-9:
        roll, yaw = np.arctan2(turn[2, 1], turn[2, 2]), np.arctan2(turn[1, 0], turn[0, 0])
    else:
        roll, yaw = np.arctan2(-turn[1, 2], turn[1, 1]), 0.0
    return f'<origin xyz="{_numbers(center)}" rpy="{_numbers((roll, pitch, yaw))}"/>'


def _geometry(solid: Solid) -> str:
    if solid.kind == "box":
        return f'<geometry><box size="{_numbers(solid.size)}"/></geometry>'
    if solid.kind == "sphere":
        return f'<geometry><sphere radius="{_numbers(solid.size)}"/></geometry>'
    radius, length = solid.size
    return f'<geometry><{solid.kind} radius="{float(radius)!r}" length="{float(length)!r}"/></geometry>'


def _link(name: str, solids: Sequence[Solid], inertia: Inertia, collides: bool) -> str:
    ixx, iyy, izz = inertia.moments.tolist()
    lines = [
        f'<link name="{name}"><inertial><origin xyz="{_numbers(inertia.center)}"/>'
        f'<mass value="{float(inertia.mass)!r}"/>'
        f'<inertia ixx="{ixx!r}" ixy="0" ixz="0" iyy="{iyy!r}" iyz="0" izz="{izz!r}"/></inertial>'
    ]
    for number, solid in enumerate(solids):
        shape = _origin(solid.turn, solid.center) + _geometry(solid)
        color = f'<material name="{name}{number}"><color rgba="{_numbers(solid.rgba)}"/></material>'
        lines.append(f"<visual>{shape}{color}</visual>")
        if collides:
            lines.append(f"<collision>{shape}</collision>")
    return "\n".join([*lines, "</link>"])


def _slide(link: LinkSpec) -> str:
    T = link.T_parent_link.as_matrix()
    return (
        f'<joint name="{link.name}_slide" type="prismatic"><parent link="base"/><child link="{link.name}"/>'
        f"{_origin(T[:3, :3], T[:3, 3])}"
        f'<axis xyz="{_numbers(link.axis)}"/><dynamics damping="{link.damping!r}" friction="0"/>'
        f'<limit lower="{link.lower!r}" upper="{link.upper!r}" effort="1000" velocity="10"/></joint>'
    )


def body_urdf(spec: BodySpec) -> tuple[str, Inertia]:
    """Write a body as URDF with one link "base" and one link for each that slides on it.

    Returns:
        URDF text, in which visual shapes are the collision shapes, and the inertia of the base.
    """
    solids = solids_of(spec.parts)
    inertia = inertia_of(solids, spec.mass)
    inertia = replace(inertia, moments=inertia.moments * spec.inertia_scale)
    links = [(_sliding(link, spec.collides), _slide(link)) for link in spec.links]
    lines = ['<?xml version="1.0"?><robot name="body">', _link("base", solids, inertia, spec.collides)]
    return "\n".join([*lines, *chain.from_iterable(links), "</robot>"]), inertia


def _sliding(link: LinkSpec, collides: bool) -> str:
    solids = solids_of(link.parts)
    return _link(link.name, solids, inertia_of(solids, link.mass), collides)
