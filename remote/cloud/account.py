"""The user's account, ready to be asked: key, pace and address put together.

`FRACTAL_LAMBDA_URL` names another server, such as the fake one of `python -m remote.cloud.fake_lambda`.
"""

from __future__ import annotations

from collections.abc import Mapping

from remote.cloud.api_key import find_key
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.lambda_cloud import BASE_URL, LambdaCloud
from remote.cloud.pace import Pace


def open_account(paths: CloudPaths, environ: Mapping[str, str]) -> LambdaCloud:
    """A client for the user's account; an `AskPerson` error that says what to do where there is no key."""
    paths.make()
    key = find_key(paths.key, environ)
    return LambdaCloud(key, Pace(paths.pace), environ.get("FRACTAL_LAMBDA_URL", BASE_URL))
