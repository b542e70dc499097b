package plan

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
)

// set checks SET and RESET.
func (a *analyzer) set(n *pg.VariableSetStmt) (Statement, error) {
	s := &Set{Name: n.Name, Local: n.IsLocal}
	switch n.Kind {
	case pg.VariableSetKind_VAR_SET_VALUE:
		var err error
		s.Value, err = a.settingValue(n)
		return s, err
	case pg.VariableSetKind_VAR_SET_DEFAULT, pg.VariableSetKind_VAR_RESET:
		s.Default, s.Reset = true, n.Kind == pg.VariableSetKind_VAR_RESET
		return s, nil
	case pg.VariableSetKind_VAR_RESET_ALL:
		return &Set{Default: true, Reset: true}, nil
	case pg.VariableSetKind_VAR_SET_CURRENT:
		return nil, errs.SQL("0A000", "SET ... FROM CURRENT is not supported")
	}
	prefix := ""
	switch n.Name {
	case "TRANSACTION":
	case "SESSION CHARACTERISTICS":
		prefix = "default_"
	default:
		return nil, errs.SQL("0A000", "SET %s is not supported", n.Name)
	}
	modes, err := a.modes(n.Args)
	if err != nil {
		return nil, err
	}
	return modes.settings(prefix), nil
}

// settings are the modes as settings of the transaction, or with the prefix "default_" of the session.
func (m transactionModes) settings(prefix string) Statement {
	var out *Set
	if m.readOnly != nil {
		value := "off"
		if *m.readOnly {
			value = "on"
		}
		out = &Set{Name: prefix + "transaction_read_only", Value: value, Local: prefix == ""}
	}
	if m.isolation != "" {
		out = &Set{Name: prefix + "transaction_isolation", Value: m.isolation, Local: prefix == "", Next: out}
	}
	if out == nil { // [NOT] DEFERRABLE alone
		return &Utility{"SET"}
	}
	return out
}

// lists are the settings that take several values; those of names are quoted.
var lists = map[string]bool{"search_path": true, "datestyle": false, "temp_tablespaces": true, "session_preload_libraries": true,
	"local_preload_libraries": true}

// settingValue joins the values of SET (flatten_set_variable_args).
func (a *analyzer) settingValue(n *pg.VariableSetStmt) (string, error) {
	quoted, isList := lists[strings.ToLower(n.Name)]
	if len(n.Args) > 1 && !isList {
		return "", errs.SQL("22023", "SET %s takes only one argument", n.Name)
	}
	parts := make([]string, len(n.Args))
	for i, arg := range n.Args {
		cast := arg.GetTypeCast()
		if cast != nil { // SET TIME ZONE INTERVAL '...'
			arg = cast.Arg
		}
		c := arg.GetAConst()
		if c == nil {
			return "", errs.SQL("0A000", "this value of %q is not supported", n.Name)
		}
		parts[i] = constText(c)
		if quoted {
			parts[i] = quoteName(parts[i])
		}
	}
	return strings.Join(parts, ", "), nil
}

// explainOptions are EXPLAIN's Boolean options.
var explainOptions = map[string]bool{"analyze": true, "verbose": true, "costs": true, "buffers": true, "settings": true,
	"wal": true, "timing": true, "summary": true, "generic_plan": true}

// explain checks EXPLAIN.
func (a *analyzer) explain(n *pg.ExplainStmt) (Statement, error) {
	out := &Explain{Options: map[string]string{}}
	for _, o := range n.Options {
		d := o.GetDefElem()
		v, given := defText(d)
		if d.Defname == "format" {
			switch v {
			case "text":
			case "json", "xml", "yaml":
				return nil, errs.SQL("0A000", "EXPLAIN format %q is not supported", v).At(a.pos(d.Location))
			default:
				return nil, errs.SQL("22023", "unrecognized value for EXPLAIN option %q: %q", d.Defname, v).At(a.pos(d.Location))
			}
		} else if !explainOptions[d.Defname] {
			return nil, errs.SQL("42601", "unrecognized EXPLAIN option %q", d.Defname).At(a.pos(d.Location))
		} else {
			on, ok := boolText(v, given)
			if !ok {
				return nil, errs.SQL("42601", "%s requires a Boolean value", d.Defname)
			}
			v = "off"
			if on {
				v = "on"
			}
		}
		out.Options[d.Defname] = v
	}
	out.Analyze = out.Options["analyze"] == "on"
	for _, name := range []string{"wal", "timing"} {
		if out.Options[name] == "on" && !out.Analyze {
			return nil, errs.SQL("22023", "EXPLAIN option %s requires ANALYZE", strings.ToUpper(name))
		}
	}
	var err error
	out.Statement, err = a.statement(n.Query)
	return out, err
}

// prepare checks PREPARE; the statement is analyzed from its text when it is kept.
func (a *analyzer) prepare(n *pg.PrepareStmt) (Statement, error) {
	out := &Prepare{Name: n.Name}
	for _, t := range n.Argtypes {
		typ, err := a.typeName(t.GetTypeName())
		if err != nil {
			return nil, err
		}
		out.Types = append(out.Types, typ)
	}
	from, _, err := a.queryBounds()
	if err != nil {
		return nil, err
	}
	out.Text = strings.TrimSpace(a.st.Source[from:a.st.End])
	return out, nil
}

// execute checks EXECUTE. Untyped arguments stay so: they take the types of the statement's parameters.
func (a *analyzer) execute(n *pg.ExecuteStmt) (Statement, error) {
	out := &Execute{Name: n.Name}
	for _, p := range n.Params {
		e, err := a.expression(nil, p, inExecute)
		if err != nil {
			return nil, err
		}
		out.Args = append(out.Args, e)
	}
	return out, nil
}

// discard checks DISCARD.
func (a *analyzer) discard(n *pg.DiscardStmt) (Statement, error) {
	word := map[pg.DiscardMode]string{pg.DiscardMode_DISCARD_ALL: "ALL", pg.DiscardMode_DISCARD_PLANS: "PLANS",
		pg.DiscardMode_DISCARD_SEQUENCES: "SEQUENCES", pg.DiscardMode_DISCARD_TEMP: "TEMP"}[n.Target]
	return &Discard{word}, nil
}
