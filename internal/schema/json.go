package schema

import (
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/miracledb/miracledb/internal/errs"
)

// jsonURL is the base of the schema's own identifiers when it has no $id.
const jsonURL = "schema:///"

func (s *Schema) parseJSON() (err error) {
	var compact string
	if s.json, compact, err = generic(s.Text); err != nil {
		return err
	}
	s.Text, s.identity = compact, compact
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.UseRegexpEngine(anyPattern)
	imports := jsonImports{}
	if err := imports.add(s.Imports); err != nil {
		return err
	}
	c.UseLoader(imports)
	err = c.AddResource(jsonURL, s.json)
	if err == nil {
		_, err = c.Compile(jsonURL)
	}
	if err != nil {
		return errs.New(errs.Invalid, "invalid JSON schema: %w", err)
	}
	s.normal, err = sorted(s.json)
	return err
}

// jsonImports gives the schemas that references name; nothing is loaded from anywhere.
type jsonImports map[string]any

func (m jsonImports) add(imports []Import) error {
	for _, im := range imports {
		if im.Schema.Type != JSON {
			return errs.New(errs.Invalid, "reference %q is no JSON schema", im.Name)
		}
		if _, done := m[im.Name]; done {
			continue
		}
		m[im.Name] = im.Schema.json
		if err := m.add(im.Schema.Imports); err != nil {
			return err
		}
	}
	return nil
}

// Load implements jsonschema.URLLoader.
func (m jsonImports) Load(url string) (any, error) {
	for _, name := range []string{url, strings.TrimPrefix(url, jsonURL)} {
		if v, ok := m[name]; ok {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%q is no reference of the schema", url)
}

// pattern is a regular expression of a schema. They are ECMAScript's, which Go's package cannot read, and nothing is matched here.
type pattern string

func (p pattern) String() string          { return string(p) }
func (p pattern) MatchString(string) bool { return true }

func anyPattern(text string) (jsonschema.Regexp, error) { return pattern(text), nil }
