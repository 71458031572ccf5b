"""What holds for all tests: an example of a property has no deadline, which a busy machine would miss; and
`python` is the one that runs them, so that sentences name commands as `python -m core`."""

import os
import sys
from pathlib import Path

from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
