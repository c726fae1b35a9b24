package auth0

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/steward-iam/steward/shared/fault"
	"github.com/steward-iam/steward/shared/secret"
)

const (
	clockSkew  = time.Minute // Auth0's clock may be ahead of ours by this much
	maxSubject = 255         // OpenID Connect Core section 2
)

// IDToken holds the claims of a verified id_token.
type IDToken struct {
	Subject       string
	Email         string
	EmailVerified bool
	Name          string
	Picture       string
	Nonce         secret.String
	IssuedAt      time.Time
	Expiry        time.Time
}

// VerifyIDToken verifies an id_token (OpenID Connect Core section 3.1.3.7): that it is one JWS in compact form, its signature,
// issuer, audience, authorized party and times, and the form of its subject. Names of claims are case-sensitive, and a repeated
// claim is refused. The caller compares nonce and subject. Errors: fault.Unauthenticated if the token is not valid,
// fault.Upstream if the tenant's metadata or keys cannot be fetched.
func (c *Client) VerifyIDToken(ctx context.Context, raw secret.String) (IDToken, error) {
	p, err := c.discover(ctx)
	if err != nil {
		return IDToken{}, err
	}
	if !isCompact(raw.Reveal()) {
		return IDToken{}, unverified(errors.New("id_token is not one JWS in compact form"))
	}
	signature := &signatureCheck{keys: p.keys}
	verifier := oidc.NewVerifier(c.issuer, signature, &oidc.Config{ClientID: c.clientID, SupportedSigningAlgs: []string{oidc.RS256, oidc.PS256}, Now: c.now})
	token, err := verifier.Verify(ctx, raw.Reveal())
	if signature.fetchErr != nil {
		return IDToken{}, fault.New(fault.Upstream, sayAuth0Down, fmt.Errorf("auth0 keys: %w", signature.fetchErr))
	}
	var payload json.RawMessage
	if err == nil {
		err = token.Claims(&payload)
	}
	if err != nil {
		return IDToken{}, unverified(errors.New("id_token does not verify")) // the verifier's text contains claims, which are personal
	}
	claims, err := decodeClaims(payload)
	if err == nil {
		err = claims.check(c.issuer, c.clientID, c.now())
	}
	if err != nil {
		return IDToken{}, unverified(fmt.Errorf("id_token: %w", err))
	}
	return IDToken{
		Subject:       claims.subject,
		Email:         claims.email,
		EmailVerified: claims.emailVerified,
		Name:          claims.name,
		Picture:       claims.picture,
		Nonce:         secret.New(claims.nonce),
		IssuedAt:      claims.issuedAt,
		Expiry:        claims.expiry,
	}, nil
}

func unverified(cause error) error {
	return fault.New(fault.Unauthenticated, "I could not verify your sign-in. Please sign in again.", cause)
}

// isCompact reports whether raw is one JWS in compact serialization (RFC 7515 section 7.1). go-jose also accepts the JSON
// serialization and white space.
func isCompact(raw string) bool {
	for _, r := range raw {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.' {
			return false
		}
	}
	return strings.Count(raw, ".") == 2
}

// claims are the claims of an id_token that Steward uses.
type claims struct {
	issuer, subject  string
	audience         []string
	authorizedParty  string
	nonce            string
	issuedAt, expiry time.Time
	notBefore        time.Time // zero if absent

	email, name, picture string
	emailVerified        bool
}

// check checks that the claims are for this client and in time. It repeats checks of the verifier, because the verifier ignores
// the letter case of claim names and so may have checked other values.
func (cl *claims) check(issuer, clientID string, now time.Time) error {
	switch {
	case cl.issuer != issuer:
		return errors.New("another issuer")
	case !slices.Contains(cl.audience, clientID):
		return errors.New("another audience")
	case cl.authorizedParty == "" && len(cl.audience) > 1:
		return errors.New("several audiences and no azp")
	case cl.authorizedParty != "" && cl.authorizedParty != clientID:
		return errors.New("another azp")
	case !now.Before(cl.expiry):
		return errors.New("expired")
	case cl.issuedAt.IsZero() || cl.issuedAt.After(now.Add(clockSkew)):
		return errors.New("no iat, or one in the future")
	case cl.notBefore.After(now.Add(clockSkew)):
		return errors.New("not valid yet")
	case !isSubject(cl.subject):
		return errors.New("no sub, or one that is longer than 255 characters or not printable ASCII")
	}
	return nil
}

// isSubject reports whether s is a subject identifier: 1 to 255 printable ASCII characters. Auth0's have the form provider|id.
func isSubject(s string) bool {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxSubject
}

// decodeClaims decodes claims by their exact names; encoding/json would fill a struct field from any letter case and take the
// last one. Errors name a claim and never its value.
func decodeClaims(payload []byte) (*claims, error) {
	all, err := object(payload)
	if err != nil {
		return nil, err
	}
	cl := &claims{}
	for name, into := range map[string]*string{
		"iss": &cl.issuer, "sub": &cl.subject, "azp": &cl.authorizedParty, "nonce": &cl.nonce, "email": &cl.email, "name": &cl.name, "picture": &cl.picture,
	} {
		if v, ok := all[name]; ok && json.Unmarshal(v, into) != nil {
			return nil, fmt.Errorf("%s is no string", name)
		}
	}
	for name, into := range map[string]*time.Time{"iat": &cl.issuedAt, "exp": &cl.expiry, "nbf": &cl.notBefore} {
		if v, ok := all[name]; ok {
			if *into, err = numericDate(v); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if cl.audience, err = audience(all["aud"]); err != nil {
		return nil, err
	}
	verified := string(all["email_verified"])
	cl.emailVerified = verified == `true` || verified == `"true"` // some connections send text
	return cl, nil
}

// object returns the members of a JSON object. A repeated name is an error.
func object(data []byte) (map[string]json.RawMessage, error) {
	notObject := errors.New("the claims are not a JSON object")
	decoder := json.NewDecoder(bytes.NewReader(data))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, notObject
	}
	all := map[string]json.RawMessage{}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, notObject
		}
		if _, twice := all[name]; twice {
			return nil, errors.New("a claim is repeated")
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, notObject
		}
		all[name] = value
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return nil, notObject
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, notObject
	}
	return all, nil
}

// audience decodes aud: one string, or an array of strings.
func audience(v json.RawMessage) ([]string, error) {
	var one string
	if json.Unmarshal(v, &one) == nil {
		return []string{one}, nil
	}
	var several []string
	if json.Unmarshal(v, &several) != nil {
		return nil, errors.New("aud is neither a string nor an array of strings")
	}
	return several, nil
}

// maxDate is the end of the year 9999 in Unix seconds.
const maxDate = 253402300799

// numericDate decodes a NumericDate: Unix seconds, possibly with a fraction (RFC 7519 section 2).
func numericDate(v json.RawMessage) (time.Time, error) {
	var s float64
	if json.Unmarshal(v, &s) != nil || s <= 0 || s > maxDate {
		return time.Time{}, errors.New("no date")
	}
	return time.Unix(int64(s), 0), nil
}

// SubjectConnection splits a subject of the form oidc|<connection>|<id at the provider>, which people of an OpenID Connect
// connection usually have. Auth0 does not document the form; ok is false for any other one, and the connection is then not known.
func SubjectConnection(subject string) (connection, upstreamID string, ok bool) {
	parts := strings.SplitN(subject, "|", 3)
	if len(parts) != 3 || parts[0] != "oidc" || parts[1] == "" || parts[2] == "" {
		return "", "", false
	}
	return parts[1], parts[2], true
}
