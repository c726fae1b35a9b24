// Package auth0test is a fake Auth0 tenant over HTTP, with the real one's paths, status codes, headers and error
// bodies.
//
//	browser ──/authorize──▶ login page ──code──▶ app ──/oauth/token──▶ tokens           OpenID Connect, RFC 7636 PKCE
//	app ──/oauth/token (refresh, audience /me/)──▶ My Account token                     multi-resource refresh token
//	app ──/me/v1/connected-accounts/connect──▶ consent page ──▶ …/complete              fills the Token Vault
//	app ──/oauth/token (federated-connection-access-token)──▶ the provider's own token  Token Vault exchange
//	app ──/bc-authorize──▶ push on /phone ◀──poll /oauth/token                          OpenID CIBA Core 1.0, poll mode
//
// One back-channel request lives like this:
//
//	pending ──▶ approved ──▶ used (the id is good for one token answer)
//	   │            │
//	   ├──▶ denied  └──▶ expired
//	   └──▶ expired
//
// It refuses what the real tenant refuses: a bad client, a code or refresh token used twice, a wrong redirect, an audience nobody
// registered, a grant type that is off, a poll that comes too early. Where Auth0 is known to be difficult the fake is too:
// access_denied means four different things, denied and expired look the same, and one opaque 401 covers most Token Vault faults.
// With Options.Chaos it also answers 429 now and then.
//
// Settings are data with the field names of the Management API (Configure, or /api/v2 over the wire), and they decide: take the
// CIBA grant from a client and /bc-authorize answers unauthorized_client.
//
// It does not do: /userinfo and /oidc/logout, private_key_jwt, token dialects, rate limits of its own, what of the Management API
// nobody here calls (deleting, making APIs, enrolling), SAML and social providers, organizations, Actions and rules, DPoP, PAR and
// JAR, device flow, database passwords and MFA challenges, e-mails (a request that would be mailed shows on the phone page instead),
// the privileged worker, form_post and web_message. Nothing persists, and every key is made when the process first needs one.
//
// Sources: auth0.com/docs (August 2026), the OpenAPI files in auth0/docs-v2, and the recordings in auth0/go-auth0 v1.32.0.
package auth0test
