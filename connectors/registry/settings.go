package registry

import (
	"net/http"
	"strings"

	"github.com/miracledb/miracledb/internal/schema"
	"github.com/miracledb/miracledb/log/schemas"
)

func (d *door) compatible(r *http.Request) (any, error) {
	n := int32(0)
	if r.PathValue("version") != "" {
		var err error
		if n, err = version(r); err != nil {
			return nil, err
		}
	}
	p, err := readProposal(r)
	if err != nil {
		return nil, err
	}
	faults, err := d.store.Check(r.Context(), subject(r), n, p)
	if err != nil {
		return nil, err
	}
	answer := struct {
		Compatible bool     `json:"is_compatible"`
		Messages   []string `json:"messages,omitempty"`
	}{Compatible: len(faults) == 0}
	if is(r, "verbose") {
		answer.Messages = faults
	}
	return answer, nil
}

type levelAnswer struct {
	Level schema.Level `json:"compatibilityLevel"`
}

func (d *door) level(r *http.Request) (any, error) {
	l, err := d.store.Level(r.Context(), subject(r), is(r, "defaultToGlobal"))
	return levelAnswer{l}, err
}

func (d *door) setLevel(r *http.Request) (any, error) {
	var body struct {
		Level schema.Level `json:"compatibility"`
	}
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	body.Level = schema.Level(strings.ToUpper(string(body.Level)))
	if body.Level == "" {
		body.Level = "?" // refused: taking a level back is DELETE
	}
	_, err := d.store.SetLevel(r.Context(), subject(r), body.Level)
	return body, err
}

func (d *door) resetLevel(r *http.Request) (any, error) {
	before, err := d.store.SetLevel(r.Context(), subject(r), "")
	return levelAnswer{before}, err
}

type modeBody struct {
	Mode schemas.Mode `json:"mode"`
}

func (d *door) mode(r *http.Request) (any, error) {
	m, err := d.store.Mode(r.Context(), subject(r), is(r, "defaultToGlobal"))
	return modeBody{m}, err
}

func (d *door) setMode(r *http.Request) (any, error) {
	var body modeBody
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	body.Mode = schemas.Mode(strings.ToUpper(string(body.Mode)))
	if body.Mode == "" {
		body.Mode = "?" // refused: taking a mode back is DELETE
	}
	_, err := d.store.SetMode(r.Context(), subject(r), body.Mode, is(r, "force"))
	return body, err
}

func (d *door) resetMode(r *http.Request) (any, error) {
	before, err := d.store.SetMode(r.Context(), subject(r), "", false)
	return modeBody{before}, err
}
