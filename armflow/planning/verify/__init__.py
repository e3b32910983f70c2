"""Judges of candidate motions: geometry before the motion, a monitor during it."""

from armflow.planning.verify.geometry import Choice, GeometricVerifier, GeometryLimits
from armflow.planning.verify.monitor import Monitor

__all__ = ["Choice", "GeometricVerifier", "GeometryLimits", "Monitor"]
