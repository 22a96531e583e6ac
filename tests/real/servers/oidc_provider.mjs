// A real OpenID provider (npm oidc-provider), with its own pages to sign in, to consent and to sign out.
// In (arguments): port, origin of the gateway, name of the provider there, seconds that an access token is good. Any name and
// password sign in. POST /test/rotate has it sign with another key from then on; what it signed before still counts there.
// POST /test/disable/NAME: from then on it knows nobody of that name.
// Installed packages are found through CLOAKROOM_MODULES (the folder that holds node_modules).
import { createRequire } from "node:module";
import { createServer } from "node:http";
import { generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [port, gateway, name, lasting] = process.argv.slice(2);
const require = createRequire(join(process.env.CLOAKROOM_MODULES, "package.json"));
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));

const keys = [];
const disabled = new Set();
function key() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { ...privateKey.export({ format: "jwk" }), kid: `key-${keys.length + 1}`, alg: "ES256", use: "sig" };
}

function provider() {
  keys.unshift(key());
  const made = new Provider(`http://localhost:${port}`, {
    jwks: { keys: [...keys] },
    clients: [
      {
        client_id: "cloakroom",
        client_secret: "a secret: of % both + sides",
        redirect_uris: [`${gateway}/_cloakroom/callback/${name}`],
        post_logout_redirect_uris: [`${gateway}/_cloakroom/logout`],
        backchannel_logout_uri: `${gateway}/_cloakroom/backchannel/${name}`,
        backchannel_logout_session_required: true,
        grant_types: ["authorization_code", "refresh_token"],
        id_token_signed_response_alg: "ES256",
      },
    ],
    cookies: { keys: ["only for tests"] },
    claims: { openid: ["sub"], profile: ["name"], email: ["email", "email_verified"], groups: ["groups"] },
    scopes: ["openid", "profile", "email", "groups"],
    features: {
      devInteractions: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      backchannelLogout: { enabled: true },
    },
    // Otherwise it does not speak with this machine.
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
    pkce: { required: () => true },
    // Otherwise only for `offline_access`, with consent each time.
    issueRefreshToken: () => true,
    ttl: { AccessToken: Number(lasting), IdToken: 3600, Interaction: 3600, Session: 86400, Grant: 86400, RefreshToken: 86400 },
    findAccount: (_, id) =>
      disabled.has(id)
        ? undefined
        : {
            accountId: id,
            claims: () => ({ sub: id, name: `${id} 앨리스`, email: `${id}@example.com`, email_verified: true, groups: ["staff"] }),
          },
  });
  for (const event of ["server_error", "backchannel.error"]) {
    made.on(event, (_, error) => console.log(event, error));
  }
  return made;
}

let current = provider().callback();
createServer((request, response) => {
  if (request.method === "POST" && request.url === "/test/rotate") {
    current = provider().callback();
    response.end("rotated");
  } else if (request.method === "POST" && request.url.startsWith("/test/disable/")) {
    disabled.add(request.url.slice(14));
    response.end("disabled");
  } else {
    current(request, response);
  }
}).listen(Number(port), "127.0.0.1");
