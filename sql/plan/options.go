package plan

import (
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/views/catalog"
)

// optionKind is what the value of a relation's option must be.
type optionKind uint8

const (
	optionText optionKind = iota
	optionBool
	optionCount    // a whole number from 1
	optionInterval // PostgreSQL's interval text
	optionColumn   // a column of the relation
	optionIgnored  // a hint about PostgreSQL's own storage, which no answer depends on
)

// option is one WITH (...) option of a relation.
type option struct {
	kind   optionKind
	values []string // the only ones possible; nil: any
	max    int64    // of a count; 0: none
	// kinds are the kinds of relation that have the option.
	kinds []catalog.Kind
}

var (
	tables     = []catalog.Kind{catalog.Table, catalog.Stream}
	stored     = []catalog.Kind{catalog.Table, catalog.Stream, catalog.MaterializedView}
	streamOnly = []catalog.Kind{catalog.Stream}
	viewOnly   = []catalog.Kind{catalog.MaterializedView}
)

// maxPartitions bounds a topic's partitions, as the broker does.
const maxPartitions = 10000

// relationOptions are the options of DESIGN sections 5 and 8, and PostgreSQL's that are no more than hints.
var relationOptions = map[string]option{
	"append_only": {kind: optionBool, kinds: tables},
	"topic":       {kind: optionText, kinds: tables},
	"format":      {kind: optionText, values: []string{"json", "avro", "protobuf"}, kinds: tables},
	"partitions":  {kind: optionCount, max: maxPartitions, kinds: tables},
	"event_time":  {kind: optionColumn, kinds: streamOnly},
	"watermark":   {kind: optionInterval, kinds: streamOnly},
	"on_fault":    {kind: optionText, values: []string{"reject", "refuse"}, kinds: tables},
	"retention":   {kind: optionInterval, kinds: stored},
	"emit":        {kind: optionText, values: []string{"on_change", "on_window_close"}, kinds: viewOnly},
	"fillfactor":  {kind: optionIgnored, kinds: stored},
}

// optionsOf reads WITH (...) of a relation that is to be of a kind (for a table, append_only makes it a stream: see
// isStream).
//
// Errors: 22023 for an unknown option, a bad value or a second one of the same name.
func (a *analyzer) optionsOf(list []*pg.Node, kind catalog.Kind) (map[string]string, error) {
	var out map[string]string
	for _, n := range list {
		d := n.GetDefElem()
		known, ok := relationOptions[d.Defname]
		ignored := known.kind == optionIgnored || strings.HasPrefix(d.Defname, "autovacuum_") || d.Defnamespace == "toast"
		switch {
		case ignored && kind != catalog.View:
			continue
		case d.Defnamespace != "":
			return nil, errs.SQL("22023", "unrecognized parameter namespace %q", d.Defnamespace).At(a.pos(d.Location))
		case !ok:
			return nil, errs.SQL("22023", "unrecognized parameter %q", d.Defname)
		}
		if _, again := out[d.Defname]; again {
			return nil, errs.SQL("22023", "parameter %q specified more than once", d.Defname)
		}
		if !hasKind(known.kinds, kind) {
			return nil, errs.SQL("22023", "parameter %q does not apply to a %s", d.Defname, kind)
		}
		v, err := known.read(d)
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = map[string]string{}
		}
		out[d.Defname] = v
	}
	if out["append_only"] == "false" {
		delete(out, "append_only")
	}
	return out, nil
}

func hasKind(kinds []catalog.Kind, k catalog.Kind) bool {
	for _, x := range kinds {
		if x == k {
			return true
		}
	}
	return false
}

// isStream reports whether WITH (...) says append_only.
func isStream(list []*pg.Node) (bool, error) {
	for _, n := range list {
		if d := n.GetDefElem(); d.Defname == "append_only" && d.Defnamespace == "" {
			known := relationOptions[d.Defname]
			v, err := known.read(d)
			return v == "true", err
		}
	}
	return false, nil
}

