"""A hub of models on this machine: as much of the real one's HTTP as huggingface_hub asks for when
it makes a repository, commits to it, lists it and fetches from it. Files are kept whole.
"""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit


class Hub(ThreadingHTTPServer):
    """What lies there: `repositories`, {id: [{path: content} of each commit]}, `private`, the ids
    that are hidden, `asked`, each request as "METHOD path", and `refuses`, a status for all.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories, self.private, self.asked, self.refuses = {}, set(), [], None
        self.address = f"http://127.0.0.1:{self.server_port}"

    def files(self, name):
        return self.repositories[name][-1]

    def put(self, name, **files):
        """Commit files, path -> content, as somebody else would."""
        self.repositories.setdefault(name, [{}]).append({**self.files(name), **files})


@contextmanager
def hub_on_this_machine(patch, folder):
    """Serve a hub within this context; huggingface_hub takes it for the hub, keeps its copies in a
    folder, and tries again at once where it would wait.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    with Hub() as hub:
        ask_at(patch, hub.address)
        patch.setattr(constants, "HF_HUB_CACHE", str(folder))
        patch.setattr(_http, "time", SimpleNamespace(sleep=lambda seconds: None))
        threading.Thread(target=hub.serve_forever, args=(0.01,), daemon=True).start()
        yield hub
        hub.shutdown()


def ask_at(patch, address):
    """Let huggingface_hub take what is at this address for the hub."""
    from huggingface_hub import constants

    patch.setattr(constants, "ENDPOINT", address)
    files = address + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)


def _sha(*parts):
    return hashlib.sha1(repr(parts).encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, content=b"", status=200, **headers):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
            headers["Content-Type"] = "application/json"
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_GET(self):
        self.reply(b"")

    do_HEAD = do_GET

    def do_POST(self):
        self.reply(self.rfile.read(int(self.headers["Content-Length"])))

    def reply(self, body):
        hub, path = self.server, unquote(urlsplit(self.path).path)
        hub.asked.append(f"{self.command} {path}")
        if hub.refuses:
            return self.answer({"error": "refused"}, hub.refuses)
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        asked = re.fullmatch(
            r"(?:/api/models)?/([^/]+/[^/]+)/(preupload|commit|revision|tree|resolve)/([^/]+)/?(.*)",
            path,
        ) or re.fullmatch(r"/api/models/([^/]+/[^/]+)(())()", path)
        name, what, revision, file = asked.groups() if asked else [""] * 4
        if name not in hub.repositories:
            error = {"X_Error_Code": "RepoNotFound"}
            return self.answer({"error": "Repository not found"}, 404, **error)
        commits = hub.repositories[name]
        number = next((n for n in range(len(commits)) if _sha(name, n) == revision), -1)
        files, sha = commits[number], _sha(name, number % len(commits))
        if what == "preupload":
            names = [one["path"] for one in json.loads(body)["files"]]
            told = {"uploadMode": "regular", "shouldIgnore": False}
            return self.answer({"files": [{"path": one, **told} for one in names]})
        if what == "commit":
            return self.commit(name, [json.loads(line) for line in body.splitlines()])
        if what == "resolve":
            content = files[file]
            return self.answer(content, ETag=f'"{_sha(content)}"', X_Repo_Commit=sha)
        rows = [
            {"type": "file", "path": path, "size": len(content), "oid": _sha(content)}
            for path, content in files.items()
        ]
        if what == "tree":
            return self.answer(rows)
        siblings = [{"rfilename": row["path"]} for row in rows]
        return self.answer({"id": name, "sha": sha, "siblings": siblings})

    def create(self, wanted):
        name = f"{wanted['organization']}/{wanted['name']}"
        url = {"url": f"{self.server.address}/{name}", "id": name, "name": name}
        if name in self.server.repositories:
            return self.answer({"error": "You already created this model repo", **url}, 409)
        self.server.repositories[name] = [{}]
        if wanted.get("private") or wanted.get("visibility") == "private":
            self.server.private.add(name)
        return self.answer(url)

    def commit(self, name, lines):
        files = dict(self.server.files(name))
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.server.repositories[name].append(files)
        sha = _sha(name, len(self.server.repositories[name]) - 1)
        url = f"{self.server.address}/{name}/commit/{sha}"
        self.answer({"success": True, "commitOid": sha, "commitUrl": url})
