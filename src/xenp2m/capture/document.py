"""JSON texts: parsed once, with this program's errors."""

from __future__ import annotations

import json
from typing import Any

from xenp2m.capture.text import Text
from xenp2m.errors import FormatError


def document(text: Text) -> Any:
    """Parse the text as one JSON value; raises FormatError with the place where it stops being JSON."""
    try:
        return json.loads(text.data)
    except json.JSONDecodeError as error:
        raise FormatError("not JSON", where=f"{text.name}, line {error.lineno}", found=error.msg) from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise FormatError("not JSON", where=text.name, found=str(error)[:80]) from error
