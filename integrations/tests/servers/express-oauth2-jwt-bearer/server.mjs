// An API for tests: `node server.mjs DIRECTORY ISSUER..`, with NODE_EXTRA_CA_CERTS=DIRECTORY/ca.pem where an issuer is
// at https. Auth0's express-oauth2-jwt-bearer verifies the tokens, and the proofs of possession: DPoP (RFC 9449) and
// the client's certificate (RFC 8705). What it leaves to others is done here: nonces, and that no proof comes twice.
//
// DIRECTORY has server.pem and server-key.pem (this server's certificate) and ca.pem (whose client certificates are
// trusted). It listens on free ports of loopback, prints one line of JSON that names them (`http`, and `https`, where a
// certificate is asked for and not demanded), and ends when its standard input does. Either origin is a resource of its
// own: tokens have it as their audience, and its metadata (RFC 9728) name all issuers.
//
// `GET /weather` takes what the token is: a bearer token, or one that is bound to a key or a certificate.
// `GET /dpop` takes DPoP only, `GET /nonce` with a nonce of this server too, `GET /mtls` certificate-bound tokens only.
// `GET /admin/counters` tells what happened so far at all of them, `PUT /admin/nonce` makes a new nonce: the one before
// is still good, and answered with the new one.

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';

import express from 'express';
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer';

const [directory, ...issuers] = process.argv.slice(2);
const file = (name) => readFileSync(join(directory, name));

/** `proofs`: how many different ones were accepted; `challenges`: how often a nonce was asked for. */
const counters = { accepted: 0, refused: 0, proofs: 0, replays: 0, challenges: 0 };
const seen = new Set();
let [nonce, before] = [randomUUID(), undefined];

/** What a JWT says, without any check: `auth` has checked it, or will. */
const claims = (jwt) => {
  try {
    return JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url'));
  } catch {
    return {};
  }
};
const token = (request) => request.get('authorization')?.split(' ')[1] ?? '';
const proof = (request) => claims(request.get('dpop') ?? '');

/** RFC 9449 section 9. */
function nonced(request, response, next) {
  const sent = proof(request).nonce;
  if (sent !== nonce) {
    response.set('DPoP-Nonce', nonce);
  }
  // Without a proof at all it is for `auth` to refuse.
  if (sent === nonce || (sent !== undefined && sent === before) || !request.get('dpop')) {
    next();
    return;
  }
  counters.challenges += 1;
  const text = 'DPoP error="use_dpop_nonce", error_description="a nonce of this server is needed", algs="ES256"';
  response.set('WWW-Authenticate', text).status(401).end();
}

/** RFC 9449 section 11.1. */
function once(request, response, next) {
  if (request.get('dpop')) {
    const { jti } = proof(request);
    if (seen.has(jti)) {
      counters.replays += 1;
      response.set('WWW-Authenticate', 'DPoP error="invalid_dpop_proof", error_description="it came before", algs="ES256"');
      response.status(401).end();
      return;
    }
    seen.add(jti);
    counters.proofs += 1;
  }
  next();
}

function api(origin) {
  const verified = (options) => {
    const byIssuer = new Map(issuers.map((issuer) => [issuer, auth({
      issuerBaseURL: issuer,
      audience: origin,
      getCertificate: (request) => request.socket.getPeerCertificate?.()?.raw,
      ...options,
    })]));
    const any = byIssuer.get(issuers[0]);
    return (request, response, next) => (byIssuer.get(claims(token(request)).iss) ?? any)(request, response, next);
  };
  const answer = (request, response) => {
    counters.accepted += 1;
    const { client_id: client, cnf = {} } = request.auth.payload;
    response.json({ weather: 'sunny', client, scheme: request.get('authorization').split(' ')[0], bound: Object.keys(cnf) });
  };
  const rest = [once, requiredScopes('weather:read'), answer];

  const app = express();
  app.get('/.well-known/oauth-protected-resource', (request, response) => {
    response.json({ resource: origin, authorization_servers: issuers });
  });
  app.get('/weather', verified({}), ...rest);
  app.get('/dpop', verified({ dpop: { required: true } }), ...rest);
  app.get('/nonce', nonced, verified({ dpop: { required: true } }), ...rest);
  app.get('/mtls', verified({ dpop: { enabled: false }, mtls: { enabled: true, required: true } }), ...rest);
  app.get('/admin/counters', (request, response) => response.json(counters));
  app.put('/admin/nonce', (request, response) => {
    [nonce, before] = [randomUUID(), nonce];
    response.status(204).end();
  });
  app.use((error, request, response, next) => {
    counters.refused += 1;
    console.error(request.method, request.path, error.message);
    response.set(error.headers ?? {}).status(error.status ?? 500).end();
  });
  return app;
}

const listening = (server) => new Promise((resolve) => {
  server.listen(0, '127.0.0.1', () => resolve(server.address().port));
});

const tls = { cert: file('server.pem'), key: file('server-key.pem'), ca: file('ca.pem'), requestCert: true, rejectUnauthorized: false };
const servers = { http: http.createServer(), https: https.createServer(tls) };
const ports = {};
for (const [name, server] of Object.entries(servers)) {
  ports[name] = await listening(server);
  server.on('request', api(`${name}://localhost:${ports[name]}`));
}

process.stdin.on('end', () => process.exit()).resume();
console.log(JSON.stringify(ports));
