import struct

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from armflow.envs.decimate import decimate
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
from armflow.envs.mesh_files import load_mesh
from armflow.envs.urdf_visuals import load_urdf_visuals
from armflow.robot.errors import ChoiceError, FormatError, ValueRangeError

TRIANGLE = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr("armflow.envs.mesh_files.cache_dir", lambda: tmp_path_factory.getbasetemp() / "cache")


def volume(mesh):
    """Enclosed volume by the divergence theorem; negative when faces look inwards."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6)


def is_closed(mesh):
    sides = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    return {tuple(s) for s in sides.tolist()} == {tuple(s) for s in sides[:, ::-1].tolist()}


TUBE = [[0.03, 0.0], [0.04, 0.0], [0.04, 0.1], [0.03, 0.1]]
SOLIDS = {
    "box": (box_mesh([0.1, 0.2, 0.3]), 8 * 0.1 * 0.2 * 0.3),
    "cylinder": (cylinder_mesh(0.1, 0.4, 128), np.pi * 0.01 * 0.4),
    "sphere": (sphere_mesh(0.1, 96), 4 / 3 * np.pi * 1e-3),
    "capsule": (capsule_mesh(0.1, 0.3, 96), 4 / 3 * np.pi * 1e-3 + np.pi * 0.01 * 0.3),
    "tube": (revolve(TUBE, 128), np.pi * (0.04**2 - 0.03**2) * 0.1),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_solids_are_closed_outward_and_of_their_volume(name):
    mesh, expected = SOLIDS[name]
    assert is_closed(mesh)
    assert volume(mesh) == pytest.approx(expected, rel=0.005)  # flat sides lie inside the round body


def test_moving_and_mirroring_keep_the_volume_outward():
    mesh = merge_meshes([SOLIDS["box"][0], transform_mesh(SOLIDS["sphere"][0], np.diag([1.0, 1.0, -1.0, 1.0]))])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_euler("xyz", [1.0, 2.0, 3.0]).as_matrix(), [1.0, 2.0, 3.0]
    assert volume(transform_mesh(mesh, T)) == pytest.approx(volume(mesh), rel=1e-9)
    assert volume(mesh) == pytest.approx(volume(SOLIDS["box"][0]) + volume(SOLIDS["sphere"][0]), rel=1e-9)


def test_mesh_refuses_faces_of_missing_vertices():
    with pytest.raises(ValueRangeError, match="rows of 3 vertices"):
        Mesh(TRIANGLE, np.array([[0, 1, 3]], np.int32), np.ones((1, 3), np.float32))


# --------------------------------------------------------------------------------------------------------- simplifying


def test_decimated_sphere_stays_closed_and_close_to_the_sphere():
    sphere = sphere_mesh(1.0, 96)
    small = decimate(sphere, 600)
    assert 500 < len(small.faces) <= 600
    assert is_closed(small)
    assert volume(small) == pytest.approx(4 / 3 * np.pi, rel=0.03)
    assert np.abs(np.linalg.norm(small.vertices, axis=1) - 1).max() < 0.03


def test_decimating_a_finely_divided_box_gives_the_box_back():
    steps = np.linspace(-1, 1, 9)
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    rows = np.arange(81).reshape(9, 9)
    quads = np.stack([rows[:-1, :-1], rows[1:, :-1], rows[1:, 1:], rows[:-1, 1:]], -1).reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    top = Mesh(np.column_stack([grid, np.ones(81)]), faces, np.ones((128, 3), np.float32))
    small = decimate(top, 8)
    assert len(small.faces) <= 8
    np.testing.assert_allclose(small.vertices[:, 2], 1.0, atol=1e-9)
    area = np.linalg.norm(
        np.cross(*(small.vertices[small.faces[:, k]] - small.vertices[small.faces[:, 0]] for k in (1, 2))), axis=1
    )
    assert area.sum() / 2 == pytest.approx(4.0, rel=0.02)  # the border is held


def test_decimate_leaves_small_meshes_alone_and_refuses_silly_bounds():
    assert decimate(box_mesh([1, 1, 1]), 100).faces.shape == (12, 3)
    with pytest.raises(ValueRangeError, match="max_faces is 2"):
        decimate(box_mesh([1, 1, 1]), 2)


# --------------------------------------------------------------------------------------------------------------- files


def test_obj_gives_its_materials_colours_and_polygons(tmp_path):
    (tmp_path / "a.mtl").write_text("newmtl red\nKd 0.8 0.1 0.2\nnewmtl blue\nKd 0 0 1\n")
    (tmp_path / "a.obj").write_text(
        "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0 0 1\n"
        "usemtl red\nf 1//1 2//1 3//1 4//1\nusemtl blue\nf -5 -4 -1\n"
    )
    mesh = load_mesh(tmp_path / "a.obj", 0.5)
    assert mesh.faces.shape == (3, 3)
    np.testing.assert_allclose(mesh.colors, [[0.8, 0.1, 0.2], [0.8, 0.1, 0.2], [0, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [0.5, 0.5, 0.5])


@pytest.mark.parametrize("binary", [True, False])
def test_both_kinds_of_stl_give_the_same_box(tmp_path, binary):
    box = box_mesh([0.1, 0.2, 0.3])
    corners = box.vertices[box.faces]
    path = tmp_path / "box.stl"
    if binary:
        rows = b"".join(struct.pack("<12fH", 0, 0, 0, *c.reshape(-1), 0) for c in corners)
        path.write_bytes(b"solid by mistake".ljust(80) + struct.pack("<I", len(corners)) + rows)
    else:
        facets = ["outer loop\n" + "\n".join(f"vertex {x} {y} {z}" for x, y, z in c) + "\nendloop" for c in corners]
        path.write_text("solid box\n" + "\n".join(facets) + "\nendsolid\n")
    mesh = load_mesh(path)
    assert mesh.vertices.shape == (8, 3)  # welded
    assert volume(mesh) == pytest.approx(8 * 0.006, rel=1e-5)


COLLADA = """<?xml version="1.0"?><COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
<asset><unit meter="0.01"/><up_axis>{up}</up_axis></asset>
<library_effects><effect id="e"><profile_COMMON><technique sid="c"><phong>
<diffuse><color>0.2 0.4 0.6 1</color></diffuse>
</phong></technique></profile_COMMON></effect></library_effects>
<library_materials><material id="m"><instance_effect url="#e"/></material></library_materials>
<library_geometries><geometry id="g"><mesh><source id="p">
<float_array id="pa" count="12">0 0 0 1 0 0 1 1 0 0 1 0</float_array>
<technique_common><accessor source="#pa" count="4" stride="3"/></technique_common></source>
<vertices id="v"><input semantic="POSITION" source="#p"/></vertices>
<polylist material="s" count="1"><input semantic="VERTEX" source="#v" offset="0"/>
<input semantic="NORMAL" source="#p" offset="1"/>
<vcount>4</vcount><p>0 0 1 0 2 0 3 0</p></polylist></mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene id="vs"><node><translate>0 0 5</translate>
<node><matrix>2 0 0 0 0 2 0 0 0 0 2 0 0 0 0 1</matrix>
<instance_geometry url="#g"><bind_material>
<technique_common><instance_material symbol="s" target="#m"/></technique_common>
</bind_material></instance_geometry></node></node></visual_scene></library_visual_scenes>
<scene><instance_visual_scene url="#vs"/></scene></COLLADA>"""


@pytest.mark.parametrize(("up", "corner"), [("Z_UP", [0.02, 0.02, 0.05]), ("Y_UP", [0.02, -0.05, 0.02])])
def test_collada_nodes_unit_axis_and_material_are_applied(tmp_path, up, corner):
    (tmp_path / "a.dae").write_text(COLLADA.format(up=up))
    mesh = load_mesh(tmp_path / "a.dae")
    assert mesh.faces.shape == (2, 3)
    assert np.abs(mesh.vertices - corner).max(axis=1).min() < 1e-9
    np.testing.assert_allclose(mesh.colors, [[0.2, 0.4, 0.6]] * 2, atol=1e-6)


def test_a_damaged_cache_is_read_past(tmp_path):
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    first = load_mesh(tmp_path / "a.obj")
    from armflow.envs import mesh_files

    for file in (mesh_files.cache_dir() / "meshes").glob("a-*.npz"):
        file.write_bytes(b"PK broken")
    np.testing.assert_array_equal(load_mesh(tmp_path / "a.obj").vertices, first.vertices)


def test_unreadable_meshes_are_refused_with_the_reason(tmp_path):
    (tmp_path / "a.obj").write_text("v 0 0 0\nf 1 2 3\n")
    (tmp_path / "a.dae").write_text("<COLLADA")
    with pytest.raises(ChoiceError, match=r"\.ply"):
        load_mesh("a.ply")
    with pytest.raises(FormatError, match="does not exist"):
        load_mesh(tmp_path / "none.obj")
    for name in ("a.obj", "a.dae"):
        with pytest.raises(FormatError, match=name):
            load_mesh(tmp_path / name)


def test_urdf_gives_every_visual_with_pose_and_colour(tmp_path):
    (tmp_path / "tri.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / "robot.urdf").write_text(
        """<robot name="r"><material name="sky"><color rgba="0 0.5 1 1"/></material>
        <link name="base"><visual><origin xyz="1 2 3" rpy="0 0 1.5707963"/>
        <geometry><box size="0.2 0.4 0.6"/></geometry>
        <material name="sky"/></visual></link>
        <link name="tip"><visual><geometry><mesh filename="tri.obj" scale="2 2 2"/></geometry></visual>
        <visual><geometry><cylinder radius="0.1" length="0.5"/></geometry></visual></link></robot>"""
    )
    base, tip, rod = load_urdf_visuals(tmp_path / "robot.urdf")
    assert (base.link, tip.link, rod.link) == ("base", "tip", "tip")
    assert base.rgba == (0.0, 0.5, 1.0, 1.0)
    np.testing.assert_allclose(base.T_link_visual[:3, 3], [1, 2, 3])
    np.testing.assert_allclose(base.T_link_visual[:3, 0], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(base.mesh.vertices.max(axis=0), [0.1, 0.2, 0.3])
    assert tip.mesh.vertices.max() == 2.0


def test_urdf_errors_name_the_file(tmp_path):
    (tmp_path / "bad.urdf").write_text("<robot><link name='a'><visual/></link></robot>")
    with pytest.raises(FormatError, match="link a: a visual without geometry"):
        load_urdf_visuals(tmp_path / "bad.urdf")
    with pytest.raises(FormatError, match=r"none\.urdf"):
        load_urdf_visuals(tmp_path / "none.urdf")
