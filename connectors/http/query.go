package http

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/internal/row/jsonrow"
	"github.com/miracledb/miracledb/sql"
	"github.com/miracledb/miracledb/views/catalog"
)

// maxRows is how many rows an answer holds when the request does not say: an answer is built in memory.
const maxRows = 10_000

type queryInput struct {
	Body struct {
		SQL    string            `json:"sql" doc:"one or more statements" example:"SELECT 1" minLength:"1"`
		Params []json.RawMessage `json:"params,omitempty" doc:"values of $1, $2...: strings in PostgreSQL's text form, numbers, booleans, null"`
		Rows   int               `json:"max_rows,omitempty" doc:"most rows to return" minimum:"1" maximum:"100000"`
	}
}

type column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type answer struct {
	Command   string            `json:"command" doc:"the command tag" example:"SELECT 1"`
	Columns   []column          `json:"columns,omitempty"`
	Rows      []json.RawMessage `json:"rows,omitempty" doc:"objects by column name; int8 and numeric are strings"`
	Truncated bool              `json:"truncated,omitempty" doc:"more rows than max_rows"`
}

type queryOutput struct {
	Body struct {
		Results []answer `json:"results" doc:"one per statement"`
	}
}

func registerQuery(api huma.API, o Options) {
	huma.Register(api, huma.Operation{OperationID: "query", Method: http.MethodPost, Path: "/v1/query",
		Summary: "Run SQL", MaxBodyBytes: 16 << 20}, func(ctx context.Context, in *queryInput) (*queryOutput, error) {
		out := &queryOutput{}
		s, err := o.Database.Open(ctx, sql.Options{User: "miracledb", Settings: map[string]string{"application_name": "http"}})
		if err == nil {
			out.Body.Results, err = run(ctx, s, in)
			err = errors.Join(err, s.Close())
		}
		if err != nil {
			return nil, failure(err)
		}
		return out, nil
	})
}

// failure is an error as the API tells it.
func failure(err error) error {
	var e *errs.Error
	if !errors.As(err, &e) {
		return huma.NewError(statusOf(err), err.Error())
	}
	var details []error
	if e.State != "" {
		details = append(details, &huma.ErrorDetail{Message: "SQLSTATE", Value: e.State})
	}
	for name, text := range map[string]string{"detail": e.Detail, "hint": e.Hint} {
		if text != "" {
			details = append(details, &huma.ErrorDetail{Message: text, Location: name})
		}
	}
	if e.Position > 0 {
		details = append(details, &huma.ErrorDetail{Message: "position in the statement", Value: e.Position})
	}
	return huma.NewError(statusOf(err), e.Error(), details...)
}

func run(ctx context.Context, s sql.Session, in *queryInput) ([]answer, error) {
	list, err := s.Parse(in.Body.SQL)
	if err != nil {
		return nil, err
	}
	most := in.Body.Rows
	if most == 0 {
		most = maxRows
	}
	var answers []answer
	for _, st := range list {
		p, err := s.Prepare(ctx, st, nil)
		if err != nil {
			return nil, err
		}
		args, err := arguments(p.Params(), in.Body.Params)
		if err != nil {
			return nil, err
		}
		r, err := s.Execute(ctx, p, args)
		if err != nil {
			return nil, err
		}
		a, err := collect(ctx, r, most)
		if err = errors.Join(err, r.Close()); err != nil {
			return nil, err
		}
		a.Command = r.Tag()
		answers = append(answers, a)
	}
	return answers, s.Sync(ctx)
}

// arguments reads the JSON values of parameters as PostgreSQL texts.
func arguments(types []row.Type, params []json.RawMessage) ([]row.Value, error) {
	if len(types) != len(params) {
		return nil, errs.SQL("08P01", "the statement has %d parameters, the request gives %d", len(types), len(params))
	}
	values := make([]row.Value, len(types))
	for i, raw := range params {
		text := string(raw)
		if text == "null" {
			continue
		}
		var s string
		if json.Unmarshal(raw, &s) == nil {
			text = s
		}
		v, err := row.ParseText(types[i], text)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return values, nil
}

func collect(ctx context.Context, r sql.Result, most int) (answer, error) {
	a := answer{}
	if r.Copy() != nil {
		return a, errs.SQL("0A000", "COPY needs the PostgreSQL protocol").WithHint("Use psql's \\copy.")
	}
	schema := &row.Schema{}
	for _, c := range r.Columns() {
		a.Columns = append(a.Columns, column{c.Name, c.Type.String()})
		schema.Columns = append(schema.Columns, row.Column{Name: c.Name, Type: c.Type})
	}
	enc := jsonrow.NewEncoder(schema)
	for {
		batch, err := r.Next(ctx)
		if err == io.EOF {
			return a, nil
		}
		if err != nil {
			return a, err
		}
		for _, row := range batch {
			if len(a.Rows) == most {
				a.Truncated = true
				return a, nil
			}
			a.Rows = append(a.Rows, enc.AppendJSONStrings(nil, row))
		}
	}
}

type relation struct {
	Schema  string         `json:"schema"`
	Name    string         `json:"name"`
	Kind    catalog.Kind   `json:"kind"`
	Columns []schemaColumn `json:"columns"`
	Key     []string       `json:"key,omitempty"`
	Topic   string         `json:"topic,omitempty"`
	Query   string         `json:"query,omitempty"`
}

type schemaColumn struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	NotNull bool   `json:"not_null,omitempty"`
}

type schemaOutput struct {
	Body struct {
		Relations []relation `json:"relations"`
	}
}

func registerSchema(api huma.API, o Options) {
	huma.Register(api, huma.Operation{OperationID: "schema", Method: http.MethodGet, Path: "/v1/schema",
		Summary: "List relations and their columns"}, func(context.Context, *struct{}) (*schemaOutput, error) {
		out := &schemaOutput{}
		out.Body.Relations = []relation{}
		for _, rel := range o.Catalog.Current().Relations() {
			if rel.Kind == catalog.System {
				continue
			}
			r := relation{Schema: rel.Schema, Name: rel.Name, Kind: rel.Kind, Topic: rel.TopicName, Query: rel.Query}
			for _, c := range rel.Columns {
				if !c.Hidden {
					r.Columns = append(r.Columns, schemaColumn{c.Name, c.Type.String(), c.NotNull})
				}
			}
			for _, i := range rel.Key {
				r.Key = append(r.Key, rel.Columns[i].Name)
			}
			out.Body.Relations = append(out.Body.Relations, r)
		}
		return out, nil
	})
}
