package websocket

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/coder/websocket"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/version"
)

const (
	// writeTimeout ends a connection whose client takes nothing for so long.
	writeTimeout = 60 * time.Second
	// maxClientFrame bounds what a client may send: credit and pings.
	maxClientFrame = 16 << 10
)

// Handler serves /v1/subscribe over both protocols.
func Handler(o *Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := Request{Relation: r.URL.Query().Get("relation"), From: r.URL.Query().Get("from")}
		if v := r.URL.Query().Get("snapshot"); v != "" {
			snapshot, err := strconv.ParseBool(v)
			if err != nil {
				http.Error(w, "snapshot must be true or false", http.StatusBadRequest)
				return
			}
			q.Snapshot = snapshot
		}
		if id := r.Header.Get("Last-Event-ID"); id != "" && q.From == "" {
			q.From, q.Snapshot = id, false // a browser's EventSource reconnects
		}
		if _, err := find(o.Catalog.Current(), q.Relation); err != nil {
			http.Error(w, err.Error(), status(err))
			return
		}
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			serveSocket(w, r, o, q)
			return
		}
		serveEvents(w, r, o, q)
	})
}

func status(err error) int {
	switch errs.KindOf(err) {
	case errs.NotFound:
		return http.StatusNotFound
	case errs.Invalid, errs.Unsupported:
		return http.StatusBadRequest
	case errs.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// socketSink writes frames as WebSocket text messages.
type socketSink struct {
	conn *websocket.Conn
	buf  []byte
}

func (s *socketSink) Frame(ctx context.Context, f *Frame) error {
	s.buf = f.appendJSON(s.buf[:0])
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, s.buf)
}

func (s *socketSink) Flush(context.Context) error { return nil }

func serveSocket(w http.ResponseWriter, r *http.Request, o *Options, q Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(maxClientFrame)
	// The client's frames are read so that its close and pings are seen.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		defer cancel()
		for {
			if _, _, err := conn.Read(ctx); err != nil {
				return
			}
		}
	}()
	sink := &socketSink{conn: conn}
	err = Subscribe(ctx, o, q, sink)
	if ctx.Err() != nil {
		_ = conn.Close(websocket.StatusGoingAway, "the server is stopping")
		return
	}
	reason := err.Error()
	_ = sink.Frame(ctx, &Frame{Type: "error", Relation: q.Relation, Message: reason})
	_ = conn.Close(websocket.StatusPolicyViolation, reason[:min(len(reason), 120)])
}

// eventSink writes frames as server-sent events.
type eventSink struct {
	w   http.ResponseWriter
	c   *http.ResponseController
	buf []byte
}

func (s *eventSink) Frame(_ context.Context, f *Frame) error {
	s.buf = s.buf[:0]
	if f.Token != "" {
		s.buf = append(append(append(s.buf, "id: "...), f.Token...), '\n')
	}
	s.buf = append(s.buf, "data: "...)
	s.buf = append(f.appendJSON(s.buf), "\n\n"...)
	_ = s.c.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := s.w.Write(s.buf)
	return err
}

func (s *eventSink) Flush(context.Context) error { return s.c.Flush() }

func serveEvents(w http.ResponseWriter, r *http.Request, o *Options, q Request) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	sink := &eventSink{w: w, c: http.NewResponseController(w)}
	err := Subscribe(r.Context(), o, q, sink)
	if r.Context().Err() == nil && err != nil {
		_ = sink.Frame(r.Context(), &Frame{Type: "error", Relation: q.Relation, Message: err.Error()})
		_ = sink.Flush(r.Context())
	}
}

// columns reads a stream's rows from the column store.
func (s *subscription) columns(ctx context.Context, v *version.Version, emit func(row.Row) error) error {
	r, ok := v.Columnar.Relation(s.rel.ID)
	if !ok {
		return nil
	}
	schema := s.rel.RowSchema()
	return r.Read(ctx, nil, func(rec arrow.Record) error {
		for i := range int(rec.NumRows()) {
			if err := emit(row.RowAt(rec, i, schema, nil)); err != nil {
				return err
			}
		}
		return nil
	})
}
