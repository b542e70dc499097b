package http

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/miracledb/miracledb/backup"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/sql"
	"github.com/miracledb/miracledb/views/catalog"
)

// Options are the door's parts.
type Options struct {
	Database sql.Database
	Catalog  *catalog.Catalog
	Log      Log
	// Visible waits until tables and views have reached a Position, and gives the one that they have.
	Visible func(context.Context, log.Position) (log.Position, error)
	// Subscribe serves /v1/subscribe.
	Subscribe http.Handler
	Metrics   prometheus.Gatherer
	// Ready is closed once recovery is over.
	Ready <-chan struct{}
	// Registry serves the schema registry, under /registry.
	Registry http.Handler
	// Backup makes a backup of this server's log.
	Backup func(context.Context, backup.CreateOptions) (*backup.Manifest, error)
}

// New gives the door's handler.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("MiracleDB", "1")
	config.DocsPath, config.CreateHooks = "", nil // no page of its own, no link to a schema in every answer
	api := humago.New(mux, config)
	registerQuery(api, o)
	registerSchema(api, o)
	registerBackup(api, o)
	registerAppend(api, o)
	registerRecords(api, o)
	mux.Handle("GET /v1/subscribe", o.Subscribe)
	mux.Handle("/registry/", http.StripPrefix("/registry", o.Registry))
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-o.Ready:
			_, _ = w.Write([]byte("ready\n"))
		default:
			http.Error(w, "recovering", http.StatusServiceUnavailable)
		}
	})
	return mux
}

// statusOf maps an error's kind to HTTP.
func statusOf(err error) int {
	switch errs.KindOf(err) {
	case errs.Invalid:
		return http.StatusBadRequest
	case errs.NotFound, errs.Unsupported:
		return http.StatusNotFound
	case errs.Conflict, errs.Constraint, errs.Exists:
		return http.StatusConflict
	case errs.Limit:
		return http.StatusRequestEntityTooLarge
	case errs.Denied:
		return http.StatusForbidden
	case errs.Unavailable, errs.Unknown:
		return http.StatusServiceUnavailable
	case errs.Canceled:
		return http.StatusRequestTimeout
	}
	return http.StatusInternalServerError
}