// read gives an option's value as the catalog keeps it.
func (o *option) read(d *pg.DefElem) (string, error) {
	v, given := defText(d)
	bad := func(hint string) error {
		e := errs.SQL("22023", "invalid value for parameter %q: %q", d.Defname, v)
		if hint != "" {
			e = e.WithHint("%s", hint)
		}
		return e
	}
	switch o.kind {
	case optionBool:
		on, ok := boolText(v, given)
		if !ok {
			return "", bad("Give true or false.")
		}
		return strconv.FormatBool(on), nil
	case optionCount:
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 1 || o.max > 0 && n > o.max {
			return "", bad("Give a number from 1 to " + strconv.FormatInt(o.max, 10) + ".")
		}
		return strconv.FormatInt(n, 10), nil
	case optionInterval:
		if _, err := row.ParseText(row.T(row.Interval), v); err != nil || v == "" {
			return "", bad("Give an interval, such as '5 seconds'.")
		}
		return v, nil
	}
	if o.values != nil {
		low := strings.ToLower(v)
		for _, want := range o.values {
			if low == want {
				return low, nil
			}
		}
		return "", bad("Valid values are \"" + strings.Join(o.values, "\", \"") + "\".")
	}
	if v == "" {
		return "", bad("")
	}
	return v, nil
}

// eventTime checks that the options' event_time names a column with a time.
func eventTime(r *catalog.Relation) error {
	name := r.Options["event_time"]
	if name == "" {
		if r.Options["watermark"] != "" {
			return errs.SQL("22023", "parameter \"watermark\" needs \"event_time\"")
		}
		return nil
	}
	i := columnIndex(r, name)
	if i < 0 {
		return errs.SQL("42703", "column %q named in event_time does not exist", name)
	}
	switch r.Columns[i].Type.OID {
	case row.Timestamp, row.TimestampTZ:
		return nil
	}
	return errs.SQL("42804", "event_time column %q must be type timestamp with time zone or timestamp without time zone, not type %s",
		name, baseName(r.Columns[i].Type))
}

// defText is the value of an option as text; given is false for an option without a value.
func defText(d *pg.DefElem) (v string, given bool) {
	if d.Arg == nil {
		return "", false
	}
	switch x := d.Arg.Node.(type) {
	case *pg.Node_String_:
		return x.String_.Sval, true
	case *pg.Node_Integer:
		return strconv.Itoa(int(x.Integer.Ival)), true
	case *pg.Node_Float:
		return x.Float.Fval, true
	case *pg.Node_Boolean:
		return strconv.FormatBool(x.Boolean.Boolval), true
	case *pg.Node_TypeName: // a bare word
		return lastName(x.TypeName.Names), true
	case *pg.Node_AStar:
		return "*", true
	case *pg.Node_List:
		return strings.Join(names(x.List.Items), ","), true
	case *pg.Node_AConst:
		return constText(x.AConst), true
	}
	return "", true
}

// constText is the text of a constant of the grammar.
func constText(c *pg.A_Const) string {
	switch v := c.Val.(type) {
	case *pg.A_Const_Ival:
		return strconv.Itoa(int(v.Ival.Ival))
	case *pg.A_Const_Fval:
		return v.Fval.Fval
	case *pg.A_Const_Boolval:
		return strconv.FormatBool(v.Boolval.Boolval)
	case *pg.A_Const_Sval:
		return v.Sval.Sval
	case *pg.A_Const_Bsval:
		return v.Bsval.Bsval
	}
	return ""
}

// boolText reads a Boolean option; one without a value is true.
func boolText(v string, given bool) (on, ok bool) {
	if !given {
		return true, true
	}
	switch strings.ToLower(v) {
	case "true", "on", "yes", "1", "t", "y":
		return true, true
	case "false", "off", "no", "0", "f", "n":
		return false, true
	}
	return false, false
}
