"""As much of the model hub as a push needs, on loopback: repositories, the check of cards, large files, commits.

Written against what `huggingface_hub` 2.4 sends, without its own protocol of chunks (`HF_HUB_DISABLE_XET`).
"""

import base64
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

TOKEN = "hf_SentinelOfTheTests0123456789abcdef"
LICENCES = {"apache-2.0", "mit", "cc-by-4.0", "other"}
LARGE = (".safetensors", ".parquet")


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)

    @property
    def sha(self) -> str:
        return hashlib.sha1(repr(self.commits).encode()).hexdigest()


@dataclass
class FakeHub:
    """What lies there, what was asked, and what goes wrong.

    Attributes:
        repositories: (`models` or `datasets`, owner/name) -> what it holds.
        large: Hash -> a large file that arrived.
        asked: Method and path of each request, with how often it was made.
        refusals: Beginning of a path -> statuses that its next requests get instead of an answer.
        repeats_token: Whether refusals repeat what they were sent.
        address: Where it listens.
    """

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    refusals: dict[str, list[int]] = field(default_factory=dict)
    repeats_token: bool = False
    address: str = ""

    def environment(self, token: str | None = TOKEN) -> dict[str, str]:
        """The variables under which `huggingface_hub` comes here."""
        variables = {
            "HF_ENDPOINT": self.address,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_TOKEN": token or "",
        }
        return {**variables, "TRANSFORMERS_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    hub = FakeHub()

    class Handler(_Handler):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: FakeHub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_GET

    def _serve(self) -> None:
        body, path = self._body(), self.path.partition("?")[0]
        self.state.asked[f"{self.command} {path}"] += 1
        for beginning, statuses in self.state.refusals.items():
            if path.startswith(beginning) and statuses:
                return self._reply({"error": "not now"}, status=statuses.pop(0))
        sent = self.headers.get("Authorization", "")
        if not path.startswith("/lfs/") and sent != f"Bearer {TOKEN}":
            said = f"Invalid credentials in Authorization header{f': {sent}' if self.state.repeats_token else ''}"
            return self._reply({"error": said}, status=401, message=said)
        content, status, code = self._answer(path, body)
        self._reply(content, status=status, code=code)

    def _answer(self, path: str, body: bytes) -> tuple[Any, int, str | None]:
        hub, parts = self.state, path.strip("/").split("/")
        if path.startswith("/lfs/"):
            return self._take_large(parts[1], body)
        if path == "/api/validate-yaml":
            return self._check_card(json.loads(body))
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path.endswith(".git/info/lfs/objects/batch"):
            return (
                {"transfer": "basic", "objects": [self._upload_of(each) for each in json.loads(body)["objects"]]},
                200,
                None,
            )
        kind, name = parts[1], "/".join(parts[2:4])
        found = hub.repositories.get((kind, name))
        if found is None:
            return {"error": "Repository not found"}, 404, "RepoNotFound"
        if parts[4:5] == ["preupload"]:
            return {"files": [self._mode_of(each, found) for each in json.loads(body)["files"]]}, 200, None
        if parts[4:5] == ["commit"]:
            return self._commit(found, name, body)
        return (
            {
                "id": name,
                "private": found.private,
                "sha": found.sha,
                "siblings": [{"rfilename": file} for file in found.files],
            },
            200,
            None,
        )

    def _create(self, asked: dict[str, Any]) -> tuple[Any, int, str | None]:
        name, kind = f"{asked['organization']}/{asked['name']}", f"{asked.get('type', 'model')}s"
        if asked["organization"] != "me":
            return {"error": "You don't have the rights to create a model under this namespace"}, 403, None
        self.state.repositories[kind, name] = Repository(private=asked["visibility"] == "private")
        return {"url": f"{self.state.address}/{'' if kind == 'models' else f'{kind}/'}{name}", "name": name}, 200, None

    def _check_card(self, asked: dict[str, Any]) -> tuple[Any, int, str | None]:
        head = yaml.safe_load(asked["content"].split("---\n")[1])
        wrong = [] if head["license"] in LICENCES else [{"message": f'"license" must be one of {sorted(LICENCES)}'}]
        return {"errors": wrong, "warnings": []}, 400 if wrong else 200, None

    def _mode_of(self, asked: dict[str, Any], found: Repository) -> dict[str, Any]:
        path, there = asked["path"], found.files.get(asked["path"])
        large = path.endswith(LARGE)
        known = {} if there is None else {"oid": _sha256(there) if large else _blob_hash(there)}
        return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, **known}

    def _upload_of(self, asked: dict[str, Any]) -> dict[str, Any]:
        there = asked["oid"] in self.state.large
        href = f"{self.state.address}/lfs/{asked['oid']}?signature=secret"
        return {**asked, **({} if there else {"actions": {"upload": {"href": href}}})}

    def _take_large(self, oid: str, body: bytes) -> tuple[Any, int, str | None]:
        assert _sha256(body) == oid
        self.state.large[oid] = body
        return {}, 200, None

    def _commit(self, found: Repository, name: str, body: bytes) -> tuple[Any, int, str | None]:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                found.commits.append(value["summary"])
            elif line["key"] == "file":
                found.files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert line["key"] == "lfsFile"
                found.files[value["path"]] = self.state.large[value["oid"]]
        oid = found.sha
        return {"commitUrl": f"{self.state.address}/{name}/commit/{oid}", "commitOid": oid, "success": True}, 200, None

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _reply(self, content: Any, *, status: int, code: str | None = None, message: str | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (("X-Error-Code", code), ("X-Error-Message", message)):
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _blob_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
