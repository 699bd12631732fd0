// oidc-provider as an authorization server for tests: `node server.mjs DIRECTORY`.
//
// DIRECTORY has server.pem, server-key.pem (this server's certificate) and ca.pem (whose client certificates are
// trusted). The server listens on free ports of loopback, prints one line of JSON that names them, and ends when its
// standard input does. Each of the three listeners is an issuer of its own; they share clients and tokens.
//
// `PUT /admin/clients/ID` (http only) registers or replaces a client: a JSON object of client metadata (RFC 7591).
//
// Any client may bring a DPoP proof, and one with `dpop_bound_access_tokens` has to (RFC 9449 section 5.2); a client whose
// id ends with `nonce` must bring a nonce in it (section 8). A client with `tls_client_certificate_bound_access_tokens`
// gets tokens that are bound to the certificate it shows at `mtls` (RFC 8705 section 3.4). A `resource` at
// `http(s)://localhost:PORT` has tokens of the form JWT, with itself as the audience.
//
// oidc-provider has neither token exchange (RFC 8693) nor the JWT bearer grant (RFC 7523 section 2.1): both are registered here
// by its `registerGrantType`. What verifies the platform's token is jose; clients, scopes, tokens and errors are oidc-provider's.

import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';

import { createLocalJWKSet, jwtVerify } from 'jose';
import Provider, { errors } from 'oidc-provider';

const directory = process.argv[2];
const file = (name) => readFileSync(join(directory, name));

/** What the APIs are called, and how their tokens are: `resource` (RFC 8707) chooses one. */
const WEATHER = 'https://weather.example.com/';
const resources = {
  [WEATHER]: { accessTokenTTL: 600, accessTokenFormat: 'opaque' },
  'https://weather.example.com/short': { accessTokenTTL: 4, accessTokenFormat: 'opaque' },
  'https://weather.example.com/jwt': { accessTokenTTL: 600, accessTokenFormat: 'jwt', audience: WEATHER },
};
const scope = 'weather:read weather:write';

const algorithms = [
  'HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519',
];

/** One store for all listeners: model name and id to what oidc-provider keeps there. */
const store = new Map();
class Store {
  constructor(model) { this.model = model; }
  key(id) { return `${this.model}:${id}`; }
  async find(id) { return store.get(this.key(id)); }
  async upsert(id, payload) { store.set(this.key(id), payload); }
  async destroy(id) { store.delete(this.key(id)); }
  async consume(id) { store.get(this.key(id)).consumed = Math.floor(Date.now() / 1000); }
  async findByUid() { return undefined; }
  async findByUserCode() { return undefined; }
  async revokeByGrantId() {}
}

function register(id, metadata) {
  store.set(`Client:${id}`, {
    grant_types: ['client_credentials'], response_types: [], redirect_uris: [], ...metadata, client_id: id,
  });
}

/** Asks whether a token is real, as an API does (RFC 7662). */
register('introspector', { token_endpoint_auth_method: 'client_secret_basic', client_secret: 'introspects' });

const certificate = (ctx) => ctx.socket.getPeerX509Certificate?.();
const names = (ctx, type) => (certificate(ctx)?.subjectAltName ?? '').split(', ')
  .filter((name) => name.startsWith(`${type}:`)).map((name) => name.slice(type.length + 1));

function configuration(mtls) {
  return {
    adapter: Store,
    clientAuthMethods: [
      'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt',
      'tls_client_auth', 'self_signed_tls_client_auth', 'none',
    ],
    enabledJWA: { clientAuthSigningAlgValues: algorithms },
    scopes: scope.split(' '),
    // RFC 8705 section 5: where the aliases are is for the operator to say.
    discovery: { mtls_endpoint_aliases: { token_endpoint: `${mtls}/token` } },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (ctx, client) => client.clientId === 'introspector' },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => WEATHER,
        useGrantedResource: () => true,
        getResourceServerInfo(ctx, resource) {
          // An API of the tests: it verifies tokens itself.
          if (/^https?:\/\/localhost(:\d+)?$/.test(resource)) {
            return { scope, accessTokenTTL: 600, accessTokenFormat: 'jwt', audience: resource };
          }
          if (!Object.hasOwn(resources, resource)) {
            throw new errors.InvalidTarget();
          }
          return { scope, ...resources[resource] };
        },
      },
      richAuthorizationRequests: {
        enabled: true,
        types: {
          weather: {
            validate(ctx, detail) {
              if (typeof detail.city !== 'string') {
                throw new errors.InvalidAuthorizationDetails('a weather detail names a city');
              }
            },
          },
        },
        authorizationDetailsForGrantSource: () => undefined,
        authorizationDetailsForAccessToken: (ctx) => JSON.parse(ctx.oidc.params.authorization_details ?? 'null') ?? undefined,
        authorizationDetailsForIntrospection: (ctx, token) => token.rar,
      },
      dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: (ctx) => ctx.oidc.client?.clientId.endsWith('nonce') ?? false },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        selfSignedTlsClientAuth: true,
        tlsClientAuth: true,
        getCertificate: certificate,
        certificateAuthorized: (ctx) => ctx.socket.authorized === true,
        certificateSubjectMatches(ctx, property, expected) {
          switch (property) {
            case 'tls_client_auth_san_dns': return names(ctx, 'DNS').includes(expected);
            case 'tls_client_auth_san_uri': return names(ctx, 'URI').includes(expected);
            case 'tls_client_auth_subject_dn': return certificate(ctx).subject === expected;
            default: return false;
          }
        },
      },
    },
  };
}

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

