"""Authlib behind Flask as an authorization server for tests: `python server.py DIRECTORY`.

DIRECTORY has server.pem and server-key.pem, this server's certificate. The server listens on free ports of loopback
(http and https, each an issuer of its own, with the same clients and tokens), prints one line of JSON that names them,
and ends when its standard input does.

`PUT /admin/clients/ID` registers or replaces a client: a JSON object of client metadata (RFC 7591), and
`token_lifetime` in seconds if its tokens are to be short.
"""

import json
import secrets
import sys
import threading
import time
from pathlib import Path

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants, list_to_scope, scope_to_list
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion, JWTBearerGrant
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from flask import Flask, request
from joserfc.jwk import KeySet, OctKey
from joserfc.jws import JWSRegistry, extract_compact
from werkzeug.serving import make_server

SCOPE = "weather:read weather:write"
LIFETIME = 600
METHODS = ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"]

clients = {}
tokens = {}
assertions_seen = set()


class Client(ClientMixin):
    def __init__(self, client_id, metadata):
        self.client_id = client_id
        self.metadata = metadata

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        allowed = scope_to_list(SCOPE)
        return list_to_scope([s for s in scope_to_list(scope or "") if s in allowed])

    def check_client_secret(self, client_secret):
        known = self.metadata.get("client_secret", "")
        return secrets.compare_digest(known.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method, endpoint):
        return method == self.metadata["token_endpoint_auth_method"]

    def check_grant_type(self, grant_type):
        return grant_type in self.metadata.get("grant_types", ["client_credentials"])


class Token(TokenMixin):
    def __init__(self, token, client):
        self.client = client
        self.scope = token.get("scope", "")
        self.expires_in = token["expires_in"]
        self.issued_at = int(time.time())

    def check_client(self, client):
        return self.client.client_id == client.client_id

    def get_scope(self):
        return self.scope

    def get_expires_in(self):
        return self.expires_in

    def is_expired(self):
        return self.issued_at + self.expires_in <= time.time()

    def is_revoked(self):
        return False

    def get_client(self):
        return self.client

    def get_user(self):
        return None


class ClientCredentialsGrant(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS


class PlatformGrant(JWTBearerGrant):
    """RFC 7523 section 2.1: Authlib's own, told where to look. The client is the issuer of the assertion."""

    def get_audiences(self):
        return [issuer()]

    def resolve_issuer_client(self, issuer):
        return clients.get(issuer)

    def resolve_client_public_key(self, client):
        return KeySet.import_key_set(client.metadata["jwks"])

    def authenticate_user(self, subject):
        return subject

    def has_granted_permission(self, client, user):
        return True


class Introspection(IntrospectionEndpoint):
    """Asks whether a token is real, as an API does (RFC 7662)."""

    SUPPORTED_TOKEN_TYPES = ["access_token"]

    def check_permission(self, token, client, request):
        return client.client_id == "introspector"

    def query_token(self, token_string, token_type_hint):
        return tokens.get(token_string)

    def introspect_token(self, token):
        return {
            "active": True,
            "client_id": token.client.client_id,
            "scope": token.scope,
            "token_type": "Bearer",
            "iat": token.issued_at,
            "exp": token.issued_at + token.expires_in,
        }


class Assertion(JWTBearerClientAssertion):
    """One of the two methods of RFC 7523; Authlib has one class for both."""

    def __init__(self, method):
        super().__init__()
        self.CLIENT_AUTH_METHOD = method

    def __call__(self, query_client, request):
        # Both methods are tried in turn, and Authlib's class fails for good where the other one should be tried.
        assertion = request.form.get("client_assertion")
        if assertion:
            try:
                client = query_client(json.loads(extract_compact(assertion.encode()).payload).get("sub"))
            except Exception:  # malformed: Authlib's class says how
                client = None
            if client and not client.check_endpoint_auth_method(self.CLIENT_AUTH_METHOD, "token"):
                return None
        return super().__call__(query_client, request)

    def get_audiences(self):
        return [issuer(), f"{issuer()}/token"]

    def validate_jti(self, claims, jti):
        seen = (claims["sub"], jti) in assertions_seen
        assertions_seen.add((claims["sub"], jti))
        return not seen

    def resolve_client_public_key(self, client):
        if self.CLIENT_AUTH_METHOD == "client_secret_jwt":
            return OctKey.import_key(client.metadata["client_secret"])
        return KeySet.import_key_set(client.metadata["jwks"])


def issuer():
    return request.host_url.rstrip("/")


def lifetime(client, grant_type):
    return client.metadata.get("token_lifetime", LIFETIME)


def save_token(token, request):
    tokens[token["access_token"]] = Token(token, request.client)


app = Flask(__name__)
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = "__main__.lifetime"
server = AuthorizationServer(app, query_client=clients.get, save_token=save_token)
server.register_grant(ClientCredentialsGrant)
server.register_grant(PlatformGrant)
server.register_endpoint(Introspection)
for name in ["client_secret_jwt", "private_key_jwt"]:
    server.register_client_auth_method(name, Assertion(name))


@app.post("/token")
def token():
    return server.create_token_response()


@app.post("/token/introspection")
def introspection():
    return server.create_endpoint_response("introspection")


@app.get("/.well-known/oauth-authorization-server")
def metadata():
    document = AuthorizationServerMetadata(
        {
            "issuer": issuer(),
            "token_endpoint": f"{issuer()}/token",
            "introspection_endpoint": f"{issuer()}/token/introspection",
            "response_types_supported": ["none"],  # Authlib takes an empty list for none given
            "grant_types_supported": ["client_credentials", JWTBearerGrant.GRANT_TYPE],
            "scopes_supported": scope_to_list(SCOPE),
            "token_endpoint_auth_methods_supported": METHODS,
            "token_endpoint_auth_signing_alg_values_supported": list(JWSRegistry.recommended),
        }
    )
    if request.is_secure:  # RFC 8414 knows no issuer over plain http
        document.validate()
    return dict(document)


@app.put("/admin/clients/<path:client_id>")
def register(client_id):
    clients[client_id] = Client(client_id, request.get_json(force=True))
    return "", 204


def main():
    directory = Path(sys.argv[1])
    clients["introspector"] = Client(
        "introspector", {"token_endpoint_auth_method": "client_secret_basic", "client_secret": "introspects"}
    )
    certificate = (str(directory / "server.pem"), str(directory / "server-key.pem"))
    listeners = {
        "http": make_server("127.0.0.1", 0, app, threaded=True),
        "https": make_server("127.0.0.1", 0, app, threaded=True, ssl_context=certificate),
    }
    for listener in listeners.values():
        threading.Thread(target=listener.serve_forever, daemon=True).start()
    print(json.dumps({name: listener.port for name, listener in listeners.items()}), flush=True)
    sys.stdin.read()


main()
