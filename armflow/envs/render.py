"""`Renderer`, colour, depth and segmentation of rigid meshes on one CPU thread.

    renderer = Renderer()
    table = renderer.add(box_mesh([0.6, 0.6, 0.02]), (0.8, 0.75, 0.68), label=0, grain=0.05)
    block = renderer.add(box_mesh([0.02, 0.02, 0.02]), (0.8, 0.1, 0.1), label=1)
    image = renderer.render(Ts_world_mesh, K, T_world_camera, 320, 240)

Row i of `Ts_world_mesh` belongs to `renderer.handles[i]`, the order of adding. The scene is kept as flat arrays and one
pass draws it into a 1/z buffer (kernels in `raster`); each visible pixel is coloured once afterwards.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from armflow.envs import raster, shading
from armflow.envs.mesh import Mesh
from armflow.envs.raster import Buffers, Pinhole, Soup
from armflow.envs.shading import Lighting, Skin
from armflow.envs.urdf_visuals import load_urdf_visuals
from armflow.robot.arrays import check_shape
from armflow.robot.errors import ChoiceError, ValueRangeError

__all__ = ["Light", "Rendered", "Renderer", "load_urdf_visuals"]

_CREASE = float(np.cos(np.radians(40.0)))
"""Cosine of the largest angle between faces that are shaded as one smooth surface."""

_TILE_PER_METRE = 320.0
"""Grain tile pixels in a metre of table."""

_SHADOW_STEP = 0.1
"""The shadow map's side is a multiple of this, m."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """One image.

    Attributes:
        rgb: [H, W, 3] uint8, or None where colour was not asked for.
        depth: [H, W] float32 distance along the optical axis, m; NaN where nothing is.
        segmentation: [H, W] int32 label given in `add`; -1 where nothing is.
    """

    rgb: np.ndarray | None
    depth: np.ndarray
    segmentation: np.ndarray


@dataclass(frozen=True, slots=True)
class Light:
    """How the scene is lit; the world is z up.

    Attributes:
        direction: Towards the light, world frame; need not be of unit length.
        shadow_size: Side of the shadow map, px; 0 for no shadows.
        background: Colours at the top and bottom of the empty image, 0 … 255.
    """

    direction: tuple[float, float, float] = (0.45, -0.55, 1.0)
    shadow_size: int = 512
    background: tuple[tuple[float, float, float], tuple[float, float, float]] = ((216, 222, 230), (246, 246, 244))


@dataclass(frozen=True, slots=True)
class _Item:
    handle: int
    mesh: Mesh
    normals: np.ndarray  # [F, 3, 3]
    color: np.ndarray  # [F, 4]
    label: int
    two_sided: bool
    casts_shadow: bool


@dataclass(frozen=True, slots=True)
class _Scene:
    """All items behind one another, plus room for the points that move."""

    vertices: np.ndarray  # [V, 3]
    first: np.ndarray  # [n + 1] where each item's vertices start
    soup: Soup
    skin: Skin
    labels: np.ndarray  # [F]
    two_sided: np.ndarray  # [F]
    casts: np.ndarray  # [F]
    caster_rows: np.ndarray  # [C] items that cast a shadow
    caster_boxes: np.ndarray  # [C, 8, 3] corners of their boxes


@dataclass(frozen=True, slots=True)
class _View:
    """What one call of `render` looks through and draws into."""

    T_world_camera: np.ndarray
    Ts_camera_mesh: np.ndarray
    camera: Pinhole
    buffers: Buffers


class Renderer:
    """Draws the meshes that were added to it; add and remove at any time."""

    def __init__(self, light: Light | None = None, near: float = 0.02) -> None:
        """Start empty; nothing nearer to the camera than `near` m is drawn."""
        if not near > 0:
            raise ValueRangeError("near", near, "above 0 m")
        self._light = light or Light()
        self._near = near
        self._items: list[_Item] = []
        self._numbers = itertools.count()
        self._packed: _Scene | None = None
        self._tile = _grain_tile()

    @property
    def handles(self) -> list[int]:
        """Handles in the order of the rows that `render` takes."""
        return [item.handle for item in self._items]

    def add(
        self,
        mesh: Mesh,
        color: tuple[float, ...] | np.ndarray | None = None,
        label: int = 0,
        *,
        two_sided: bool = False,
        casts_shadow: bool = True,
        grain: float = 0.0,
    ) -> int:
        """Take a mesh into the scene.

        Args:
            mesh: Counter-clockwise from outside.
            color: Red, green, blue (an alpha is ignored) in 0 … 1, multiplies the mesh's own colours; None for white.
            label: What the segmentation shows.
            two_sided: Draw faces from behind too, for open or badly wound meshes.
            casts_shadow: False for a table or floor that only receives shadows.
            grain: Strength of a fine wood grain laid over the surface along world x, about 0.05.

        Returns:
            The handle for `remove`.
        """
        tint = np.ones(3) if color is None else np.asarray(color, dtype=float)[:3]
        skin = np.column_stack([255.0 * mesh.colors * tint, np.full(len(mesh.faces), grain)]).astype(np.float32)
        item = _Item(next(self._numbers), mesh, _normals(mesh), skin, label, two_sided, casts_shadow)
        self._items.append(item)
        self._packed = None
        return item.handle

    def remove(self, handle: int) -> None:
        """Take a mesh out; the others keep their order.

        Raises:
            ChoiceError: No such handle.
        """
        if handle not in self.handles:
            raise ChoiceError("handle", handle, [str(h) for h in self.handles])
        self._items = [item for item in self._items if item.handle != handle]
        self._packed = None

    def render(
        self,
        Ts_world_mesh: np.ndarray,
        K: np.ndarray,
        T_world_camera: np.ndarray,
        width: int,
        height: int,
        *,
        rgb: bool = True,
    ) -> Rendered:
        """Draw one image.

        Args:
            Ts_world_mesh: [n, 4, 4] pose of each mesh, rows as in `handles`.
            K: [3, 3] intrinsics, px, without skew; pixel (u, v) is centred at (u, v).
            T_world_camera: [4, 4] camera to world; x right, y down, z forward.
            width: Image width, px.
            height: Image height, px.
            rgb: False skips colour, which is most of the time.

        Raises:
            ShapeError: An array has the wrong shape, or `Ts_world_mesh` not one row a mesh.
        """
        check_shape("Ts_world_mesh", Ts_world_mesh, "n 4 4", {"n": len(self._items)})
        scene = self._packed = self._packed or _pack(self._items)
        Ts_camera_mesh = _inverse(T_world_camera) @ Ts_world_mesh
        raster.transform(scene.vertices, scene.first, Ts_camera_mesh, scene.soup.points)
        camera = Pinhole(float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2]))
        buffers = _empty_buffers(height, width)
        raster.draw(scene.soup, scene.two_sided, camera, self._near, buffers)
        depth, segmentation = np.empty((height, width), np.float32), np.empty((height, width), np.int32)
        raster.finish(buffers, scene.labels, depth, segmentation)
        view = _View(np.asarray(T_world_camera, dtype=float), Ts_camera_mesh, camera, buffers)
        return Rendered(self._shade(scene, view) if rgb else None, depth, segmentation)

    def picture(
        self, Ts_world_mesh: np.ndarray, K: np.ndarray, T_world_camera: np.ndarray, width: int, height: int
    ) -> np.ndarray:
        """Draw colour alone with smooth edges, four times the work of `render`, for people: [H, W, 3] uint8."""
        K_fine = K * 2.0
        K_fine[:2, 2] += 0.5  # pixel centres: u -> 2 u + 1/2
        K_fine[2, 2] = 1.0
        fine = self.render(Ts_world_mesh, K_fine, T_world_camera, 2 * width, 2 * height).rgb
        assert fine is not None
        return fine.reshape(height, 2, width, 2, 3).mean(axis=(1, 3), dtype=np.float32).round().astype(np.uint8)

    def _shade(self, scene: _Scene, view: _View) -> np.ndarray:
        """Colour what `raster.draw` left in the view's buffers: [H, W, 3] uint8."""
        towards = np.asarray(self._light.direction) / np.linalg.norm(self._light.direction)
        heights, T_map_camera = _shadow(scene, view, towards, self._light.shadow_size)
        top, bottom = np.asarray(self._light.background, dtype=float)
        height, width = view.buffers.face.shape
        ramp = top + np.linspace(0.0, 1.0, height)[:, None] * (bottom - top)
        R_camera_world = view.T_world_camera[:3, :3].T
        lighting = Lighting(
            towards=tuple((R_camera_world @ towards).tolist()),
            up=tuple(R_camera_world[:, 2].tolist()),
            heights=heights,
            T_map_camera=_rows(T_map_camera),
            tile=self._tile,
            T_tile_camera=_rows(_TILE_PER_METRE * view.T_world_camera[:2]),
            background=ramp.astype(np.uint8),
        )
        rgb = np.empty((height, width, 3), np.uint8)
        shading.shade(scene.soup, scene.skin, view.Ts_camera_mesh, view.camera, lighting, view.buffers, rgb)
        return rgb


