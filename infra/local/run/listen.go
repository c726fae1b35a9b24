package run

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// loopback is one port of this computer on 127.0.0.1 and, where there is one, on [::1]: whichever "localhost" means.
type loopback struct {
	listeners []net.Listener
	conns     chan net.Conn
	done      chan struct{}
	closed    sync.Once
}

// listen opens a port; 0 is any free one.
func listen(ctx context.Context, port int) (*loopback, error) {
	var config net.ListenConfig
	four, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, inUse(port, err)
	}
	l := &loopback{listeners: []net.Listener{four}, conns: make(chan net.Conn), done: make(chan struct{})}
	six, err := config.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(l.port())))
	switch {
	case err == nil:
		l.listeners = append(l.listeners, six)
	case errors.Is(err, syscall.EADDRINUSE) && port == 0: // taken on the other side alone: try another one
		_ = four.Close()
		return listen(ctx, 0)
	case errors.Is(err, syscall.EADDRINUSE):
		_ = four.Close()
		return nil, inUse(port, err)
	}
	for _, each := range l.listeners {
		go l.accept(each)
	}
	return l, nil
}

func inUse(port int, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d is in use: stop what uses it, or choose six other ports with STEWARD_PORT_BASE", port)
	}
	return fmt.Errorf("listen on port %d: %w", port, err)
}

func (l *loopback) accept(from net.Listener) {
	for {
		conn, err := from.Accept()
		if err != nil {
			return // closed
		}
		select {
		case l.conns <- conn:
		case <-l.done:
			_ = conn.Close()
			return
		}
	}
}

func (l *loopback) port() int {
	return l.listeners[0].Addr().(*net.TCPAddr).Port
}

// url is the address for people and functions.
func (l *loopback) url() string { return "http://localhost:" + strconv.Itoa(l.port()) }

// Accept implements [net.Listener].
func (l *loopback) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Addr implements [net.Listener].
func (l *loopback) Addr() net.Addr { return l.listeners[0].Addr() }

// Close implements [net.Listener].
func (l *loopback) Close() (err error) {
	l.closed.Do(func() {
		close(l.done)
		for _, each := range l.listeners {
			err = errors.Join(err, each.Close())
		}
	})
	return err
}
