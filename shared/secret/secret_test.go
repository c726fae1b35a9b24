package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/steward-iam/steward/shared/secret"
)

const canary = "canary-5e1f"

type holder struct {
	Public string
	Token  secret.String
	inner  secret.String
	Nested struct{ Token secret.String }
	List   []secret.String
	ByName map[string]secret.String
	Ptr    *secret.String
}

func hold() holder {
	s := secret.New(canary)
	h := holder{Public: "p", Token: s, inner: s, List: []secret.String{s}, ByName: map[string]secret.String{"a": s}, Ptr: &s}
	h.Nested.Token = s
	return h
}

// A secret leaks through no way of printing that the standard library offers.
func TestStringNeverPrints(t *testing.T) {
	s, h := secret.New(canary), hold()
	ways := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T", "%p", "%10s", "%-5v", "%e"} {
		ways["value "+verb] = fmt.Sprintf(verb, s)
		ways["pointer "+verb] = fmt.Sprintf(verb, &s)
		ways["struct "+verb] = fmt.Sprintf(verb, h)
		ways["struct pointer "+verb] = fmt.Sprintf(verb, &h)
	}
	ways["Sprint"] = fmt.Sprint(s, h)
	ways["Sprintln"] = fmt.Sprintln(h, &h)
	ways["Errorf"] = fmt.Errorf("token %v: %w", s, fmt.Errorf("%+v", h)).Error()
	ways["String"] = s.String()
	j, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	ways["json"] = string(j)
	type element struct{ Token secret.String }
	x, err := xml.Marshal(element{s})
	if err != nil {
		t.Fatal(err)
	}
	ways["xml"] = string(x)
	var buf bytes.Buffer
	text, js := slog.New(slog.NewTextHandler(&buf, nil)), slog.New(slog.NewJSONHandler(&buf, nil))
	for _, l := range []*slog.Logger{text, js} {
		l.Info("m", "s", s, "h", h, "p", &h, "list", []secret.String{s}, slog.Group("g", "s", s))
	}
	ways["slog"] = buf.String()

	hexed := fmt.Sprintf("%x", canary)
	for way, got := range ways {
		if strings.Contains(got, canary) || strings.Contains(strings.ToLower(got), hexed) {
			t.Errorf("%s leaks: %s", way, got)
		}
	}
}

func TestEqual(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b secret.String
		want bool
	}{
		{"same text", secret.New("x"), secret.New("x"), true},
		{"other text", secret.New("x"), secret.New("y"), false},
		{"empty and empty", secret.New(""), secret.String{}, false},
		{"empty and text", secret.String{}, secret.New("x"), false},
		{"text and empty", secret.New("x"), secret.String{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.a.Equal(c.b); got != c.want {
				t.Errorf("Equal = %v, want %v", got, c.want)
			}
		})
	}
}

func ExampleString() {
	token := secret.New("eyJhbGciOi…")
	fmt.Println("the log sees", token)
	fmt.Println("the wire sees", token.Reveal())
	// Output:
	// the log sees [secret]
	// the wire sees eyJhbGciOi…
}
