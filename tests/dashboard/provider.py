"""A tiny OpenID Connect provider on loopback: discovery, authorize, token and keys, as the standard says.

It lets everybody in at once, as the account that the test names, and forgets nothing of what a client must
send back: code, client and secret, and the nonce of the request.
"""

import json
import secrets
import threading
import time
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlparse

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "workbench", "a secret of the client"


class Provider:
    """The provider and its address; `account` holds the claims of whoever logs in next."""

    def __init__(self) -> None:
        self.account: dict[str, Any] = {}
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        self.codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.answer(self, "")

            def do_POST(self) -> None:
                provider.answer(self, self.rfile.read(int(self.headers["Content-Length"])).decode())

            def log_message(self, *_: object) -> None:
                """Silence."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler, body: str) -> None:
        """Route one request."""
        path, query = urlparse(request.path).path, parse_qs(urlparse(request.path).query)
        asked = {name: values[0] for name, values in (query | parse_qs(body)).items()}
        if path == "/authorize":
            code = secrets.token_urlsafe()
            self.codes[code] = asked
            back = urlencode({"code": code, "state": asked["state"]})
            request.send_response(302)
            request.send_header("Location", f"{asked['redirect_uri']}?{back}")
            request.end_headers()
            return
        if path == "/token":
            self._say(request, self._token(asked, request.headers.get("Authorization", "")))
        elif path == "/keys":
            self._say(request, {"keys": [self.key.as_dict(private=False)]})
        else:
            self._say(request, self._discovery())

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "jwks_uri": f"{self.address}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def _token(self, asked: dict[str, str], authorization: str) -> dict[str, Any]:
        """An identity token for a code, once, to the client that knows its secret."""
        client = b64decode(authorization.removeprefix("Basic ")).decode().split(":", 1)
        assert [client[0], client[1].replace("+", " ").replace("%20", " ")] == [CLIENT, SECRET]
        began = self.codes.pop(asked["code"])
        now = int(time.time())
        claims = {"iss": self.address, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 600}
        claims |= {"nonce": began["nonce"], **self.account}
        token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)
        return {"access_token": "none", "token_type": "Bearer", "expires_in": 600, "id_token": token}

    def _say(self, request: BaseHTTPRequestHandler, value: Any) -> None:
        data = json.dumps(value).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
