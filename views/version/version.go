package version

import (
	"errors"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/log"
	"github.com/miracledb/miracledb/views/catalog"
	"github.com/miracledb/miracledb/views/columnar"
	"github.com/miracledb/miracledb/views/heap"
)

// Version is everything a statement may read at one Position (DESIGN section 7, Versions).
type Version struct {
	At       log.Position
	Catalog  *catalog.Snapshot
	Tables   *heap.Snapshot
	Views    *heap.Snapshot
	Columnar *columnar.Snapshot
	// Changed is the Position of each view's last change, so that what was made of its rows can be kept until then.
	Changed map[delta.RelationID]log.Position
	// Broken says why a view has stopped following; nil: none has.
	Broken map[delta.RelationID]error
}

// Position is where the version stands.
func (v *Version) Position() log.Position { return v.At }

// Close lets go of the snapshots.
func (v *Version) Close() error {
	return errors.Join(v.Tables.Close(), v.Views.Close(), v.Columnar.Close())
}
