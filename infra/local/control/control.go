// Package control serves the control port of the laptop run: which requests and pushes there were, and which requests shall fail. It
// is for tests and for people who look closer; no function calls it.
//
//	GET    /pushes               the pushes sent so far; POST /pushes/{id} {"decision":"approve|deny"} answers one
//	GET    /requests?service=    what auth0, okta, fga or aws received, in order; without service, all of it
//	GET    /faults               the faults that are armed; POST arms one (see faults.Fault), DELETE disarms all
//	POST   /reset                everything back to the seed; signed-in browsers are signed out
//	GET    /logs?function=       what the functions wrote
//	GET    /stats                invocations, cold starts, crashes, memory
//	POST   /kill                 {"function":"…"} kills its processes in the middle of whatever they do
//
// It answers JSON, and refuses requests from other sites' pages.
package control

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/steward-iam/steward/infra/local/faultproxy"
	"github.com/steward-iam/steward/infra/local/runtimeapi"
	"github.com/steward-iam/steward/shared/fake/auth0test"
	"github.com/steward-iam/steward/shared/fake/faults"
)

// Handler is the control port.
type Handler struct {
	Phone interface {
		Pushes() []auth0test.Push
		Decide(id, decision string) error
	}
	Proxy  *faultproxy.Proxy
	Lambda *runtimeapi.Lambda
	// Reset brings everything back to the seed.
	Reset func(context.Context) error

	guard http.CrossOriginProtection
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	if local := host == "localhost" || ip != nil && ip.IsLoopback(); !local || h.guard.Check(r) != nil {
		refuse(w, http.StatusForbidden, "This port is for this computer's own tools.")
		return
	}
	m := http.NewServeMux()
	m.HandleFunc("GET /pushes", func(w http.ResponseWriter, _ *http.Request) { answer(w, h.Phone.Pushes()) })
	m.HandleFunc("POST /pushes/{id}", h.decide)
	m.HandleFunc("GET /requests", h.requests)
	m.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) { answer(w, wireFaults(h.Proxy.Faults())) })
	m.HandleFunc("POST /faults", h.addFault)
	m.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		h.Proxy.Fail()
		answer(w, struct{}{})
	})
	m.HandleFunc("POST /reset", h.reset)
	m.HandleFunc("GET /logs", h.logs)
	m.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { answer(w, h.Lambda.Stats()) })
	m.HandleFunc("POST /kill", h.kill)
	m.ServeHTTP(w, r)
}

func (h *Handler) decide(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Decision string `json:"decision"`
	}
	if !read(w, r, &in) {
		return
	}
	if in.Decision != "approve" && in.Decision != "deny" {
		refuse(w, http.StatusBadRequest, `decision is "approve" or "deny"`)
		return
	}
	id := r.PathValue("id")
	push := slices.IndexFunc(h.Phone.Pushes(), func(p auth0test.Push) bool { return p.ID == id })
	if push < 0 {
		refuse(w, http.StatusNotFound, "there is no such push")
		return
	}
	if err := h.Phone.Decide(id, in.Decision); err != nil {
		refuse(w, http.StatusConflict, err.Error())
		return
	}
	if now := h.Phone.Pushes(); push < len(now) {
		answer(w, now[push])
	}
}

func (h *Handler) requests(w http.ResponseWriter, r *http.Request) {
	service := r.URL.Query().Get("service")
	if service != "" && !slices.Contains(faults.Services, service) {
		refuse(w, http.StatusBadRequest, "service is one of "+strings.Join(faults.Services, ", "))
		return
	}
	if service == "" {
		answer(w, h.Proxy.Requests())
		return
	}
	answer(w, h.Proxy.Requests(service))
}

func (h *Handler) addFault(w http.ResponseWriter, r *http.Request) {
	var in wireFault
	if !read(w, r, &in) {
		return
	}
	in.Delay = time.Duration(in.DelayMS) * time.Millisecond
	if err := in.Check(); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	h.Proxy.Add(in.Fault)
	answer(w, in)
}

// wireFault is a fault as it is written in JSON.
type wireFault struct {
	faults.Fault

	DelayMS int64 `json:"delay_ms,omitempty"`
}

func wireFaults(all []faults.Fault) []wireFault {
	out := []wireFault{}
	for _, f := range all {
		out = append(out, wireFault{f, f.Delay.Milliseconds()})
	}
	return out
}

func (h *Handler) reset(w http.ResponseWriter, r *http.Request) {
	if err := h.Reset(r.Context()); err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	answer(w, struct{}{})
}

func (h *Handler) logs(w http.ResponseWriter, r *http.Request) {
	lines := h.Lambda.Logs().Lines(r.URL.Query().Get("function"))
	if lines == nil {
		lines = []runtimeapi.Line{}
	}
	answer(w, lines)
}

func (h *Handler) kill(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Function string `json:"function"`
	}
	if !read(w, r, &in) {
		return
	}
	if !slices.Contains(h.Lambda.Names(), in.Function) {
		refuse(w, http.StatusNotFound, "function is one of "+strings.Join(h.Lambda.Names(), ", "))
		return
	}
	answer(w, map[string]int{"killed": h.Lambda.Kill(in.Function)})
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, "the body is not what it should be: "+err.Error())
		return false
	}
	return true
}

func answer(w http.ResponseWriter, v any) { write(w, http.StatusOK, v) }

func refuse(w http.ResponseWriter, status int, why string) {
	write(w, status, map[string]string{"error": why})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the caller went away
}
