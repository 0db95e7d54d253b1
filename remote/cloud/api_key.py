"""The API key: from `LAMBDA_API_KEY`, else from a file that only its owner can read.

Guarantees: the key's text is in `ApiKey.reveal()` only; `repr`, `str`, errors and logs show its fingerprint. A key with a
character that no HTTP header takes is refused here, because the HTTP library's own error would print it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from remote.cloud.cloud_errors import AskPerson

_FORM = re.compile(r"[A-Za-z0-9_.~+/=-]{8,512}\Z")
_PAGE = "https://cloud.lambda.ai/api-keys"


class ApiKey:
    """A key that does not print itself."""

    def __init__(self, text: str, source: str) -> None:
        if not _FORM.match(text):
            raise AskPerson(f"{source} does not hold an API key", f"copy the key again from {_PAGE}")
        self._text = text
        self.source = source

    def reveal(self) -> str:
        return self._text

    @property
    def fingerprint(self) -> str:
        """Tells two keys apart without telling either."""
        return hashlib.sha256(b"fractal-console\0" + self._text.encode()).hexdigest()[:12]

    def __repr__(self) -> str:
        return f"ApiKey({self.fingerprint} from {self.source})"


def find_key(file: Path, environ: Mapping[str, str]) -> ApiKey:
    """The user's key, or an error that says where to put one."""
    text = environ.get("LAMBDA_API_KEY", "").strip()
    if text:
        return ApiKey(text, "LAMBDA_API_KEY")
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        raise AskPerson(
            "there is no Lambda API key",
            f"make one at {_PAGE}, then: (umask 077; mkdir -p {file.parent}; cat > {file})",
        ) from None
    if mode & 0o077:
        raise AskPerson(f"{file} can be read by others", f"chmod 600 {file}")
    if hasattr(os, "getuid") and file.stat().st_uid != os.getuid():
        raise AskPerson(f"{file} belongs to another user", f"chown $USER {file}")
    return ApiKey(file.read_text(errors="replace").strip(), str(file))
