package backup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/miracledb/miracledb/internal/delta"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/log"
)

const (
	manifestFormat = 1
	manifestFolder = "manifests/"
	manifestSuffix = ".json"
	// maxManifest bounds one manifest or list: some ten thousand lists, and a million partitions.
	maxManifest = int64(256 * limit.MiB)
)

// Position is a log.Position that is written "epoch/sequence" in JSON.
type Position struct{ log.Position }

// MarshalText: see Position.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText: see Position. Errors: Invalid.
func (p *Position) UnmarshalText(b []byte) (err error) {
	p.Position, err = delta.ParsePosition(string(b))
	return err
}

// Manifest describes one backup: the state of the log at To. It needs no other manifest.
type Manifest struct {
	Summary

	Topics []Topic `json:"topics"`
	// Properties are the cluster's own values (users, ACLs, quotas) when the backup was made, whatever place it is restored to.
	Properties map[string][]byte `json:"properties,omitempty"`
	// Lists and then Blocks are the blocks in order. Backups share lists, so a manifest stays small.
	Lists  []BlockList `json:"lists,omitempty"`
	Blocks []Block     `json:"blocks"`
}

// Summary is what people are told of a backup.
type Summary struct {
	ID        string    `json:"id"` // ids sort by time of creation
	ClusterID string    `json:"cluster_id"`
	Tool      string    `json:"tool"` // the program that wrote it
	Created   time.Time `json:"created"`
	// Previous is the backup whose blocks this one took over; empty: a full one.
	Previous string `json:"previous,omitempty"`

	// From and To are the first and last append held, Prior the one before To. All are zero when the log was empty.
	From  Position `json:"from"`
	Prior Position `json:"prior"`
	To    Position `json:"to"`
	// FromTime and ToTime are their commit times. Covered is until when the backup knows the log: no append after To
	// was durable then.
	FromTime time.Time `json:"from_time"`
	ToTime   time.Time `json:"to_time"`
	Covered  time.Time `json:"covered"`

	Appends uint64 `json:"appends"`
	// Raw and Stored are the bytes of all blocks before and after compression.
	Raw    int64 `json:"raw"`
	Stored int64 `json:"stored"`
	// NewBlocks and NewBytes are what this backup wrote to the repository.
	NewBlocks int   `json:"new_blocks"`
	NewBytes  int64 `json:"new_bytes"`
}

// Topic is one incarnation of a topic at the end of a backup.
type Topic struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Dropped is the append that removed it; nil while it lives.
	Dropped    *Position `json:"dropped,omitempty"`
	Partitions []Range   `json:"partitions"`
}

// Range are the offsets [Start, End) of a partition.
type Range struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
}

// envelope is a manifest's file: the checksum covers the bytes of Manifest as they stand.
type envelope struct {
	Format   int             `json:"format"`
	SHA256   string          `json:"sha256"`
	Manifest json.RawMessage `json:"manifest"`
}

func encodeManifest(m *Manifest) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	out, err := json.Marshal(envelope{manifestFormat, hexSum(body), body})
	return append(out, '\n'), err
}

// decodeManifest reads and checks a manifest's file. Errors: Corrupt, Unsupported (a newer format).
func decodeManifest(data []byte) (*Manifest, error) {
	var env envelope
	if err := json.Unmarshal(data, &env); err != nil {
		return nil, errs.New(errs.Corrupt, "no manifest: %w", err)
	}
	if env.Format > manifestFormat {
		return nil, errs.New(errs.Unsupported, "format %d, this program reads up to %d", env.Format, manifestFormat).
			WithHint("Use a newer miracledb.")
	}
	if env.Format < 1 {
		return nil, errs.New(errs.Corrupt, "format %d", env.Format)
	}
	// The decoder keeps a raw value's bytes, but not the space around it; neither does the encoder write any.
	if sum := hexSum(env.Manifest); sum != env.SHA256 {
		return nil, errs.New(errs.Corrupt, "its SHA-256 is %s, want %.80q", sum, env.SHA256)
	}
	m := &Manifest{}
	if err := json.Unmarshal(env.Manifest, m); err != nil {
		return nil, errs.New(errs.Corrupt, "no manifest: %w", err)
	}
	return m, m.validate()
}

