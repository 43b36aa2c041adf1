"""Names the way in which bytes become chunks, so that a change of it is noticed."""

import hashlib
import json
from collections.abc import Mapping


def pipeline_fingerprint(parts: Mapping[str, str | int]) -> str:
    """16 hexadecimal digits over the names and values that decide which chunks come out."""
    canonical = json.dumps(dict(parts), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
