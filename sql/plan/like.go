package plan

import (
	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/views/catalog"
)

// The options of LIKE (TableLikeOption).
const (
	likeComments    = 1 << 0
	likeConstraints = 1 << 2
	likeDefaults    = 1 << 3
	likeIndexes     = 1 << 6
)

// likeCheck is a CHECK that LIKE copies.
type likeCheck struct{ name, text string }

// like copies the columns of another relation, and what INCLUDING names.
func (d *definition) like(n *pg.TableLikeClause) error {
	src, err := d.a.relation(n.Relation)
	if err != nil {
		return err
	}
	base := len(d.rel.Columns)
	shown := map[int]int{} // the source's column to ours
	for i, c := range src.Columns {
		if c.Hidden {
			continue
		}
		if err := d.freeColumn(c.Name); err != nil {
			return err
		}
		shown[i] = base + len(shown)
		if n.Options&likeDefaults == 0 {
			c.Default, c.Const = "", nil
		}
		if n.Options&likeComments == 0 {
			c.Comment = ""
		}
		d.rel.Columns = append(d.rel.Columns, c)
	}
	if n.Options&likeConstraints != 0 {
		for _, c := range src.Checks {
			d.likes = append(d.likes, likeCheck{c.Name, c.Expr})
		}
	}
	if n.Options&likeIndexes != 0 {
		return d.likeKeys(src, n)
	}
	return nil
}

// likeKeys copies the keys and unique indexes; plain indexes too, under new names.
func (d *definition) likeKeys(src *catalog.Relation, n *pg.TableLikeClause) error {
	columnsOf := func(at []int) []string {
		out := make([]string, len(at))
		for i, x := range at {
			out[i] = src.Columns[x].Name
		}
		return out
	}
	if d.rel.Kind == catalog.Stream && (len(src.Indexes) > 0 || src.Keyed() && !hiddenKey(src)) {
		return errs.SQL("0A000", "a stream has no indexes").At(d.a.pos(n.Relation.Location)).WithHint("Leave out INCLUDING INDEXES.")
	}
	if src.Kind == catalog.Table && src.Keyed() && !hiddenKey(src) {
		k := keyDefinition{primary: true, columns: columnsOf(src.Key), loc: n.Relation.Location}
		for _, have := range d.keys {
			if have.primary {
				return d.secondKey(k)
			}
		}
		d.keys = append(d.keys, k)
	}
	for _, x := range src.Indexes {
		d.keys = append(d.keys, keyDefinition{columns: columnsOf(x.Columns), loc: n.Relation.Location, plain: !x.Constraint, unique: x.Unique})
	}
	return nil
}
