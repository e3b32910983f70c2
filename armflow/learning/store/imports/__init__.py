"""Importers of play recorded by others."""

from armflow.learning.store.imports.layout import Layout, Source
from armflow.learning.store.imports.sandbox import Limits, Sandbox
from armflow.learning.store.imports.source import LAYOUTS, detect_layout, read_source

__all__ = ["LAYOUTS", "Layout", "Limits", "Sandbox", "Source", "detect_layout", "read_source"]