def _rows(T: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in T.tolist())


def _empty_buffers(height: int, width: int) -> Buffers:
    return Buffers(np.zeros((height, width), np.float32), np.full((height, width), -1, np.int32))


def _inverse(T: np.ndarray) -> np.ndarray:
    """Invert a rigid [4, 4]."""
    out = np.eye(4)
    out[:3, :3] = T[:3, :3].T
    out[:3, 3] = -out[:3, :3] @ T[:3, 3]
    return out


def _normals(mesh: Mesh) -> np.ndarray:
    """Normals at the corners of each face, smoothed over gentle edges: [F, 3, 3]."""
    order = np.argsort(mesh.faces.reshape(-1), kind="stable")
    first = np.searchsorted(mesh.faces.reshape(-1)[order], np.arange(len(mesh.vertices) + 1))
    return shading.corner_normals(mesh.vertices, mesh.faces, order, first, _CREASE)


def _box(mesh: Mesh) -> np.ndarray:
    """Corners of the axis-aligned box around a mesh: [8, 3]."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    return np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])


def _pack(items: list[_Item]) -> _Scene:
    """Lay all items behind one another."""
    first = np.cumsum([0] + [len(i.mesh.vertices) for i in items])
    counts = [len(i.mesh.faces) for i in items]
    vertices = _join([i.mesh.vertices for i in items], (0, 3), np.float64)
    faces = [i.mesh.faces + start for i, start in zip(items, first[:-1], strict=True)]
    normals = _join([i.normals for i in items], (0, 3, 3), np.float32)
    color = _join([i.color for i in items], (0, 4), np.float32)
    return _Scene(
        vertices=vertices,
        first=first,
        soup=Soup(np.empty_like(vertices), _join(faces, (0, 3), np.int32)),
        skin=Skin(normals, color, np.repeat(np.arange(len(items), dtype=np.int32), counts)),
        labels=np.repeat(np.array([i.label for i in items], np.int32), counts),
        two_sided=np.repeat(np.array([i.two_sided for i in items], bool), counts),
        casts=np.repeat(np.array([i.casts_shadow for i in items], bool), counts),
        caster_rows=np.array([row for row, i in enumerate(items) if i.casts_shadow], int),
        caster_boxes=_join([_box(i.mesh)[None] for i in items if i.casts_shadow], (0, 8, 3), np.float64),
    )


def _join(arrays: list[np.ndarray], empty: tuple[int, ...], dtype: type) -> np.ndarray:
    return np.concatenate(arrays).astype(dtype) if arrays else np.empty(empty, dtype)


def _shadow(scene: _Scene, view: _View, towards: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the shadow map: heights [S, S] and T_map_camera [3, 4] as `Lighting` takes them."""
    if size == 0 or len(scene.caster_rows) == 0:
        return np.zeros((1, 1), np.float32), np.zeros((3, 4))
    across = np.cross([0.0, 1.0, 0.0], towards)
    across /= np.linalg.norm(across)
    R_light_world = np.stack([across, np.cross(towards, across), towards])
    Ts = R_light_world @ (view.T_world_camera @ view.Ts_camera_mesh[scene.caster_rows])[:, :3]  # [C, 3, 4]
    corners = np.einsum("cij,ckj->cki", Ts[:, :, :3], scene.caster_boxes) + Ts[:, None, :, 3]
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    side = _SHADOW_STEP * np.ceil((high - low)[:2].max() / _SHADOW_STEP + 0.5)  # in steps, so that edges do not crawl
    start = np.floor((low + high)[:2] / 2 * (size / side)) * (side / size) - side / 2
    T_map_world = np.column_stack([R_light_world, [-start[0], -start[1], 1.0 - low[2]]])
    T_map_world[:2] *= size / side
    T_map_camera = T_map_world @ view.T_world_camera
    buffers = _empty_buffers(size, size)
    raster.draw_shadow(scene.soup, scene.casts, T_map_camera, buffers)
    return buffers.nearness, T_map_camera


def _grain_tile(size: int = 256) -> np.ndarray:
    """Make a wood-like tile that repeats in both directions, about -1 … 1, stretched along its columns: [S, S]."""
    rng = np.random.default_rng(7)
    frequency = np.fft.fftfreq(size) * size
    along, across = np.meshgrid(frequency, frequency)
    weight = 1.0 / (1.0 + (along / 2.0) ** 2 + (across / 14.0) ** 2)
    weight[0, 0] = 0.0
    tile = np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) * weight).real
    return (tile / (2.0 * tile.std())).astype(np.float32)
