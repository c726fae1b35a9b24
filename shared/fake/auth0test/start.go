package auth0test

import (
	"net/http/httptest"
	"testing"
)

// Server is a tenant behind a listener of its own.
type Server struct {
	*Tenant
	*httptest.Server
}

// Start serves a tenant over plain HTTP until the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	return start(t, o, "http://", (*httptest.Server).Start)
}

// StartTLS serves a tenant over TLS until the test ends; Client() and Certificate() of the server are how to trust it.
func StartTLS(t testing.TB, o Options) *Server {
	t.Helper()
	return start(t, o, "https://", (*httptest.Server).StartTLS)
}

func start(t testing.TB, o Options, scheme string, serve func(*httptest.Server)) *Server {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	if o.Issuer == "" {
		o.Issuer = scheme + s.Listener.Addr().String() + "/"
	}
	tenant := New(o)
	s.Config.Handler = tenant
	serve(s)
	t.Cleanup(s.Close)
	return &Server{Tenant: tenant, Server: s}
}
