"""The page's scripts, and the policy that lets these run and nothing else.

A policy names each script by its hash: text that comes from the data could not run even if it were
not escaped.
"""

import base64
import hashlib
from pathlib import Path
from typing import Final

from markupsafe import Markup

_FOLDER: Final = Path(__file__).parent
LIBRARY: Final = _FOLDER / "vendor" / "echarts.min.js"
EXPLORER: Final = _FOLDER / "explore.js"


def read_scripts() -> list[Markup]:
    """Returns what the page runs, in order: the library that draws, then what uses it."""
    # Our own files: escaped, they would be no scripts.
    return [Markup(file.read_text(encoding="utf-8")) for file in (LIBRARY, EXPLORER)]


def policy(scripts: list[Markup]) -> str:
    """Returns the Content-Security-Policy: no address at all, and no script but these.

    Args:
        scripts: Texts between `<script>` and `</script>`.
    """
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}"


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
