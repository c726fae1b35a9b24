// Package auth0_test runs Auth0's JavaScript SDK against shared/fake/auth0test, to show that the fake behaves as that
// SDK expects. What the SDK sends to /bc-authorize is pinned in testdata/bc-authorize.json, so that our own client can
// be compared with it.
//
// It needs node, npm and, the first time, the npm registry. Without them it is skipped, except where CI=true.
package auth0_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/steward-iam/steward/shared/fake/auth0test"
)

var update = flag.Bool("update", false, "rewrite testdata from what the SDK sends now")

const callback = "https://app.acme.test/callback"

func TestAuth0AuthJS(t *testing.T) {
	if testing.Short() {
		t.Skip("runs npm")
	}
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			unavailable(t, tool+" is not installed")
		}
	}
	if _, err := os.Stat("node_modules/@auth0/auth0-auth-js/package.json"); err != nil {
		if out, err := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund").CombinedOutput(); err != nil {
			unavailable(t, "npm ci: "+err.Error()+"\n"+string(out))
		}
	}

	tenant := auth0test.StartTLS(t, auth0test.Options{
		Clients:      []auth0test.Client{auth0test.WebApp("steward-conformance", "s3cr3t-synthetic", callback)},
		People:       []auth0test.Person{{Email: "alice@example.com", EmailVerified: true, Name: "Alice", OktaUserID: "00ualice000000000001", PushEnrolled: true}},
		PollInterval: time.Second,
		PushLimit:    -1,
	})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tenant.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", "--test", "--test-reporter=spec", "auth0.test.mjs")
	node.Env = append(os.Environ(),
		"NODE_EXTRA_CA_CERTS="+ca, "DOMAIN="+strings.TrimPrefix(tenant.URL, "https://"), "CLIENT_ID=steward-conformance",
		"CLIENT_SECRET=s3cr3t-synthetic", "CALLBACK="+callback, "PERSON=alice@example.com")
	out, err := node.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "testdata/bc-authorize.json", firstForm(t, tenant.Tenant, "/bc-authorize"))
}

func unavailable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// firstForm is the first accepted form on a path, with the tenant's address replaced by a stable one.
func firstForm(t *testing.T, tenant *auth0test.Tenant, path string) map[string]string {
	t.Helper()
	for _, r := range tenant.Requests() {
		if r.Path == path && r.Status == 200 {
			for k, v := range r.Form {
				r.Form[k] = strings.ReplaceAll(v, tenant.Issuer(), "https://acme.us.auth0.com/")
			}
			return r.Form
		}
	}
	t.Fatalf("nothing was posted to %s", path)
	return nil
}

func compare(t *testing.T, file string, got map[string]string) {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(got); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s: the SDK sends\n%s\nwant\n%s", file, b.Bytes(), want)
	}
}
