"""Bodies as URDF text, which is how pybullet takes compounds of more than sixteen shapes and sliding links."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import RigidTransform

from armflow.envs.shapes import BodySpec, LinkSpec, Part, collision_parts

__all__ = ["Inertia", "body_urdf", "solid_inertia"]


@dataclass(frozen=True, slots=True)
class Inertia:
    """Mass kg, centre of mass [3] m in the body's frame, and moments [3] kg m2 about body axes through that centre."""

    mass: float
    center: np.ndarray
    moments: np.ndarray


def _solid(part: Part) -> tuple[float, np.ndarray]:
    """Volume, m3, and moments per mass about the part's own axes, [3] m2, of a convex part."""
    size = part.size
    if part.kind == "box":
        x, y, z = np.square(size)
        return float(np.prod(size)), np.array([y + z, x + z, x + y]) / 12
    r = size[0]
    if part.kind == "sphere":
        return 4 / 3 * np.pi * r**3, np.full(3, 0.4 * r * r)
    height = size[1] + (4 / 3 * r if part.kind == "capsule" else 0.0)  # a capsule counts as a cylinder of its volume
    side = (3 * r * r + height**2) / 12
    return np.pi * r * r * height, np.array([side, side, r * r / 2])


def solid_inertia(parts: tuple[Part, ...], mass: float) -> Inertia:
    """Spread a mass evenly over the volume of the parts; products of inertia are left out."""
    solids = [piece for part in parts for piece in collision_parts(part)]
    volumes, moments = (np.array(v) for v in zip(*(_solid(part) for part in solids), strict=True))
    masses = mass * volumes / volumes.sum()
    centers = np.array([part.T_body_part.translation for part in solids])
    turns = np.array([part.T_body_part.rotation.as_matrix() for part in solids])
    center = masses @ centers / mass if mass > 0 else np.zeros(3)
    own = np.einsum("nij,nj,nij->ni", turns, moments, turns)
    square = np.square(centers - center)
    steiner = square.sum(axis=1, keepdims=True) - square
    return Inertia(mass, center, masses @ (own + steiner))


def _numbers(values: object) -> str:
    return " ".join(repr(float(v)) for v in np.asarray(values).ravel())


def _origin(T: RigidTransform) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # at a pitch of 90 degrees any roll will do
        turn = T.rotation.as_euler("xyz")
    return f'<origin xyz="{_numbers(T.translation)}" rpy="{_numbers(turn)}"/>'


def _geometry(part: Part) -> str:
    if part.kind == "box":
        return f'<box size="{_numbers(part.size)}"/>'
    if part.kind == "sphere":
        return f'<sphere radius="{part.size[0]!r}"/>'
    return f'<{part.kind} radius="{float(part.size[0])!r}" length="{float(part.size[1])!r}"/>'


def _link(name: str, parts: tuple[Part, ...], inertia: Inertia, collides: bool) -> str:
    ixx, iyy, izz = np.maximum(inertia.moments, 1e-9 if inertia.mass > 0 else 0.0).tolist()
    lines = [
        f'<link name="{name}"><inertial><origin xyz="{_numbers(inertia.center)}"/><mass value="{float(inertia.mass)!r}"/>'
        f'<inertia ixx="{ixx!r}" ixy="0" ixz="0" iyy="{iyy!r}" iyz="0" izz="{izz!r}"/></inertial>'
    ]
    for number, piece in enumerate(piece for part in parts for piece in collision_parts(part)):
        shape = f"{_origin(piece.T_body_part)}<geometry>{_geometry(piece)}</geometry>"
        color = f'<material name="{name}{number}"><color rgba="{_numbers(piece.rgba)}"/></material>'
        lines.append(f"<visual>{shape}{color}</visual>")
        if collides:
            lines.append(f"<collision>{shape}</collision>")
    return "\n".join([*lines, "</link>"])


def _slide(link: LinkSpec) -> str:
    return (
        f'<joint name="{link.name}_slide" type="prismatic"><parent link="base"/><child link="{link.name}"/>'
        f"{_origin(link.T_parent_link)}"
        f'<axis xyz="{_numbers(link.axis)}"/><dynamics damping="{link.damping!r}" friction="0"/>'
        f'<limit lower="{link.lower!r}" upper="{link.upper!r}" effort="1000" velocity="10"/></joint>'
    )


def body_urdf(spec: BodySpec, inertia: Inertia) -> str:
    """Write a body as URDF with one link "base" and one link for each that slides on it.

    Args:
        spec: The body.
        inertia: Inertia of its base.

    Returns:
        URDF text; visual shapes are the collision shapes.
    """
    links = [_link("base", spec.parts, inertia, spec.collides)]
    for link in spec.links:
        links.append(_link(link.name, link.parts, solid_inertia(link.parts, link.mass), spec.collides))
        links.append(_slide(link))
    return "\n".join([f'<?xml version="1.0"?><robot name="{spec.name}">', *links, "</robot>"])
