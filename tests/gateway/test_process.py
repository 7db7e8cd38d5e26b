"""What a gateway's process holds, and what it does not."""

from __future__ import annotations

import os
import subprocess
import sys

_CODE = """
import sys
from penstock_client.settings import Settings
from penstock_gateway.app import create_app
settings = Settings()
create_app(settings)
loaded = [name for name in sys.modules if name.split(".")[0] == "penstock_worker"]
print(loaded, "never-to-be-read" in repr(vars(settings)))
"""


def test_gateway_holds_no_private_key_and_no_worker() -> None:
    environment = {
        **os.environ,
        "PENSTOCK_PRIVATE_KEYS": "never-to-be-read",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    ran = subprocess.run(
        [sys.executable, "-c", _CODE], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[] False"
