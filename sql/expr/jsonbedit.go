package expr

import (
	"strconv"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
)

// jsonbConcat is ||.
func jsonbConcat(a, b row.Value) (row.Value, error) {
	ka, kb := jsonbKind(a.Str()), jsonbKind(b.Str())
	if ka == "object" && kb == "object" {
		return jsonb(joinMembers(append(jsonMembers(a.Str()), jsonMembers(b.Str())...), true))
	}
	list := func(s, kind string) []jsonMember {
		if kind == "array" {
			return jsonMembers(s)
		}
		return []jsonMember{{value: s}}
	}
	return row.NewText(joinMembers(append(list(a.Str(), ka), list(b.Str(), kb)...), false)), nil
}

func jsonbWithout(s string, drop func(m jsonMember) bool) row.Value {
	var kept []jsonMember
	for _, m := range jsonMembers(s) {
		if !drop(m) {
			kept = append(kept, m)
		}
	}
	return row.NewText(joinMembers(kept, jsonbKind(s) == "object"))
}

func jsonbDeleteKey(a, b row.Value) (row.Value, error) {
	return jsonbDeleteKeys(a, row.NewList([]row.Value{b}))
}

func jsonbDeleteKeys(a, b row.Value) (row.Value, error) {
	kind := jsonbKind(a.Str())
	if kind != "object" && kind != "array" {
		return row.Null, errs.SQL("22023", "cannot delete from scalar")
	}
	return jsonbWithout(a.Str(), func(m jsonMember) bool {
		for _, k := range b.List() {
			if kind == "object" && m.key == k.Str() || kind == "array" && m.value[0] == '"' && jsonUnquote(m.value) == k.Str() {
				return true
			}
		}
		return false
	}), nil
}

func jsonbDeleteIndex(a, b row.Value) (row.Value, error) {
	switch jsonbKind(a.Str()) {
	case "array":
	case "object":
		return row.Null, errs.SQL("22023", "cannot delete from object using integer index")
	default:
		return row.Null, errs.SQL("22023", "cannot delete from scalar")
	}
	list := jsonMembers(a.Str())
	n := b.Int()
	if n < 0 {
		n += int64(len(list))
	}
	if n < 0 || n >= int64(len(list)) {
		return a, nil
	}
	return row.NewText(joinMembers(append(list[:n:n], list[n+1:]...), false)), nil
}

func jsonbDeletePath(a, b row.Value) (row.Value, error) {
	if kind := jsonbKind(a.Str()); kind != "object" && kind != "array" {
		return row.Null, errs.SQL("22023", "cannot delete path in scalar")
	}
	s, err := jsonbEdit(a.Str(), b.List(), func(string, bool) (string, editAction) { return "", editDelete }, false, 1)
	return row.NewText(s), err
}

type editAction uint8

const (
	editKeep editAction = iota
	editReplace
	editDelete
	editBefore
	editAfter
)

// jsonbEdit changes the member at path; edit gets its text and whether it exists.
func jsonbEdit(s string, path []row.Value, edit func(old string, exists bool) (string, editAction), create bool, depth int) (string, error) {
	if len(path) == 0 {
		return s, nil
	}
	step := path[0]
	if step.IsNull() {
		return "", errs.SQL("22004", "path element at position %d is null", depth)
	}
	kind := jsonbKind(s)
	if kind != "object" && kind != "array" {
		return s, nil
	}
	list := jsonMembers(s)
	if kind == "array" && len(list) == 0 && !create {
		return s, nil
	}
	at, fresh := -1, jsonMember{}
	if kind == "object" {
		fresh.key = step.Str()
		for i, m := range list {
			if m.key == step.Str() {
				at = i
			}
		}
	} else {
		n, err := strconv.ParseInt(step.Str(), 10, 32)
		if err != nil {
			return "", errs.SQL("22P02", "path element at position %d is not an integer: \"%s\"", depth, step.Str())
		}
		if n < 0 {
			n += int64(len(list))
		}
		switch {
		case n >= 0 && n < int64(len(list)):
			at = int(n)
		case n < 0:
			at = -2
		}
	}
	if len(path) > 1 {
		if at < 0 {
			return s, nil
		}
		inner, err := jsonbEdit(list[at].value, path[1:], edit, create, depth+1)
		if err != nil {
			return "", err
		}
		list[at].value = inner
		return joinMembers(list, kind == "object"), nil
	}
	old := ""
	if at >= 0 {
		old = list[at].value
	}
	value, action := edit(old, at >= 0)
	m := jsonMember{fresh.key, value}
	insert := func(i int) {
		list = append(list, jsonMember{})
		copy(list[i+1:], list[i:])
		list[i] = m
	}
	switch {
	case action == editKeep:
	case at >= 0 && action == editDelete:
		list = append(list[:at], list[at+1:]...)
	case at >= 0 && action == editReplace:
		list[at].value = value
	case at >= 0 && action == editBefore:
		insert(at)
	case at >= 0:
		insert(at + 1)
	case action == editDelete:
	case at == -2:
		insert(0)
	default:
		list = append(list, m)
	}
	if kind == "object" {
		return row.NormalizeJSONB(joinMembers(list, true))
	}
	return joinMembers(list, false), nil
}

func jsonbSet(args []row.Value) (row.Value, error) {
	create := len(args) < 4 || args[3].Bool()
	if kind := jsonbKind(args[0].Str()); kind != "object" && kind != "array" {
		return row.Null, errs.SQL("22023", "cannot set path in scalar")
	}
	s, err := jsonbEdit(args[0].Str(), args[1].List(), func(_ string, exists bool) (string, editAction) {
		if !exists && !create {
			return "", editKeep
		}
		return args[2].Str(), editReplace
	}, create, 1)
	return row.NewText(s), err
}

func jsonbInsert(args []row.Value) (row.Value, error) {
	after := len(args) > 3 && args[3].Bool()
	if kind := jsonbKind(args[0].Str()); kind != "object" && kind != "array" {
		return row.Null, errs.SQL("22023", "cannot set path in scalar")
	}
	object := false
	s, err := jsonbEdit(args[0].Str(), args[1].List(), func(old string, exists bool) (string, editAction) {
		object = exists
		if after {
			return args[2].Str(), editAfter
		}
		return args[2].Str(), editBefore
	}, true, 1)
	if err == nil && object {
		parent, _ := jsonWalk(args[0].Str(), args[1].List()[:len(args[1].List())-1], false)
		if jsonbKind(parent.Str()) == "object" {
			return row.Null, errs.SQL("22023", "cannot replace existing key").
				WithHint("Try using the function jsonb_set to replace key value.")
		}
	}
	return row.NewText(s), err
}

// stripNulls drops object members that are null, at every depth.
func stripNulls(s string) string {
	kind := jsonbKind(s)
	if kind != "object" && kind != "array" {
		return strings.Trim(s, " \t\r\n")
	}
	var kept []jsonMember
	for _, m := range jsonMembers(s) {
		if kind == "object" && m.value == "null" {
			continue
		}
		kept = append(kept, jsonMember{m.key, stripNulls(m.value)})
	}
	return joinMembers(kept, kind == "object")
}
