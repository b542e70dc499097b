package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log/schemas"
)

// ContentType is the type of every answer.
const ContentType = "application/vnd.schemaregistry.v1+json"

// maxBody bounds a request: JSON's escapes may double a schema, references come on top.
const maxBody = 2*int64(limit.SchemaText) + int64(limit.MiB)

// door serves one registry.
type door struct {
	store     *schemas.Store
	clusterID string
}

// New gives the handler of the API's paths, which begin at /. The cluster's id is Kafka's.
func New(store *schemas.Store, clusterID string) http.Handler {
	d := &door{store, clusterID}
	mux := http.NewServeMux()
	for pattern, h := range map[string]endpoint{
		"GET /{$}":                                                  d.root,
		"GET /contexts":                                             d.contexts,
		"GET /v1/metadata/id":                                       d.metadataID,
		"GET /v1/metadata/version":                                  d.metadataVersion,
		"GET /schemas":                                              d.schemas,
		"GET /schemas/types":                                        d.types,
		"GET /schemas/ids/{id}":                                     d.schemaByID,
		"GET /schemas/ids/{id}/schema":                              d.textByID,
		"GET /schemas/ids/{id}/subjects":                            d.subjectsByID,
		"GET /schemas/ids/{id}/versions":                            d.versionsByID,
		"GET /subjects":                                             d.subjects,
		"POST /subjects/{subject}":                                  d.find,
		"DELETE /subjects/{subject}":                                d.deleteSubject,
		"GET /subjects/{subject}/versions":                          d.versions,
		"POST /subjects/{subject}/versions":                         d.register,
		"GET /subjects/{subject}/versions/{version}":                d.version,
		"DELETE /subjects/{subject}/versions/{version}":             d.deleteVersion,
		"GET /subjects/{subject}/versions/{version}/schema":         d.textByVersion,
		"GET /subjects/{subject}/versions/{version}/referencedby":   d.users,
		"POST /compatibility/subjects/{subject}/versions":           d.compatible,
		"POST /compatibility/subjects/{subject}/versions/{version}": d.compatible,
		"GET /config":                                               d.level,
		"PUT /config":                                               d.setLevel,
		"DELETE /config":                                            d.resetLevel,
		"GET /config/{subject}":                                     d.level,
		"PUT /config/{subject}":                                     d.setLevel,
		"DELETE /config/{subject}":                                  d.resetLevel,
		"GET /mode":                                                 d.mode,
		"PUT /mode":                                                 d.setMode,
		"DELETE /mode":                                              d.resetMode,
		"GET /mode/{subject}":                                       d.mode,
		"PUT /mode/{subject}":                                       d.setMode,
		"DELETE /mode/{subject}":                                    d.resetMode,
	} {
		mux.Handle(pattern, h)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			fail(w, http.StatusNotFound, http.StatusNotFound, "HTTP 404 Not Found")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// endpoint answers one kind of request: with a value as JSON, or an error.
type endpoint func(*http.Request) (any, error)

// raw is an answer that is JSON, or Protobuf's text, already.
type raw string

func (e endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength > maxBody { // said before a client sends it that asks first
		refuse(w, &http.MaxBytesError{Limit: maxBody})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	answer, err := e(r)
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", ContentType)
	if text, ok := answer.(raw); ok {
		_, _ = w.Write([]byte(text))
		return
	}
	j := json.NewEncoder(w)
	j.SetEscapeHTML(false)
	_ = j.Encode(answer) // a client that is gone
}

// refuse answers an error: the status is the first three digits of the code.
func refuse(w http.ResponseWriter, err error) {
	var r *schemas.Refusal
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &r):
		status := int(r.Code)
		if status > 999 {
			status /= 100
		}
		fail(w, status, int(r.Code), r.Message)
	case errors.As(err, &large):
		fail(w, http.StatusRequestEntityTooLarge, http.StatusRequestEntityTooLarge, fmt.Sprintf("the request has more than %d bytes", large.Limit))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		fail(w, http.StatusInternalServerError, int(schemas.CodeTimeout), "the operation was cut short")
	default:
		fail(w, http.StatusInternalServerError, int(schemas.CodeStore), err.Error())
	}
}

func fail(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("Content-Type", ContentType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}{code, message})
}

func bad(c schemas.Code, format string, args ...any) error {
	return errs.New(errs.Invalid, "%w", &schemas.Refusal{Code: c, Message: fmt.Sprintf(format, args...)})
}

// is reports whether a query parameter says true.
func is(r *http.Request, name string) bool { return strings.EqualFold(r.URL.Query().Get(name), "true") }

func which(r *http.Request) schemas.Which {
	return schemas.Which{Deleted: is(r, "deleted"), DeletedOnly: is(r, "deletedOnly")}
}

// subject is the path's subject. The default context may be named.
func subject(r *http.Request) string { return strings.TrimPrefix(r.PathValue("subject"), ":.:") }

func version(r *http.Request) (int32, error) {
	text := r.PathValue("version")
	if text == "latest" || text == "-1" {
		return schemas.Latest, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return 0, bad(schemas.CodeInvalidVersion, "The specified version '%s' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\"", text)
	}
	return int32(n), nil
}

func id(r *http.Request) (int32, error) {
	n, err := strconv.ParseInt(r.PathValue("id"), 10, 32)
	if err != nil || n < 1 {
		return 0, bad(schemas.CodeSchemaNotFound, "Schema %s not found", r.PathValue("id"))
	}
	return int32(n), nil
}

// page cuts a list by the parameters offset and limit.
func page[T any](r *http.Request, all []T) []T {
	from, _ := strconv.Atoi(r.URL.Query().Get("offset"))
	from = max(0, min(from, len(all)))
	all = all[from:]
	if n, err := strconv.Atoi(r.URL.Query().Get("limit")); err == nil && n >= 0 && n < len(all) {
		all = all[:n]
	}
	return all
}

func decode(r *http.Request, into any) error {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return err
		}
		if errors.Is(err, io.EOF) { // nothing at all is one that breaks a constraint, not one that cannot be read
			return bad(http.StatusUnprocessableEntity, "the request has no body")
		}
		return bad(http.StatusBadRequest, "the request is not the JSON that is expected: %v", err)
	}
	return nil
}
