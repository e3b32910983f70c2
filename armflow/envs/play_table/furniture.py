"""The bodies of the play table: cabinet, slider, button, lamp, blocks, and the marks of the two sides."""

from scipy.spatial.transform import RigidTransform

from armflow.envs.shapes import BodySpec, Color, LinkSpec, Part, block, drawer_cabinet, place, turn_z

__all__ = ["BLOCK", "BUTTON_TRAVEL", "DRAWER_TRAVEL", "SLIDER_TRAVEL", "blocks", "fixtures", "lamp"]

BLOCK = 0.04  # m, edge of the two cubes
DRAWER_TRAVEL, SLIDER_TRAVEL, BUTTON_TRAVEL = 0.15, 0.2, 0.02  # m
RED: Color = (0.82, 0.12, 0.12, 1.0)
BLUE: Color = (0.12, 0.25, 0.8, 1.0)
WOOD: Color = (0.5, 0.34, 0.2, 1.0)
PALE: Color = (0.85, 0.78, 0.62, 1.0)
GREEN: Color = (0.15, 0.62, 0.2, 1.0)
GREY: Color = (0.35, 0.36, 0.4, 1.0)
SIDES = ((0.42, 0.09, (0.72, 0.82, 0.72, 1.0)), (0.42, -0.11, (0.86, 0.76, 0.62, 1.0)))  # x, y, colour of the marks


def fixtures() -> dict[str, tuple[BodySpec, RigidTransform]]:
    """Everything that stands fixed, by name, with its place in the world."""
    cabinet = drawer_cabinet("cabinet", WOOD, PALE, size=(0.18, 0.2, 0.085), travel=DRAWER_TRAVEL, standoff=0.06)
    marks = {
        f"{name} side": (_mark(f"{name} side", rgba), place(x, y, 0.0005))
        for name, (x, y, rgba) in zip(("left", "right"), SIDES, strict=True)
    }
    return {
        "cabinet": (cabinet, place(0.68, 0.3, rotation=turn_z(3.141592653589793))),
        "rail": (_rail(), place(0.72, -0.06)),
        "button box": (_button_box(), place(0.48, -0.33)),
        **marks,
    }


def _mark(name: str, rgba: Color) -> BodySpec:
    return BodySpec(name, (Part("box", (0.2, 0.14, 0.001), rgba=rgba),), collides=False)


def _rail() -> BodySpec:
    """A low wall along y, with a door that slides before it and a handle that stands out towards the robot."""
    door = Part("box", (0.01, 0.1, 0.05), place(0.035, 0, -0.015), GREEN)
    handle = Part("box", (0.06, 0.016, 0.05), rgba=(0.1, 0.4, 0.14, 1.0))
    link = LinkSpec(
        "slider", (door, handle), 0.3, (0.0, 1.0, 0.0), place(-0.07, -SLIDER_TRAVEL / 2, 0.055), 0.0, SLIDER_TRAVEL
    )
    wall = Part("box", (0.02, 0.36, 0.08), place(-0.0, 0, 0.04), WOOD)
    return BodySpec("rail", (wall,), 0.0, 0.5, (link,))


def _button_box() -> BodySpec:
    """A box with a wide button on top, which springs back with 3 N."""
    cap = Part("cylinder", (0.032, 0.03), place(z=-0.015), (0.9, 0.75, 0.1, 1.0))
    link = LinkSpec(
        "button", (cap,), 0.05, (0.0, 0.0, -1.0), place(z=0.065), 0.0, BUTTON_TRAVEL, friction=3.0, rest_speed=-0.2
    )
    return BodySpec("button box", (Part("box", (0.1, 0.1, 0.04), place(z=0.02), GREY),), 0.0, 0.8, (link,))


def lamp(on: bool) -> tuple[BodySpec, RigidTransform]:
    """The lamp beyond the button, lit or not; only its colour tells."""
    glow: Color = (1.0, 0.93, 0.35, 1.0) if on else (0.25, 0.25, 0.28, 1.0)
    pole = Part("cylinder", (0.008, 0.07), place(z=0.035), GREY)
    bulb = Part("sphere", (0.025,), place(z=0.09), glow)
    return BodySpec("lamp", (pole, bulb)), place(0.66, -0.37)


def blocks() -> dict[str, BodySpec]:
    """The two cubes by colour."""
    return {name: block(f"{name} block", (BLOCK,) * 3, rgba) for name, rgba in (("red", RED), ("blue", BLUE))}