// validate checks what everything else relies on: the blocks follow each other from From to To.
func (m *Manifest) validate() error {
	spans := make([]span, 0, len(m.Lists)+len(m.Blocks))
	for i := range m.Lists {
		l := &m.Lists[i]
		if err := validDigest(l.SHA256); err != nil {
			return err
		}
		spans = append(spans, span{l.First, l.Last})
	}
	for i := range m.Blocks {
		b := &m.Blocks[i]
		if err := b.validate(); err != nil {
			return err
		}
		spans = append(spans, span{b.First, b.Last})
	}
	if len(m.Blocks) == 0 {
		if !m.To.IsZero() || len(m.Lists) > 0 {
			return errs.New(errs.Corrupt, "it reaches append %v and names no block", m.To)
		}
	} else if err := follow(spans, m.From, m.To); err != nil {
		return err
	}
	for i := range m.Topics {
		if _, err := parseTopicID(m.Topics[i].ID); err != nil {
			return err
		}
	}
	return nil
}

// span is the appends of a block or list: the first and the last, or parts of them.
type span struct{ first, last Position }

// follow checks that spans lead from one append to another without a gap. Two that meet within an append share it.
func follow(spans []span, from, to Position) error {
	for i, s := range spans {
		if s.last.Less(s.first.Position) {
			return errs.New(errs.Corrupt, "appends %v to %v run backwards", s.first, s.last)
		}
		if i == 0 {
			continue
		}
		last := spans[i-1].last
		step := s.first.Sequence - last.Sequence
		if step > 1 || step == 1 && s.first.Epoch < last.Epoch || step == 0 && s.first != last {
			return errs.New(errs.Corrupt, "append %v does not follow %v", s.first, last)
		}
	}
	if first, last := spans[0].first, spans[len(spans)-1].last; first != from || last != to {
		return errs.New(errs.Corrupt, "it is said to hold appends %v to %v, its blocks hold %v to %v", from, to, first, last)
	}
	return nil
}

func (m *Manifest) object() string { return manifestFolder + m.ID + manifestSuffix }

// newID gives an id for a backup made at t.
func newID(t time.Time) string {
	var random [4]byte
	_, _ = rand.Read(random[:])
	return t.UTC().Format("20060102T150405.000Z") + "-" + hex.EncodeToString(random[:])
}

// damagedManifest is one that is there and cannot be read.
type damagedManifest struct {
	id  string
	err error
}

// List gives the backups of a repository, newest first. When some manifests cannot be read it gives the others and an
// error that names each (Corrupt, Unsupported).
func List(ctx context.Context, s Store) ([]*Manifest, error) {
	whole, damaged, err := readManifests(ctx, s)
	if err != nil {
		return nil, err
	}
	return whole, damageOf(damaged)
}

func damageOf(damaged []damagedManifest) error {
	if len(damaged) == 0 {
		return nil
	}
	all := make([]error, len(damaged))
	for i := range damaged {
		all[i] = damaged[i].err
	}
	return errs.New(errs.KindOf(all[0]), "%w", errors.Join(all...))
}

// readManifests reads all manifests, newest first.
func readManifests(ctx context.Context, s Store) (whole []*Manifest, damaged []damagedManifest, err error) {
	objects, err := s.List(ctx, manifestFolder)
	if err != nil {
		return nil, nil, err
	}
	for _, o := range slices.Backward(objects) {
		id, ok := strings.CutSuffix(strings.TrimPrefix(o.Name, manifestFolder), manifestSuffix)
		if !ok {
			continue
		}
		data, err := s.Get(ctx, o.Name, maxManifest)
		if errs.Is(err, errs.Canceled) {
			return nil, nil, err
		}
		var m *Manifest
		if err == nil {
			m, err = decodeManifest(data)
		}
		if err == nil && m.ID != id {
			err = errs.New(errs.Corrupt, "it is of backup %.80q", m.ID)
		}
		if err != nil {
			damaged = append(damaged, damagedManifest{id, errs.New(errs.KindOf(err), "manifest of backup %s: %w", id, err)})
			continue
		}
		whole = append(whole, m)
	}
	slices.SortStableFunc(whole, func(a, b *Manifest) int { return b.Created.Compare(a.Created) })
	return whole, damaged, nil
}