/** RFC 7523 section 3: who signed it (a key of the client's `jwks`), for whom, and until when. */
async function verify(ctx, jwt) {
  if (!jwt) {
    throw new errors.InvalidRequest('there is no token of the platform');
  }
  try {
    await jwtVerify(jwt, createLocalJWKSet(ctx.oidc.client.jwks), {
      audience: ctx.oidc.provider.issuer, requiredClaims: ['iss', 'sub', 'exp'],
    });
  } catch (error) {
    throw new errors.InvalidGrant(error.message);
  }
}

/** Answers with a token of the client's, for what it asks, as oidc-provider's client credentials do. */
async function issue(ctx, members) {
  const { client, params, provider } = ctx.oidc;
  const known = scope.split(' ');
  const granted = (params.scope ?? '').split(' ').filter((one) => known.includes(one)).join(' ');
  const token = new provider.ClientCredentials({ client, scope: granted || undefined });
  const resource = params.resource ?? WEATHER;
  if (!Object.hasOwn(resources, resource)) {
    throw new errors.InvalidTarget();
  }
  token.resourceServer = new provider.ResourceServer(resource, { scope, ...resources[resource] });
  ctx.oidc.entity('ClientCredentials', token);
  const value = await token.save();
  ctx.body = {
    access_token: value, expires_in: token.expiration, scope: token.scope, token_type: token.tokenType, ...members,
  };
}

function registerGrants(provider) {
  provider.registerGrantType(JWT_BEARER, async (ctx) => {
    await verify(ctx, ctx.oidc.params.assertion);
    await issue(ctx, {});
  }, ['assertion', 'scope', 'resource']);
  const params = ['subject_token', 'subject_token_type', 'requested_token_type', 'scope', 'resource'];
  provider.registerGrantType(EXCHANGE, async (ctx) => {
    const { subject_token: subject, subject_token_type: type, requested_token_type: wanted = ACCESS_TOKEN } = ctx.oidc.params;
    if (type !== JWT || wanted !== ACCESS_TOKEN) {
      throw new errors.InvalidRequest('a JWT is exchanged for an access token, and nothing else');
    }
    await verify(ctx, subject);
    await issue(ctx, { issued_token_type: ACCESS_TOKEN });
  }, params);
}

async function administer(request, response) {
  let body = '';
  for await (const chunk of request) {
    body += chunk;
  }
  register(decodeURIComponent(request.url.slice('/admin/clients/'.length)), JSON.parse(body));
  response.writeHead(204).end();
}

const listening = (server) => new Promise((resolve) => {
  server.listen(0, '127.0.0.1', () => resolve(server.address().port));
});

const identity = { cert: file('server.pem'), key: file('server-key.pem') };
const servers = {
  http: http.createServer(),
  https: https.createServer(identity),
  // A certificate is asked for, and judged by oidc-provider: a self-signed one is none of the CA's.
  mtls: https.createServer({ ...identity, ca: file('ca.pem'), requestCert: true, rejectUnauthorized: false }),
};
const ports = {};
for (const [name, server] of Object.entries(servers)) {
  ports[name] = await listening(server);
}
const origin = (name) => `${name === 'http' ? 'http' : 'https'}://localhost:${ports[name]}`;
for (const [name, server] of Object.entries(servers)) {
  const provider = new Provider(origin(name), configuration(origin('mtls')));
  registerGrants(provider);
  provider.on('server_error', (ctx, error) => console.error(error));
  provider.on('grant.error', (ctx, error) => console.error(name, error.message, error.error_description, error.error_detail ?? ''));
  const handle = provider.callback();
  server.on('request', (request, response) => {
    if (name === 'http' && request.method === 'PUT' && request.url.startsWith('/admin/clients/')) {
      administer(request, response).catch((error) => response.writeHead(500).end(String(error)));
    } else {
      handle(request, response);
    }
  });
}

process.stdin.on('end', () => process.exit()).resume();
console.log(JSON.stringify(ports));
