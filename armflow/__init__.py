"""armflow: RGB-D in, checked arm motion out."""

__all__ = ["__version__"]
__version__ = "0.1.0"
