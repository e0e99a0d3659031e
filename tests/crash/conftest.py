"""The rounds of the laboratory take minutes: `make crash` runs them, `make test` only the tests of its parts."""

import os

collect_ignore = [] if os.environ.get("SENSOR_GATEWAY_CRASH") else ["test_crash.py", "test_mutants.py"]
