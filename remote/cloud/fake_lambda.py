"""A Lambda Cloud of our own on the loopback interface, for tests and for `--demo`. No money, no machines.

    python -m remote.cloud.fake_lambda --port 8765    # then: FRACTAL_LAMBDA_URL=http://127.0.0.1:8765 LAMBDA_API_KEY=demo-key …

It answers as the documented API does (paths, codes, shapes), holds to its rate limits by an injected clock, and can be told
to misbehave: no capacity, an error before or after the deed, a dropped connection, a login page in between, a slow boot, a
slow end, an unhealthy or preempted machine. It keeps the true bill, against which our own cost figures are tested.
Prices and machines are invented examples.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from remote.cloud.fake_account import DEMO_KEY, TOO_MANY, BadRequest, FakeAccount, Fault, Json


class FakeLambda:
    """The server around an account: `with FakeLambda(account) as fake: … fake.url`."""

    def __init__(self, account: FakeAccount | None = None, port: int = 0) -> None:
        self.account = account or FakeAccount()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self.account))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeLambda:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(account: FakeAccount) -> type[BaseHTTPRequestHandler]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one segment: without this every answer waits 40 ms for a delayed acknowledgement.
        wbufsize = 1 << 16
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            """Quiet: a test's output is the test's."""

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(account.now() if timestamp is None else timestamp)

        def do_GET(self) -> None:
            self._serve("GET")

        def do_POST(self) -> None:
            self._serve("POST")

        def _serve(self, method: str) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            with lock:
                reply = _answer(account, method, self.path, self.headers.get("Authorization", ""), body)
            if reply is None:
                self.close_connection = True
                self.connection.close()
                return
            self._write(reply)

        def _write(self, reply: _Reply) -> None:
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

    return Handler


@dataclass(frozen=True)
class _Reply:
    status: int
    body: bytes
    content_type: str = "application/json"


def _answer(account: FakeAccount, method: str, path: str, authorization: str, body: Json) -> _Reply | None:
    """The reply, or None to drop the connection."""
    operation = _operation(method, path)
    account.requests.append((method, path))
    fault = account.take_fault(operation)
    if fault and fault.is_foreign:
        return _Reply(200, b"<html>Welcome to the hotel</html>", "text/html")
    try:
        if authorization != f"Bearer {account.key}":
            raise BadRequest(401, "global/invalid-api-key", "API key was invalid, expired, or deleted.")
        if account.too_fast(operation):
            raise BadRequest(TOO_MANY.status, TOO_MANY.code, TOO_MANY.message)
        if fault and not fault.is_done:
            return _faulty(fault)
        data = _do(account, operation, path, body)
        return _faulty(fault) if fault else _Reply(200, json.dumps({"data": data}).encode())
    except BadRequest as bad:
        return _error(bad.status, bad.code, bad.message)


def _operation(method: str, path: str) -> str:
    parts = path.partition("?")[0].removeprefix("/api/v1/").split("/")
    if parts[0] == "instance-operations":
        return parts[1]
    if parts[0] == "instances" and len(parts) == 2:
        return "instance" if method == "GET" else "rename"
    return parts[0] if method == "GET" else f"add-{parts[0]}"


def _do(account: FakeAccount, operation: str, path: str, body: Json) -> Any:
    last = path.rsplit("/", 1)[-1]
    deeds: dict[str, Callable[[], Any]] = {
        "launch": lambda: account.launch(body),
        "terminate": lambda: account.terminate(body),
        "restart": lambda: account.restart(body),
        "instances": account.listed,
        "instance": lambda: account.one(last),
        "instance-types": lambda: account.types,
        "ssh-keys": lambda: account.ssh_keys,
        "file-systems": lambda: account.file_systems,
        "images": lambda: [{"id": "img-1", "family": "lambda-stack-22-04", "name": "Lambda Stack 22.04"}],
    }
    if operation not in deeds:
        raise BadRequest(404, "global/not-found", f"There is no {path}.")
    return deeds[operation]()


def _faulty(fault: Fault) -> _Reply | None:
    return None if fault.is_dropped else _error(fault.status, fault.code, fault.message)


def _error(status: int, code: str, message: str) -> _Reply:
    return _Reply(status, json.dumps({"error": {"code": code, "message": message}}).encode())


def main() -> None:
    parser = argparse.ArgumentParser(
        description="A fake Lambda Cloud on the loopback interface: no money, no machines."
    )
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--boot-s", type=float, default=20.0)
    asked = parser.parse_args()
    with FakeLambda(FakeAccount(boot_s=asked.boot_s, is_rate_limited=True), asked.port) as fake:
        print(f"FRACTAL_LAMBDA_URL={fake.url} LAMBDA_API_KEY={DEMO_KEY}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
