"""`Stage`: the meshes of a world, kept in step with its bodies, for any number of cameras."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np

from armflow.envs.mesh import (
    Mesh,
    box_mesh,
    capsule_mesh,
    cylinder_mesh,
    merge_meshes,
    revolve,
    sphere_mesh,
    transform_mesh,
)
from armflow.envs.render import Rendered, Renderer
from armflow.envs.shapes import BodySpec, Part
from armflow.envs.urdf_tree import UrdfTree
from armflow.envs.urdf_visuals import load_urdf_visuals
from armflow.envs.world import World

__all__ = ["Stage", "part_mesh", "parts_mesh"]

_GRAIN = {"table": 0.05}
_LIES_FLAT = ("table", "floor")


def part_mesh(part: Part) -> Mesh:
    """Return a part as a mesh in its body's frame, in its colour; a tube is round."""
    size = part.size
    if part.kind == "box":
        mesh = box_mesh(np.asarray(size) / 2)
    elif part.kind == "cylinder":
        mesh = cylinder_mesh(size[0], size[1])
    elif part.kind == "sphere":
        mesh = sphere_mesh(size[0], 12)
    elif part.kind == "capsule":
        mesh = capsule_mesh(size[0], size[1], 16)
    else:
        inner, outer, height, bottom, _ = size
        floor = [[inner, bottom], [0, bottom]] if bottom > 0 else [[inner, 0]]
        mesh = revolve([[0 if bottom > 0 else inner, 0], [outer, 0], [outer, height], [inner, height], *floor], 32)
    colors = np.broadcast_to(np.asarray(part.rgba[:3], np.float32), mesh.colors.shape)
    return transform_mesh(replace(mesh, colors=np.ascontiguousarray(colors)), part.T_body_part.as_matrix())


def parts_mesh(parts: tuple[Part, ...]) -> Mesh:
    """Return all parts as one mesh."""
    return merge_meshes([part_mesh(part) for part in parts])


class Stage:
    """The renderer's picture of a world: one mesh a link of the arm, one a body, one a sliding link."""

    def __init__(self, world: World, renderer: Renderer) -> None:
        self._world, self._renderer = world, renderer
        path = world.arm.urdf_path()
        self._tree = UrdfTree(ElementTree.parse(path).getroot())
        self._names = (*world.arm.joint_names, *world.arm.gripper.joints)
        self._links: list[str] = []
        visuals = load_urdf_visuals(path)
        for link in dict.fromkeys(visual.link for visual in visuals):
            meshes = []
            for visual in (visual for visual in visuals if visual.link == link):
                colors = (visual.mesh.colors * np.asarray(visual.rgba[:3])).astype(np.float32)
                meshes.append(transform_mesh(replace(visual.mesh, colors=colors), visual.T_link_visual))
            renderer.add(merge_meshes(meshes), None, world.robot)
            self._links.append(link)
        self._shown: dict[int, tuple[BodySpec, list[int]]] = {}

    def draw(self, K: np.ndarray, T_world_camera: np.ndarray, size: tuple[int, int], *, rgb: bool) -> Rendered:
        """Draw the world as it is now from a camera [4, 4]; labels are handles of bodies, `World.robot` for the arm."""
        self._update()
        return self._renderer.render(self._poses(), K, T_world_camera, *size, rgb=rgb)

    def _update(self) -> None:
        """Take meshes of bodies that have gone out, and those of new bodies in."""
        specs = self._world.specs
        for handle in [h for h, (spec, _) in self._shown.items() if specs.get(h) is not spec]:
            for item in self._shown.pop(handle)[1]:
                self._renderer.remove(item)
        for handle, spec in specs.items():
            if handle not in self._shown:
                groups = [spec.parts, *(link.parts for link in spec.links)]
                flat, grain = spec.name not in _LIES_FLAT, _GRAIN.get(spec.name, 0.0)
                items = [
                    self._renderer.add(parts_mesh(parts), None, handle, casts_shadow=flat, grain=grain)
                    for parts in groups
                ]
                self._shown[handle] = (spec, items)

    def _poses(self) -> np.ndarray:
        """Poses [n, 4, 4] of all meshes, in the order of adding."""
        world = self._world
        frames = self._tree.frames(dict(zip(self._names, world.joint_positions(), strict=True)))
        poses = [frames[link] for link in self._links]
        for handle, (spec, _) in self._shown.items():
            poses.append(world.pose(handle).as_matrix())
            poses += [world.link_pose(handle, link.name).as_matrix() for link in spec.links]
        return np.array(poses)
