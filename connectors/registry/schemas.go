package registry

import (
	"cmp"
	"encoding/json"
	"net/http"

	"github.com/miracledb/miracledb/internal/schema"
	"github.com/miracledb/miracledb/log/schemas"
)

// proposal is the body of what sends a schema.
type proposal struct {
	Schema     string              `json:"schema"`
	SchemaType schema.Type         `json:"schemaType"`
	References []schemas.Reference `json:"references"`
	ID         int32               `json:"id"`
	Version    int32               `json:"version"`
	Metadata   json.RawMessage     `json:"metadata"`
	RuleSet    json.RawMessage     `json:"ruleSet"`
}

func readProposal(r *http.Request) (schemas.Proposal, error) {
	var p proposal
	if err := decode(r, &p); err != nil {
		return schemas.Proposal{}, err
	}
	for name, part := range map[string]json.RawMessage{"metadata": p.Metadata, "ruleSet": p.RuleSet} {
		if len(part) > 0 && string(part) != "null" {
			return schemas.Proposal{}, bad(schemas.CodeInvalidSchema, "%s of schemas is not supported", name)
		}
	}
	return schemas.Proposal{Type: cmp.Or(p.SchemaType, schema.Avro), Text: p.Schema, References: p.References, ID: max(p.ID, 0),
		Number: max(p.Version, 0), Normalize: is(r, "normalize")}, nil
}

// stored is a schema as it is answered; Avro is the type that is not named.
type stored struct {
	Subject    string              `json:"subject,omitempty"`
	Version    int32               `json:"version,omitempty"`
	ID         int32               `json:"id,omitempty"`
	MaxID      int32               `json:"maxId,omitempty"`
	SchemaType schema.Type         `json:"schemaType,omitempty"`
	References []schemas.Reference `json:"references,omitempty"`
	Schema     string              `json:"schema"`
}

func storedContent(r *http.Request, c *schemas.Content) (stored, error) {
	s := stored{References: c.References, Schema: c.Text}
	if c.Type != schema.Avro {
		s.SchemaType = c.Type
	}
	if r.URL.Query().Get("format") == "serialized" && c.Type == schema.Protobuf {
		x, err := c.Schema()
		if err == nil {
			s.Schema, err = x.Serialized()
		}
		return s, err
	}
	return s, nil
}

func storedVersion(r *http.Request, v *schemas.Version) (stored, error) {
	s, err := storedContent(r, v.Content)
	s.Subject, s.Version, s.ID = v.Subject, v.Number, v.ID
	return s, err
}

func (d *door) root(*http.Request) (any, error)     { return struct{}{}, nil }
func (d *door) contexts(*http.Request) (any, error) { return []string{"."}, nil }

func (d *door) metadataID(*http.Request) (any, error) {
	return map[string]any{"scope": map[string]any{"path": []string{}, "clusters": map[string]string{
		"kafka-cluster": d.clusterID, "schema-registry-cluster": "schema-registry"}}, "id": ""}, nil
}

// metadataVersion says which registry's API is followed.
func (d *door) metadataVersion(*http.Request) (any, error) {
	return map[string]string{"version": "7.9.0", "commitId": ""}, nil
}

func (d *door) types(*http.Request) (any, error) {
	return []schema.Type{schema.JSON, schema.Protobuf, schema.Avro}, nil
}

func (d *door) schemas(r *http.Request) (any, error) {
	vs, err := d.store.All(r.Context(), r.URL.Query().Get("subjectPrefix"), which(r), is(r, "latestOnly"))
	if err != nil {
		return nil, err
	}
	out := []stored{}
	for _, v := range page(r, vs) {
		s, err := storedVersion(r, v)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (d *door) byID(r *http.Request) (*schemas.Content, int32, error) {
	n, err := id(r)
	if err != nil {
		return nil, 0, err
	}
	return d.store.ByID(r.Context(), n)
}

func (d *door) schemaByID(r *http.Request) (any, error) {
	c, maxID, err := d.byID(r)
	if err != nil {
		return nil, err
	}
	s, err := storedContent(r, c)
	if is(r, "fetchMaxId") {
		s.MaxID = maxID
	}
	return s, err
}

func (d *door) textByID(r *http.Request) (any, error) {
	c, _, err := d.byID(r)
	if err != nil {
		return nil, err
	}
	s, err := storedContent(r, c)
	return raw(s.Schema), err
}

func (d *door) places(r *http.Request) ([]*schemas.Version, error) {
	n, err := id(r)
	if err != nil {
		return nil, err
	}
	return d.store.Places(r.Context(), n, is(r, "deleted"))
}

func (d *door) subjectsByID(r *http.Request) (any, error) {
	vs, err := d.places(r)
	out := []string{}
	for _, v := range vs {
		if len(out) == 0 || out[len(out)-1] != v.Subject {
			out = append(out, v.Subject)
		}
	}
	return page(r, out), err
}

func (d *door) versionsByID(r *http.Request) (any, error) {
	vs, err := d.places(r)
	type place struct {
		Subject string `json:"subject"`
		Version int32  `json:"version"`
	}
	out := []place{}
	for _, v := range vs {
		out = append(out, place{v.Subject, v.Number})
	}
	return page(r, out), err
}

func (d *door) subjects(r *http.Request) (any, error) {
	names, err := d.store.Subjects(r.Context(), r.URL.Query().Get("subjectPrefix"), which(r))
	return page(r, names), err
}

func (d *door) find(r *http.Request) (any, error) {
	p, err := readProposal(r)
	if err != nil {
		return nil, err
	}
	v, err := d.store.Find(r.Context(), subject(r), p, is(r, "deleted"))
	if err != nil {
		return nil, err
	}
	return storedVersion(r, v)
}

func (d *door) register(r *http.Request) (any, error) {
	p, err := readProposal(r)
	if err != nil {
		return nil, err
	}
	v, err := d.store.Register(r.Context(), subject(r), p)
	if err != nil {
		return nil, err
	}
	// Nothing else: clients keep what they sent as the schema of the id, and what they would get may be written otherwise.
	return map[string]int32{"id": v.ID}, nil
}

func (d *door) deleteSubject(r *http.Request) (any, error) {
	return d.store.DeleteSubject(r.Context(), subject(r), is(r, "permanent"))
}

func (d *door) versions(r *http.Request) (any, error) {
	vs, err := d.store.Versions(r.Context(), subject(r), which(r))
	out := []int32{}
	for _, v := range vs {
		out = append(out, v.Number)
	}
	return page(r, out), err
}

func (d *door) oneVersion(r *http.Request) (stored, error) {
	n, err := version(r)
	if err != nil {
		return stored{}, err
	}
	v, err := d.store.Version(r.Context(), subject(r), n, is(r, "deleted"))
	if err != nil {
		return stored{}, err
	}
	return storedVersion(r, v)
}

func (d *door) version(r *http.Request) (any, error) { return d.oneVersion(r) }

func (d *door) textByVersion(r *http.Request) (any, error) {
	s, err := d.oneVersion(r)
	return raw(s.Schema), err
}

func (d *door) users(r *http.Request) (any, error) {
	n, err := version(r)
	if err != nil {
		return nil, err
	}
	return d.store.Users(r.Context(), subject(r), n)
}

func (d *door) deleteVersion(r *http.Request) (any, error) {
	n, err := version(r)
	if err != nil {
		return nil, err
	}
	return d.store.DeleteVersion(r.Context(), subject(r), n, is(r, "permanent"))
}
