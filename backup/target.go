package backup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// Target says up to where a restore goes: exactly one of the three.
type Target struct {
	// Latest is the newest position in the repository.
	Latest bool
	// Time is the last append committed at or before it.
	Time time.Time
	// Offsets is the last append that writes to one of the partitions, before the first that would take any of them over
	// its offset. An append is atomic: it counts by its first offset in the partition.
	Offsets []TargetOffset
}

// TargetOffset names one record.
type TargetOffset struct {
	Topic     string
	Partition int32
	Offset    int64
}

func (t TargetOffset) String() string {
	return fmt.Sprintf("%s/%d=%d", t.Topic, t.Partition, t.Offset)
}

func (t Target) String() string {
	switch {
	case t.Latest:
		return "the newest position"
	case !t.Time.IsZero():
		return t.Time.Format(time.RFC3339Nano)
	}
	texts := make([]string, len(t.Offsets))
	for i := range t.Offsets {
		texts[i] = t.Offsets[i].String()
	}
	return strings.Join(texts, ",")
}

// ParseTarget reads a target from its command line forms: "topic/partition=offset,…", RFC 3339, or latest. Errors:
// Invalid (none, several, or malformed).
func ParseTarget(offset, timestamp string, latest bool) (Target, error) {
	given := 0
	for _, is := range []bool{offset != "", timestamp != "", latest} {
		if is {
			given++
		}
	}
	if given != 1 {
		return Target{}, errs.New(errs.Invalid, "a restore needs one target, %d are given", given).
			WithHint("Give one of --to-latest, --to-offset topic/partition=offset, --to-timestamp 2026-11-22T10:00:00Z.")
	}
	if latest {
		return Target{Latest: true}, nil
	}
	if timestamp != "" {
		t, err := time.Parse(time.RFC3339, timestamp)
		if err != nil {
			return Target{}, errs.New(errs.Invalid, "%.80q is no RFC 3339 time", timestamp).WithHint("Write it like 2026-11-22T10:00:00Z or 2026-11-22T11:00:00.5+01:00.")
		}
		return Target{Time: t}, nil
	}
	var target Target
	for part := range strings.SplitSeq(offset, ",") {
		one, err := parseOffset(strings.TrimSpace(part))
		if err != nil {
			return Target{}, err
		}
		target.Offsets = append(target.Offsets, one)
	}
	return target, nil
}

func parseOffset(text string) (t TargetOffset, err error) {
	place, number, ok := strings.Cut(text, "=")
	slash := strings.LastIndexByte(place, '/')
	if ok && slash > 0 {
		var partition int64
		partition, err = strconv.ParseInt(place[slash+1:], 10, 32)
		if err == nil {
			t = TargetOffset{Topic: place[:slash], Partition: int32(partition)}
			t.Offset, err = strconv.ParseInt(number, 10, 64)
		}
	}
	if !ok || slash <= 0 || err != nil || t.Partition < 0 || t.Offset < 0 {
		return t, errs.New(errs.Invalid, "%.80q is no offset", text).WithHint("Write topic/partition=offset, such as orders/0=1234.")
	}
	return t, nil
}

// plan is a target found in a backup.
type plan struct {
	manifest *Manifest
	blocks   []Block // those that hold the appends up to at
	at       log.Position
	time     time.Time
}

func (p *plan) appends() uint64 {
	if p.at.IsZero() {
		return 0
	}
	return p.at.Sequence - p.manifest.From.Sequence + 1
}

func (p *plan) bytes() (raw int64) {
	for i := range p.blocks {
		raw += p.blocks[i].Raw
	}
	return raw
}

