// Auth0's own JavaScript SDK against the fake tenant. conformance_test.go starts the tenant and runs this file.
import { test, before } from "node:test";
import assert from "node:assert/strict";
import { AuthClient } from "@auth0/auth0-auth-js";

const { DOMAIN, CLIENT_ID, CLIENT_SECRET, CALLBACK, PERSON } = process.env;
const issuer = `https://${DOMAIN}/`;
const connection = "okta-corp";
const refreshTokenType = "urn:ietf:params:oauth:token-type:refresh_token";

const sdk = new AuthClient({ domain: DOMAIN, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET });

const form = (fields) => ({ method: "POST", redirect: "manual", body: new URLSearchParams(fields) });
const hidden = (html, name) => html.match(new RegExp(`name="${name}" value="([^"]+)"`))[1];

let refreshToken;
let sub;

async function signIn() {
  const { authorizationUrl, codeVerifier } = await sdk.buildAuthorizationUrl({ authorizationParams: { connection, redirect_uri: CALLBACK } });
  const toLogin = await fetch(authorizationUrl, { redirect: "manual" });
  const page = await (await fetch(new URL(toLogin.headers.get("location"), issuer))).text();
  const back = await fetch(issuer + "u/login", form({ state: hidden(page, "state"), person: PERSON }));
  return sdk.getTokenByCode(new URL(back.headers.get("location")), { codeVerifier });
}

async function connectOkta() {
  const token = await sdk.getTokenByRefreshToken({ refreshToken, audience: issuer + "me/" });
  const call = async (path, body) => {
    const answer = await fetch(`${issuer}me/v1/connected-accounts/${path}`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token.accessToken}`, "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    assert.equal(answer.status, 201);
    return answer.json();
  };
  const started = await call("connect", { connection, redirect_uri: CALLBACK });
  const { ticket } = started.connect_params;
  const back = await fetch(started.connect_uri, form({ ticket, person: PERSON, decision: "approve" }));
  const connectCode = new URL(back.headers.get("location")).searchParams.get("connect_code");
  await call("complete", { auth_session: started.auth_session, connect_code: connectCode, redirect_uri: CALLBACK });
}

const exchange = () => sdk.exchangeToken({ connection, subjectToken: refreshToken, subjectTokenType: refreshTokenType });

async function phone(decision) {
  const { pushes } = await (await fetch(`${issuer}phone/pushes?user=${PERSON}`)).json();
  const answer = await fetch(`${issuer}phone/pushes/${pushes[0].id}`, { ...form({ decision }), headers: { Accept: "application/json" } });
  assert.equal(answer.status, 204);
}

const ask = (more = {}) => ({ bindingMessage: "Reset-password dave #K7Q2", loginHint: { sub }, ...more });
const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function refusal(promise, error) {
  await assert.rejects(promise, (e) => {
    assert.equal(e.cause?.error, error, `${e.message} ${JSON.stringify(e.cause)}`);
    return true;
  });
}

before(async () => {
  const tokens = await signIn();
  refreshToken = tokens.refreshToken;
  sub = tokens.claims.sub;
});

test("signing in gives a verified ID token", async () => {
  assert.ok(refreshToken);
  assert.equal(sub, "oidc|okta-corp|00ualice000000000001");
});

test("the Token Vault gives the provider's token once an account is connected", async () => {
  await refusal(exchange(), "federated_connection_refresh_token_not_found");
  await connectOkta();
  const tokens = await exchange();
  assert.match(tokens.accessToken, /^okta-/);
  assert.equal(tokens.refreshToken, undefined);
  assert.match(tokens.scope, /okta\.users\.manage/);
  assert.equal(tokens.issuedTokenType, "http://auth0.com/oauth/token-type/federated-connection-access-token");
});

test("a refresh token nobody issued is refused", async () => {
  await refusal(sdk.exchangeToken({ connection, subjectToken: "v1.nonsense", subjectTokenType: refreshTokenType }), "invalid_grant");
  await refusal(sdk.getTokenByRefreshToken({ refreshToken: "v1.nonsense" }), "invalid_grant");
});

test("an approved request gives tokens once", async () => {
  const { authReqId, expiresIn, interval } = await sdk.initiateBackchannelAuthentication(ask({ requestedExpiry: 300 }));
  assert.equal(expiresIn, 300);
  assert.equal(interval, 1);
  await wait(interval);
  await refusal(sdk.backchannelAuthenticationGrant({ authReqId }), "authorization_pending");
  await refusal(sdk.backchannelAuthenticationGrant({ authReqId }), "slow_down");
  await phone("approve");
  await wait(2 * interval);
  const tokens = await sdk.backchannelAuthenticationGrant({ authReqId });
  assert.equal(tokens.claims.sub, sub);
  await refusal(sdk.backchannelAuthenticationGrant({ authReqId }), "invalid_grant");
});

test("a denied request is refused", async () => {
  const { authReqId, interval } = await sdk.initiateBackchannelAuthentication(ask());
  await phone("deny");
  await wait(interval);
  await refusal(sdk.backchannelAuthenticationGrant({ authReqId }), "access_denied");
});

test("an expired request looks like a denied one", async () => {
  const { authReqId } = await sdk.initiateBackchannelAuthentication(ask({ requestedExpiry: 1 }));
  await wait(1.1);
  await refusal(sdk.backchannelAuthenticationGrant({ authReqId }), "access_denied");
});

test("the SDK's own polling ends with the approval", async () => {
  const done = sdk.backchannelAuthentication(ask());
  await wait(1.5);
  await phone("approve");
  const tokens = await done;
  assert.equal(tokens.claims.sub, sub);
});

test("a stranger cannot be asked", async () => {
  await refusal(sdk.initiateBackchannelAuthentication(ask({ loginHint: { sub: "oidc|okta-corp|nobody" } })), "unknown_user_id");
});
