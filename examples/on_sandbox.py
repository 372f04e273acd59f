"""Run a command with a local Tallyfy behind it: ``python examples/on_sandbox.py python examples/sync_job/sync.py``.

It needs ``pip install "tallyfy-async[sandbox]"``. The command finds the Tallyfy by the variables TALLYFY_BASE_URL,
TALLYFY_ORGANIZATION, TALLYFY_ACCESS_TOKEN, TALLYFY_CLIENT_ID and TALLYFY_CLIENT_SECRET, and ends it by ending.
"""

import os
import subprocess
import sys

from tallyfy_async.sandbox import Sandbox


def variables(sandbox: Sandbox) -> dict[str, str]:
    """Return what a program of yours needs to find and enter a sandbox that is served."""
    known = sandbox.credentials
    return {
        "TALLYFY_BASE_URL": sandbox.url,
        "TALLYFY_ORGANIZATION": known.organization,
        "TALLYFY_ACCESS_TOKEN": known.personal_token,
        "TALLYFY_CLIENT_ID": known.client_id,
        "TALLYFY_CLIENT_SECRET": known.client_secret,
    }


def main(*command: str) -> int:
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    with Sandbox().serve() as sandbox:
        return subprocess.run(command, env={**os.environ, **variables(sandbox)}, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:  # the command has heard it too
        sys.exit(130)
