"""A trained Genie outside PyTorch: ONNX files that onnxruntime plays, in a web page too."""

import os

from genie_mini.export.engine import choose_engine
from genie_mini.export.runtime import ExportedGenie
from genie_mini.export.write import export

# Or else onnxruntime tells its maker what it runs on, and keeps an identifier in the home folder.
# It looks at this once, when it is loaded, which nothing above does.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["ExportedGenie", "choose_engine", "export"]
