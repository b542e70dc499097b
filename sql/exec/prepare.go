package exec

import (
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/sql/expr"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// Prepared is a compiled plan; it may be run by many sessions at once.
type Prepared struct {
	root     operator
	point    *pointPlan
	subplans map[expr.Subplan]*subplan
	columns  []plan.Column
	reads    []*Read
}

// Read is one place where a plan reads a relation. Few says that it looks at few rows whatever the relation's size: by key,
// by equality on an index, or the first rows in a key's order.
type Read struct {
	Relation *catalog.Relation
	Few      bool
}

// Reads are the places where the plan, subqueries included, reads relations.
func (p *Prepared) Reads() []*Read { return p.reads }

// Columns are the columns of the result.
func (p *Prepared) Columns() []plan.Column { return p.columns }

// subplan is the compiled query of an expr.Subquery.
type subplan struct {
	op operator
	// once is set for a query without outer columns or volatile functions: its rows are computed once and kept.
	once bool
}

// compiler compiles one statement.
type compiler struct {
	subplans map[expr.Subplan]*subplan
	reads    []*Read
}

// Prepare compiles a plan. Errors: 0A000 for what the row executor cannot run.
func Prepare(node plan.Node) (*Prepared, error) {
	c := &compiler{subplans: map[expr.Subplan]*subplan{}}
	p := &Prepared{subplans: c.subplans, columns: node.Columns()}
	var err error
	if p.point, err = c.pointPlan(node); err != nil {
		return nil, err
	}
	if p.point == nil {
		p.root, err = c.compile(node)
	}
	p.reads = c.reads
	return p, err
}

// compile compiles a node.
func (c *compiler) compile(node plan.Node) (operator, error) {
	switch n := node.(type) {
	case *plan.Scan:
		return c.scan(n, nil, nil)
	case *plan.Values:
		return c.values(n)
	case *plan.Function:
		return c.function(n)
	case *plan.ProjectSet:
		return c.projectSet(n)
	case *plan.Filter:
		return c.filter(n)
	case *plan.Project:
		return c.project(n)
	case *plan.Join:
		return c.join(n)
	case *plan.Aggregate:
		return c.aggregate(n)
	case *plan.Window:
		return c.window(n)
	case *plan.Sort:
		return c.sort(n)
	case *plan.Limit:
		return c.limit(n)
	case *plan.Distinct:
		return c.distinct(n)
	case *plan.SetOperation:
		return c.setOperation(n)
	case *plan.With:
		return c.with(n)
	case *plan.CTEScan:
		return &cteScan{n.Binding}, nil
	}
	return nil, errs.SQL("0A000", "the row executor cannot run a plan of kind %T", node)
}

// expr compiles an expression and the queries inside it.
func (c *compiler) expr(e expr.Expr) (expr.Evaluator, error) {
	if err := c.subqueries(e); err != nil {
		return nil, err
	}
	return expr.Compile(e)
}

func (c *compiler) exprs(list []expr.Expr) ([]expr.Evaluator, error) {
	out := make([]expr.Evaluator, len(list))
	for i, e := range list {
		var err error
		if out[i], err = c.expr(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// predicate compiles a condition; nil is always true.
func (c *compiler) predicate(e expr.Expr) (expr.Predicate, error) {
	if e == nil {
		return nil, nil
	}
	if err := c.subqueries(e); err != nil {
		return nil, err
	}
	return expr.CompilePredicate(e)
}

func (c *compiler) subqueries(e expr.Expr) error {
	return walk(e, func(e expr.Expr) error {
		s, ok := e.(*expr.Subquery)
		if !ok {
			return nil
		}
		node, ok := s.Plan.(plan.Node)
		if !ok {
			return errs.SQL("0A000", "a subquery of kind %T cannot be run", s.Plan)
		}
		if _, ok := c.subplans[s.Plan]; ok {
			return nil
		}
		if s.Kind == expr.Exists {
			node = withoutOrder(node)
		}
		op, err := c.compile(node)
		if err != nil {
			return err
		}
		c.subplans[s.Plan] = &subplan{op: op, once: !s.Correlated && !volatile(node) && !recursing(node)}
		return nil
	})
}

// withoutOrder drops a sort that EXISTS does not see.
func withoutOrder(n plan.Node) plan.Node {
	if s, ok := n.(*plan.Sort); ok {
		return s.Input
	}
	return n
}

// walk visits e and what is below it, without going into the plans of subqueries.
func walk(e expr.Expr, visit func(expr.Expr) error) error {
	if e == nil {
		return nil
	}
	if err := visit(e); err != nil {
		return err
	}
	for _, child := range expr.Children(e) {
		if err := walk(child, visit); err != nil {
			return err
		}
	}
	return nil
}

// volatile reports whether a plan calls a volatile function, or locks or changes rows: then it runs each time.
func volatile(n plan.Node) bool {
	found := false
	visitPlan(n, func(n plan.Node, list []expr.Expr) {
		for _, e := range list {
			walk(e, func(e expr.Expr) error {
				if call, ok := e.(*expr.Call); ok && call.Func.Volat == expr.Volatile {
					found = true
				}
				if s, ok := e.(*expr.Subquery); ok {
					if inner, ok := s.Plan.(plan.Node); ok && volatile(inner) {
						found = true
					}
				}
				return nil
			})
		}
	})
	return found
}

// recursing reports whether a plan reads a recursive binding: its working table changes from round to round.
func recursing(n plan.Node) bool {
	found := false
	visitPlan(n, func(n plan.Node, _ []expr.Expr) {
		if s, ok := n.(*plan.CTEScan); ok && s.Binding.Recursive != nil {
			found = true
		}
	})
	return found
}

// visitPlan visits a plan's nodes with their expressions.
func visitPlan(n plan.Node, visit func(plan.Node, []expr.Expr)) {
	visit(n, nodeExprs(n))
	for _, in := range n.Inputs() {
		visitPlan(in, visit)
	}
	if w, ok := n.(*plan.With); ok {
		for _, b := range w.Bindings {
			for _, q := range []plan.Node{b.Query, b.Recursive} {
				if q != nil {
					visitPlan(q, visit)
				}
			}
		}
	}
}

func nodeExprs(n plan.Node) []expr.Expr {
	var out []expr.Expr
	switch n := n.(type) {
	case *plan.Values:
		for _, r := range n.Rows {
			out = append(out, r...)
		}
	case *plan.Function:
		out = n.Calls
	case *plan.ProjectSet:
		out = n.Exprs
	case *plan.Filter:
		out = []expr.Expr{n.Cond}
	case *plan.Project:
		out = n.Exprs
	case *plan.Join:
		out = append(append(append(out, n.LeftKeys...), n.RightKeys...), n.Cond)
	case *plan.Aggregate:
		out = append(out, n.Groups...)
		for _, call := range n.Calls {
			out = append(append(append(out, call.Args...), call.Direct...), call.Filter)
			out = append(out, sortExprs(call.OrderBy)...)
		}
	case *plan.Window:
		for _, call := range n.Calls {
			out = append(append(append(out, call.Args...), call.PartitionBy...), call.Filter, call.Frame.Start.Offset, call.Frame.End.Offset)
			out = append(out, sortExprs(call.OrderBy)...)
		}
	case *plan.Sort:
		out = sortExprs(n.Keys)
	case *plan.Limit:
		out = append(sortExprs(n.Keys), n.Count, n.Offset)
	case *plan.Distinct:
		out = n.On
	}
	return out
}

func sortExprs(keys []plan.SortKey) []expr.Expr {
	out := make([]expr.Expr, len(keys))
	for i, k := range keys {
		out[i] = k.Expr
	}
	return out
}

// subplanRows are the kept rows of a subplan that runs once.
type subplanRows struct {
	rows []row.Row
	mem  reservation
}

// runSubplan is expr.Ctx.Run.
func (s *shared) runSubplan(ectx *expr.Ctx, p expr.Subplan, emit func(row.Row) (bool, error)) error {
	sub, ok := s.plans[p]
	if !ok {
		return errs.SQL("XX000", "a subquery was not prepared")
	}
	x := &execution{shared: s, ectx: ectx}
	if sub.once {
		kept := s.results[sub]
		if kept == nil {
			kept = &subplanRows{mem: reservation{s: s}}
			var err error
			if kept.rows, err = drain(x, sub.op, &kept.mem); err != nil {
				return err
			}
			if s.results == nil {
				s.results = map[*subplan]*subplanRows{}
			}
			s.results[sub] = kept
		}
		for _, r := range kept.rows {
			if more, err := emit(r); err != nil || !more {
				return err
			}
		}
		return nil
	}
	c, err := sub.op.open(x)
	if err != nil {
		return err
	}
	defer c.close()
	for {
		rows, err := c.next()
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			if more, err := emit(r); err != nil || !more {
				return err
			}
		}
	}
}
