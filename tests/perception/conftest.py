"""The tiny depth estimator of the teacher tests is used here, too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "teacher"))
