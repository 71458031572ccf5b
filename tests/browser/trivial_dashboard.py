"""The dashboard with stages that take moments: `python -m tests.browser.trivial_dashboard OPTIONS…`.

Whatever its buttons start is of the trivial kind as well; everything else is real.
"""

from dashboard.serve import main
from tests.pipeline.trivial import make_trivial

if __name__ == "__main__":
    make_trivial()
    main()
