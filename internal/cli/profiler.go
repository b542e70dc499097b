package cli

import (
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
)

// startProfiler answers /debug/pprof/ at an address until stop is called; "" starts nothing. It is a door of its own, off
// unless asked for: a profile tells what the server does.
func startProfiler(address string) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, errs.New(errs.Unavailable, "the profiler cannot listen on %s: %w", address, err).
			WithHint("Choose another address with --pprof.")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln) // until Close
	}()
	return func() { _ = srv.Close(); <-done }, nil
}