// planTo finds the newest backup that reaches the target, or asks only the named one. Errors: NotFound (no backup
// reaches it, or it is before the beginning), Corrupt (a damaged manifest stands in the way).
func planTo(ctx context.Context, s Store, id string, target Target, progress func(done, total int64)) (*plan, error) {
	whole, damaged, err := readManifests(ctx, s)
	if err != nil {
		return nil, err
	}
	if id != "" {
		whole = slices.DeleteFunc(whole, func(m *Manifest) bool { return m.ID != id })
		damaged = slices.DeleteFunc(damaged, func(d damagedManifest) bool { return d.id != id })
	}
	if len(whole) == 0 {
		if len(damaged) > 0 {
			return nil, damageOf(damaged)
		}
		if id != "" {
			return nil, errs.New(errs.NotFound, "there is no backup %s in %s", id, s.URL())
		}
		return nil, errs.New(errs.NotFound, "there are no backups in %s", s.URL()).WithHint("Check the address of the repository.")
	}
	slices.SortStableFunc(whole, func(a, b *Manifest) int { return b.To.Compare(a.To.Position) })
	var first error
	lists := newBlockLists(s)
	for _, m := range whole {
		p, err := m.plan(ctx, lists, target, progress)
		if errs.Is(err, errs.NotFound) {
			first = cmp.Or(first, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		return p, newerDamage(damaged, m.ID)
	}
	if err := damageOf(damaged); err != nil {
		return nil, err
	}
	return nil, first
}

// newerDamage refuses a backup when one that was made after it cannot be read: that one may reach further.
func newerDamage(damaged []damagedManifest, id string) error {
	damaged = slices.DeleteFunc(slices.Clone(damaged), func(d damagedManifest) bool { return d.id < id })
	if err := damageOf(damaged); err != nil {
		return errs.New(errs.KindOf(err), "%w", err).WithHint("Name the whole backup %s to restore from it all the same.", id)
	}
	return nil
}

func (m *Manifest) plan(ctx context.Context, lists *blockLists, target Target, progress func(done, total int64)) (*plan, error) {
	p := &plan{manifest: m}
	var err error
	if p.blocks, err = lists.all(ctx, m); err != nil {
		return nil, errs.New(errs.KindOf(err), "backup %s: %w", m.ID, err)
	}
	switch {
	case target.Latest:
		p.at, p.time = m.To.Position, m.ToTime
	case len(target.Offsets) > 0:
		err = p.findOffsets(ctx, lists.store, target.Offsets, progress)
	default:
		err = p.findTime(ctx, lists.store, target.Time)
	}
	if err != nil {
		return nil, err
	}
	n, _ := slices.BinarySearchFunc(p.blocks, p.at, func(b Block, at log.Position) int {
		if b.First.Compare(at) <= 0 {
			return -1
		}
		return 1
	})
	p.blocks = p.blocks[:n]
	return p, nil
}

// findTime finds the last append at or before t.
func (p *plan) findTime(ctx context.Context, s Store, t time.Time) error {
	m := p.manifest
	switch {
	case t.After(m.Covered):
		return errs.New(errs.NotFound, "the repository reaches %s, the target is %s", m.Covered.Format(time.RFC3339Nano), t.Format(time.RFC3339Nano)).
			WithHint("Restore to the newest position, or make a newer backup.")
	case len(p.blocks) == 0 || t.Before(m.FromTime):
		return errs.New(errs.NotFound, "the history in the repository begins at %s, the target is %s", m.FromTime.Format(time.RFC3339Nano), t.Format(time.RFC3339Nano))
	}
	n, _ := slices.BinarySearchFunc(p.blocks, t, func(b Block, t time.Time) int {
		if b.FirstTime.After(t) {
			return 1
		}
		return -1
	})
	b := &p.blocks[n-1]
	raw, err := fetch(ctx, s, b)
	if err != nil {
		return err
	}
	return b.visit(raw, func(it item) error {
		if !it.entry.Time.After(t) {
			p.at, p.time = it.entry.Position, it.entry.Time
		}
		return nil
	})
}

// findOffsets reads the history until one of the partitions would pass its offset.
func (p *plan) findOffsets(ctx context.Context, s Store, targets []TargetOffset, progress func(done, total int64)) error {
	m := p.manifest
	limits := map[log.Partition]int64{}
	for _, t := range targets {
		partition, err := m.partition(t)
		if err != nil {
			return err
		}
		if old, twice := limits[partition]; !twice || t.Offset < old {
			limits[partition] = t.Offset
		}
	}
	done := int64(0)
	for e, err := range entries(ctx, s, p.blocks, func(b *Block) { done += b.Raw; progress(done, m.Raw) }) {
		if err != nil {
			return err
		}
		names := false
		for i := range e.Batches {
			most, named := limits[e.Batches[i].Partition]
			if named && e.Batches[i].BaseOffset > most {
				return nil
			}
			names = names || named
		}
		if names {
			p.at, p.time = e.Position, e.Time
		}
	}
	return nil
}

// partition finds the partition that holds the record: of the newest topic of that name which does.
func (m *Manifest) partition(t TargetOffset) (log.Partition, error) {
	err := errs.New(errs.NotFound, "backup %s has no topic %s", m.ID, t.Topic)
	for i := range slices.Backward(m.Topics) {
		topic := &m.Topics[i]
		if topic.Name != t.Topic {
			continue
		}
		if int(t.Partition) >= len(topic.Partitions) {
			err = errs.New(errs.NotFound, "topic %s has %d partitions in backup %s", t.Topic, len(topic.Partitions), m.ID)
			continue
		}
		r := topic.Partitions[t.Partition]
		if t.Offset >= r.Start && t.Offset < r.End {
			id, err := parseTopicID(topic.ID)
			return log.Partition{Topic: id, Index: t.Partition}, err
		}
		err = errs.New(errs.NotFound, "backup %s holds offsets %d to %d of %s partition %d, the target is %d", m.ID, r.Start, r.End-1, t.Topic, t.Partition, t.Offset)
		if r.Start == r.End {
			err = errs.New(errs.NotFound, "%s partition %d is empty in backup %s", t.Topic, t.Partition, m.ID)
		}
	}
	return log.Partition{}, err
}
