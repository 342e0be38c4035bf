"""`python -m genie_mini.cli` is `genie-mini`."""

import sys

from genie_mini.cli import main

sys.exit(main())
