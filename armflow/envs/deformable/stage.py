"""`SoftStage`: the meshes of a `SoftWorld` for its cameras; what bends is taken in anew for each picture."""

import numpy as np

from armflow.envs.deformable.world import SoftWorld
from armflow.envs.mesh import Mesh
from armflow.envs.render import Rendered, Renderer
from armflow.envs.stage import Stage

__all__ = ["SoftStage"]


class SoftStage(Stage):
    """Arm, table and floor as in every world, and the thing itself as it is now."""

    def __init__(self, world: SoftWorld, renderer: Renderer) -> None:
        super().__init__(world, renderer)  # type: ignore[arg-type]
        self._soft_world = world
        self._soft: int | None = None

    def draw(self, K: np.ndarray, T_world_camera: np.ndarray, size: tuple[int, int], *, rgb: bool) -> Rendered:
        """Draw the world as it is now from a camera [4, 4]; the thing's label is `SoftWorld.object`."""
        if self._soft is not None:
            self._renderer.remove(self._soft)
        self._update()
        world = self._soft_world
        mesh = Mesh(world.vertices(), world.body.faces, world.body.colors.astype(np.float32))
        self._soft = self._renderer.add(mesh, None, world.object, two_sided=world.body.two_sided)
        poses = np.concatenate([self._poses(), np.eye(4)[None]])
        return self._renderer.render(poses, K, T_world_camera, *size, rgb=rgb)
