package session

import (
	"context"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/row"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/log/record"
	"github.com/miracledb/miracledb/sql/ivm"
	"github.com/miracledb/miracledb/sql/parse"
	"github.com/miracledb/miracledb/sql/plan"
	"github.com/miracledb/miracledb/views/catalog"
)

// CompileView compiles a materialized view's query against a catalog.
func CompileView(rel *catalog.Relation, snap *catalog.Snapshot, query ivm.Query) (*ivm.Program, error) {
	list, err := parse.Parse(rel.Query)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return nil, errs.New(errs.Corrupt, "the query of view %q is %d statements", rel.Name, len(list))
	}
	st, _, err := plan.Analyze(list[0], plan.Options{Catalog: snap, SearchPath: []string{"public"}})
	if err != nil {
		return nil, err
	}
	sel, ok := st.(*plan.Select)
	if !ok {
		return nil, errs.New(errs.Corrupt, "the query of view %q is a %s", rel.Name, st.Tag())
	}
	return ivm.Compile(plan.Optimize(sel.Query), ivm.Options{View: rel.ID, Recompute: query})
}

// viewKey finds the columns that name a view's rows.
func viewKey(query plan.Node) ([]int, error) {
	// Only the shape is asked for here: the query itself is never run by this program.
	p, err := ivm.Compile(plan.Optimize(query), ivm.Options{Recompute: func(context.Context, plan.Node, log.Position, func(row.Row) error) error {
		return errs.New(errs.Internal, "a view's program was run that was compiled for its shape")
	}})
	if err != nil {
		return nil, err
	}
	return p.Key, nil
}

// TimeTopic carries time into the log (DESIGN section 9). Each start of the server is its first event.
const TimeTopic = "__time"

// Start waits until recovery has reached the log's end, and marks the start in the log: from then on there is a version
// to read, even of an empty database.
func (d *Database) Start(ctx context.Context) error {
	if err := d.o.Applied(ctx, d.o.Log.End()); err != nil {
		return err
	}
	t, ok := d.o.Log.Topic(TimeTopic)
	if !ok {
		var err error
		if t, err = d.CreateTopic(ctx, TimeTopic, 1, nil); err != nil {
			return err
		}
	}
	now := d.o.Clock.Now()
	var b record.Builder
	b.Add(now.UnixMilli(), []byte("start"), []byte(now.UTC().Format("2006-01-02T15:04:05.999999Z07:00")))
	batch, err := b.Build()
	if err != nil {
		return err
	}
	a, err := log.Commit(ctx, d.o.Log, log.Append{Batches: []log.PartitionBatch{{Partition: log.Partition{Topic: t.ID}, Batch: batch}}})
	if err != nil {
		return err
	}
	held, err := d.o.Versions.Acquire(ctx, a.Position)
	if err != nil {
		return err
	}
	return held.Release()
}
