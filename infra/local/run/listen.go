package run

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// loopback is one port of this computer on 127.0.0.1 and, where there is one, on [::1]: whichever "localhost" means.
type loopback []net.Listener

// listen opens a port; 0 is any free one.
func listen(ctx context.Context, port int) (loopback, error) {
	var config net.ListenConfig
	four, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, inUse(port, err)
	}
	l := loopback{four}
	six, err := config.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(l.port())))
	switch {
	case err == nil:
		l = append(l, six)
	case errors.Is(err, syscall.EADDRINUSE) && port == 0: // taken on the other side alone: try another one
		_ = four.Close()
		return listen(ctx, 0)
	case errors.Is(err, syscall.EADDRINUSE):
		_ = four.Close()
		return nil, inUse(port, err)
	}
	return l, nil
}

func inUse(port int, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d is in use: stop what uses it, or choose six other ports with STEWARD_PORT_BASE", port)
	}
	return fmt.Errorf("listen on port %d: %w", port, err)
}

func (l loopback) port() int { return l[0].Addr().(*net.TCPAddr).Port }

// url is the address for people and functions.
func (l loopback) url() string { return "http://localhost:" + strconv.Itoa(l.port()) }

// Close stops listening.
func (l loopback) Close() (err error) {
	for _, each := range l {
		err = errors.Join(err, each.Close())
	}
	return err
}
