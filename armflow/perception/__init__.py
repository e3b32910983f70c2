"""RGB-D frames into tables, named objects and tracked points; nothing here knows the simulator's truth.

Names are imported when they are first asked for.
"""

from typing import TYPE_CHECKING

from armflow.robot.lazy import lazy_names

if TYPE_CHECKING:
    from armflow.perception.cloud import DepthError
    from armflow.perception.detection import KINDS, Detection, TablePlane
    from armflow.perception.flow import Flow3D
    from armflow.perception.frame import Camera, RGBDFrame
    from armflow.perception.gaussian_files import read_ply, write_ply, write_splat
    from armflow.perception.gaussians import GaussianError, GaussianObject, gaussians_from_frames
    from armflow.perception.instruction import Command, Found, InstructionError, Phrase, find_object, parse_instruction
    from armflow.perception.motion import MovingObject, moving_object
    from armflow.perception.observation import Observation
    from armflow.perception.particles import ObjectState
    from armflow.perception.recording import Recording, load_recording
    from armflow.perception.regions import SegmentConfig
    from armflow.perception.segment import SceneObjects, perceive
    from armflow.perception.skinning import Skin, bind_gaussians, local_rotations, move_gaussians
    from armflow.perception.splat import Picture, Splats, View, choose_rasterizer, render
    from armflow.perception.splat_refine import RefineConfig, Refined, refine
    from armflow.perception.table import PlaneError, find_table, level_frame
    from armflow.perception.track import PointTracker, Tracked, TrackerConfig
    from armflow.perception.unposed import UnposedScene, perceive_unposed

_HOMES = {
    "cloud": ("DepthError",),
    "detection": (
        "KINDS",
        "Detection",
        "TablePlane",
    ),
    "flow": ("Flow3D",),
    "frame": (
        "Camera",
        "RGBDFrame",
    ),
    "gaussian_files": (
        "read_ply",
        "write_ply",
        "write_splat",
    ),
    "gaussians": (
        "GaussianError",
        "GaussianObject",
        "gaussians_from_frames",
    ),
    "instruction": (
        "Command",
        "Found",
        "InstructionError",
        "Phrase",
        "find_object",
        "parse_instruction",
    ),
    "motion": (
        "MovingObject",
        "moving_object",
    ),
    "observation": ("Observation",),
    "particles": ("ObjectState",),
    "recording": (
        "Recording",
        "load_recording",
    ),
    "regions": ("SegmentConfig",),
    "segment": (
        "SceneObjects",
        "perceive",
    ),
    "skinning": (
        "Skin",
        "bind_gaussians",
        "local_rotations",
        "move_gaussians",
    ),
    "splat": (
        "Picture",
        "Splats",
        "View",
        "choose_rasterizer",
        "render",
    ),
    "splat_refine": (
        "RefineConfig",
        "Refined",
        "refine",
    ),
    "table": (
        "PlaneError",
        "find_table",
        "level_frame",
    ),
    "track": (
        "PointTracker",
        "Tracked",
        "TrackerConfig",
    ),
    "unposed": (
        "UnposedScene",
        "perceive_unposed",
    ),
}

__all__ = [
    "KINDS",
    "Camera",
    "Command",
    "DepthError",
    "Detection",
    "Flow3D",
    "Found",
    "GaussianError",
    "GaussianObject",
    "InstructionError",
    "MovingObject",
    "ObjectState",
    "Observation",
    "Phrase",
    "Picture",
    "PlaneError",
    "PointTracker",
    "RGBDFrame",
    "Recording",
    "RefineConfig",
    "Refined",
    "SceneObjects",
    "SegmentConfig",
    "Skin",
    "Splats",
    "TablePlane",
    "Tracked",
    "TrackerConfig",
    "UnposedScene",
    "View",
    "bind_gaussians",
    "choose_rasterizer",
    "find_object",
    "find_table",
    "gaussians_from_frames",
    "level_frame",
    "load_recording",
    "local_rotations",
    "move_gaussians",
    "moving_object",
    "parse_instruction",
    "perceive",
    "perceive_unposed",
    "read_ply",
    "refine",
    "render",
    "write_ply",
    "write_splat",
]

__getattr__ = lazy_names(__name__, _HOMES)
