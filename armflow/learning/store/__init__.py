from armflow.learning.store.errors import DatasetError
from armflow.learning.store.load import load_table
from armflow.learning.store.reader import Dataset, Episode, open_dataset
from armflow.learning.store.schema import Feature, Recording, Schema, encode_depth, infer_schema, metres
from armflow.learning.store.table import EpisodeTable, join
from armflow.learning.store.writer import DatasetWriter

__all__ = [
    "Dataset",
    "DatasetError",
    "DatasetWriter",
    "Episode",
    "EpisodeTable",
    "Feature",
    "Recording",
    "Schema",
    "encode_depth",
    "infer_schema",
    "join",
    "load_table",
    "metres",
    "open_dataset",
]
