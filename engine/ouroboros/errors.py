"""What a step of this phase can't mend itself. Each ends as one line and exit code 2 (edges.py).

OuroborosError
├── Refused            the step can't go on as asked
├── DatasetError       prepared data is missing, mixed, or empty in a class
├── SplitError         a problem or a template stands in two splits, or a split is empty
└── CheckpointError    a checkpoint is missing, broken, or of other data or another tokenizer
"""

from __future__ import annotations


class OuroborosError(Exception):
    """The message says what happened to which thing, and what to do."""


class Refused(OuroborosError):
    pass


class DatasetError(OuroborosError):
    pass


class SplitError(OuroborosError):
    pass


class CheckpointError(OuroborosError):
    pass
