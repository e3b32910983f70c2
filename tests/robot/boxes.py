"""Small arms of boxes that are written where a test wants them, complete or with something missing."""

import re
from pathlib import Path

LINK = '<link name="{0}"><collision><geometry><box size="0.1 0.1 0.1"/></geometry></collision></link>'
JOINT = """<joint name="{0}" type="revolute"><parent link="{1}"/><child link="{2}"/><origin xyz="0 0 0.2"/>
<axis xyz="{3}"/><limit effort="9" {4}/></joint>"""
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


def write_urdf(path: Path, limits: str = POSITIONS, bends: tuple[str, ...] = ("bend",)) -> Path:
    """Write a URDF of a joint that turns about z and some that bend about y; `limits` are attributes of each limit."""
    names, links = ("turn", *bends), ("base", *(f"link_{name}" for name in bends), "tip")
    axes = ("0 0 1", *["0 1 0"] * len(bends))
    joints = map(JOINT.format, names, links[:-1], links[1:], axes, [limits] * len(names))
    path.write_text(f'<robot name="two">{"".join(map(LINK.format, links))}{"".join(joints)}</robot>')
    return path


def write_arm(folder: Path, without: str = "", limits: str = POSITIONS) -> Path:
    """Write the URDF and a YAML file that lacks one field; returns the YAML file."""
    write_urdf(folder / "two.urdf", limits)
    text = re.sub(rf"^{without}:.*\n", "", YAML, flags=re.MULTILINE) if without else YAML
    (folder / "two.yaml").write_text(text)
    return folder / "two.yaml"
