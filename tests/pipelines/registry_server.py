"""A registry on loopback that speaks Model Registry's REST API, as far as registering goes.

Bodies are read by the classes that Kubeflow generates from the API's description, ids and conflicts are given
as its server gives them: a name once, 404 for what is not there, 409 for what is.
"""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from mr_openapi import Artifact, ModelVersionCreate, RegisteredModelCreate


class Registry:
    """What the server holds; `fail` makes the next matching requests answer with a status."""

    def __init__(self, version, token):
        self.base, self.token = f"/api/model_registry/{version}", token
        self.models, self.versions, self.artifacts = {}, {}, {}
        self.fail, self.requests = {}, []

    def answer(self, method, path, query, body):
        failures = self.fail.get((method, path))
        return failures.pop(0) if failures else self._answer(method, path, query, body)

    def _answer(self, method, path, query, body):
        first, *rest = path.strip("/").split("/")
        if first == "model_versions" and rest[1:] == ["artifacts"] and rest[0] in self.versions:
            mine = self.artifacts.setdefault(rest[0], {})
            if method == "GET":
                return 200, self._listed(mine.values(), query)
            return self._create(mine, Artifact.from_dict(body).actual_instance)
        if (method, first, rest[1:]) == ("GET", "registered_models", ["versions"]):
            mine = [one for one in self.versions.values() if one["registeredModelId"] == rest[0]]
            return 200, self._listed(mine, query)
        answers = {
            ("GET", "/registered_models"): lambda: (200, self._listed(self.models.values(), query)),
            ("GET", "/registered_model"): lambda: self._named(self.models.values(), query),
            ("POST", "/registered_models"): lambda: self._create(self.models, RegisteredModelCreate.from_dict(body)),
            ("GET", "/model_version"): lambda: self._named(self.versions.values(), query),
            ("POST", "/model_versions"): lambda: self._create(self.versions, ModelVersionCreate.from_dict(body)),
        }
        missing = (404, {"code": "404", "message": "not found"})
        return answers[method, path]() if (method, path) in answers else missing

    def _listed(self, items, query):
        return {
            "items": list(items),
            "nextPageToken": "",
            "pageSize": int(query.get("pageSize", 10)),
            "size": len(items),
        }

    def _named(self, items, query):
        parent = query.get("parentResourceId")
        found = [one for one in items if one["name"] == query["name"] and one.get("registeredModelId") == parent]
        return (200, found[0]) if found else (404, {"code": "404", "message": "no such entity"})

    def _create(self, into, made):
        record = made.to_dict()
        parent = record.get("registeredModelId")
        if any(one["name"] == record["name"] and one.get("registeredModelId") == parent for one in into.values()):
            return 409, {"code": "409", "message": f"{record['name']} already exists"}
        record["id"] = str(len(into) + 1)
        into[record["id"]] = record
        return 201, record


@contextmanager
def serve(version="v1alpha3", token="", page=None):
    """Yields (url, registry); `page` answers everything with HTML, as a login page does."""
    registry = Registry(version, token)

    class Handler(BaseHTTPRequestHandler):
        def _reply(self, status, body, kind="application/json"):
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _handle(self):
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            parts = urlsplit(self.path)
            registry.requests.append((self.command, parts.path))
            if page is not None:
                return self._reply(200, page, "text/html")
            if registry.token and self.headers.get("Authorization") != f"Bearer {registry.token}":
                return self._reply(401, {"code": "401", "message": "unauthorized"})
            if not parts.path.startswith(registry.base + "/"):
                return self._reply(404, b"404 page not found", "text/plain")
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            return self._reply(*registry.answer(self.command, parts.path.removeprefix(registry.base), query, body))

        do_GET = do_POST = _handle

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
