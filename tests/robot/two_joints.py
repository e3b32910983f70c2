"""A small arm of two joints that is written where a test wants it, complete or with something missing."""

import re
from pathlib import Path

LINK = '<link name="{0}"><collision><geometry><box size="0.1 0.1 0.1"/></geometry></collision></link>'
JOINT = """<joint name="{0}" type="revolute"><parent link="{1}"/><child link="{2}"/><origin xyz="0 0 0.2"/>
<axis xyz="0 1 0"/><limit effort="9" {3}/></joint>"""
POSITIONS = 'lower="-2" upper="2"'
YAML = """urdf: two.urdf
base_link: base
joints: [turn, bend]
v_max: [1.0, 1.0]
a_max: [5.0, 5.0]
home: [0.1, 0.2]
gripper: {kind: parallel, mount: {link: tip, xyz: [0, 0, 0.1], rpy: [0, 0, 0]}}
workspace: {low: [0.0, -0.5, 0.0], high: [0.8, 0.5, 0.8]}
bench: {center: [0.4, 0.0], half: [0.1, 0.2]}
"""


def write_urdf(path: Path, limits: str = POSITIONS) -> Path:
    """Write the URDF; `limits` are attributes of both joints' limit."""
    links = "".join(LINK.format(name) for name in ("base", "middle", "tip"))
    joints = JOINT.format("turn", "base", "middle", limits) + JOINT.format("bend", "middle", "tip", limits)
    path.write_text(f'<robot name="two">{links}{joints}</robot>')
    return path


def write_arm(folder: Path, without: str = "", limits: str = POSITIONS) -> Path:
    """Write the URDF and a YAML file that lacks one field; returns the YAML file."""
    write_urdf(folder / "two.urdf", limits)
    text = re.sub(rf"^{without}:.*\n", "", YAML, flags=re.MULTILINE) if without else YAML
    (folder / "two.yaml").write_text(text)
    return folder / "two.yaml"
