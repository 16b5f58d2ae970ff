"""Small servers on this machine that stand in for the Hugging Face Hub and for a file server."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Server:
    """Files by path, what was asked for, and how long until the connection breaks.

    Attributes:
        files: Content by path.
        requests: Method, path and `Range` of everything that was asked for.
        break_after: Bytes after which answers break off; None never.
        knows_ranges: Answers requests for a part with that part.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.requests: list[tuple[str, str, str | None]] = []
        self.break_after: int | None = None
        self.knows_ranges = True
        self.address = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        wanted = handler.headers.get("Range")
        path = handler.path.partition("?")[0]
        self.requests.append((handler.command, path, wanted))
        content = self.content(path)
        if content is None:
            handler.send_response(404)
            handler.send_header("X-Error-Code", "RepoNotFound")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted and self.knows_ranges else 0
        if start and start >= len(content):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        for name, value in self.headers(path, content).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content) - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(content[start:][: self.break_after])

    def content(self, path: str) -> bytes | None:
        """What is at a path."""
        return self.files.get(path)

    def headers(self, path: str, content: bytes) -> dict[str, str]:
        """Headers beside the length."""
        del path, content
        return {"Accept-Ranges": "bytes"}


class Hub(Server):
    """A repository of the Hugging Face Hub."""

    def __init__(self, repo_id: str, files: dict[str, bytes]) -> None:
        super().__init__(files)
        self.repo_id = repo_id

    def content(self, path: str) -> bytes | None:
        """Answer as the Hub's interface does."""
        api = f"/api/models/{self.repo_id}"
        if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            siblings = [{"rfilename": name} for name in self.files]
            return json.dumps({"id": self.repo_id, "sha": COMMIT, "siblings": siblings}).encode()
        if path.startswith(f"{api}/tree/{COMMIT}"):
            return json.dumps([self._tree_entry(*item) for item in self.files.items()]).encode()
        return self.files.get(path.removeprefix(f"/{self.repo_id}/resolve/{COMMIT}/"))

    def headers(self, path: str, content: bytes) -> dict[str, str]:
        """What the Hub's library needs to know."""
        if "/resolve/" not in path:
            return {"Content-Type": "application/json"}
        return {
            "X-Repo-Commit": COMMIT,
            "ETag": f'"{self.claimed_hash(content)}"',
            "Accept-Ranges": "bytes",
            "X-Linked-Size": str(len(content)),
        }

    def claimed_hash(self, content: bytes) -> str:
        """The sha256 that the Hub claims a file to have."""
        return hashlib.sha256(content).hexdigest()

    def _tree_entry(self, name: str, content: bytes) -> dict[str, object]:
        digest = self.claimed_hash(content)
        lfs = {"oid": digest, "size": len(content), "pointerSize": 130}
        return {"type": "file", "oid": "0" * 40, "size": len(content), "path": name, "lfs": lfs}


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Run a server on a free port while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def do_HEAD(self) -> None:
            server.answer(self)

        def log_message(self, *_: object) -> None: ...

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    server.address = f"http://127.0.0.1:{listening.server_port}"
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
