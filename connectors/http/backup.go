package http

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/miracledb/miracledb/backup"
	"github.com/miracledb/miracledb/internal/errs"
)

// progressEvery is how often a backup tells how far it is.
const progressEvery = 200 * time.Millisecond

type backupInput struct {
	Body struct {
		Repo string `json:"repo" doc:"the repository, as the server reaches it" example:"file:///var/backups/miracledb" minLength:"1"`
		Full bool   `json:"full,omitempty" doc:"read the whole log again and write every block anew"`
	}
}

// BackupEvent is one line of the answer to POST /v1/backups. The last one has Backup or Error.
type BackupEvent struct {
	// Done and Total count appends.
	Done   int64           `json:"done,omitempty"`
	Total  int64           `json:"total,omitempty"`
	Backup *backup.Summary `json:"backup,omitempty"`
	Error  string          `json:"error,omitempty"`
	Hint   string          `json:"hint,omitempty"`
}

func registerBackup(api huma.API, o Options) {
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[BackupEvent](), true, "BackupEvent")
	huma.Register(api, huma.Operation{OperationID: "backup", Method: http.MethodPost, Path: "/v1/backups", Summary: "Make a backup",
		Description: "Answers with JSON lines: the progress while it runs, then the backup or an error. Without the last line the outcome is not known.",
		Responses: map[string]*huma.Response{"200": {Description: "progress and outcome", Content: map[string]*huma.MediaType{
			"application/x-ndjson": {Schema: schema}}}}},
		func(_ context.Context, in *backupInput) (*huma.StreamResponse, error) {
			store, err := backup.Open(in.Body.Repo)
			if err != nil {
				return nil, failure(err)
			}
			return &huma.StreamResponse{Body: func(h huma.Context) {
				h.SetHeader("Content-Type", "application/x-ndjson")
				s := backupStream{out: h}
				m, err := o.Backup(h.Context(), backup.CreateOptions{Store: store, Full: in.Body.Full, Progress: s.progress})
				s.end(m, err)
			}}, nil
		})
}

// backupStream writes events to a client. One that is gone is noticed by its context.
type backupStream struct {
	out  huma.Context
	last time.Time
}

func (s *backupStream) progress(done, total int64) {
	if time.Since(s.last) < progressEvery {
		return
	}
	s.last = time.Now()
	s.write(BackupEvent{Done: done, Total: total})
}

func (s *backupStream) end(m *backup.Manifest, err error) {
	if err == nil {
		s.write(BackupEvent{Backup: &m.Summary})
		return
	}
	out := BackupEvent{Error: err.Error()}
	var e *errs.Error
	if errors.As(err, &e) {
		out.Hint = e.Hint
	}
	s.write(out)
}

func (s *backupStream) write(e BackupEvent) {
	b, err := json.Marshal(e)
	if err != nil {
		return
	}
	w := s.out.BodyWriter()
	_, _ = w.Write(append(b, '\n'))
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}
