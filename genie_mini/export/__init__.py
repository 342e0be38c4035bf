"""A trained Genie outside PyTorch: ONNX files that onnxruntime plays, in a web page too."""

from genie_mini.export.engine import choose_engine
from genie_mini.export.runtime import ExportedGenie
from genie_mini.export.write import export

__all__ = ["ExportedGenie", "choose_engine", "export"]
