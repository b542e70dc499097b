package backup

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

const (
	listFolder = "lists/"
	// blocksPerList is how many blocks make a list: about 4 GiB of log, and 350 KiB of manifest saved.
	blocksPerList = 1024
)

// BlockList names an object that describes blocks, so that manifests need not repeat them.
type BlockList struct {
	// SHA256 is the digest of the object in hex: its name.
	SHA256 string   `json:"sha256"`
	Blocks int      `json:"blocks"`
	First  Position `json:"first"`
	Last   Position `json:"last"`
}

func (l *BlockList) object() string { return listFolder + l.SHA256 + ".json" }

func (l *BlockList) String() string {
	return fmt.Sprintf("block list %s (appends %v to %v)", l.SHA256, l.First, l.Last)
}

// packLists moves blocks of m into lists, as far as whole lists can be made and a block stays.
func (m *Manifest) packLists(ctx context.Context, s Store, perList int) error {
	for len(m.Blocks) > perList {
		blocks := m.Blocks[:perList]
		data, err := json.Marshal(blocks)
		if err != nil {
			return err
		}
		l := BlockList{hexSum(data), perList, blocks[0].First, blocks[perList-1].Last}
		if err := s.Put(ctx, l.object(), data); err != nil {
			return err
		}
		m.Lists, m.Blocks = append(m.Lists, l), m.Blocks[perList:]
	}
	return nil
}

// blockLists reads lists, each once.
type blockLists struct {
	store Store
	read  map[string][]Block
}

func newBlockLists(s Store) *blockLists { return &blockLists{s, map[string][]Block{}} }

// all gives every block of a backup in order. Errors are Corrupt and name the list.
func (b *blockLists) all(ctx context.Context, m *Manifest) ([]Block, error) {
	var out []Block
	for i := range m.Lists {
		l := &m.Lists[i]
		blocks, err := b.get(ctx, l)
		if err != nil {
			return nil, errs.New(errs.KindOf(err), "%v: %w", l, err)
		}
		out = append(out, blocks...)
	}
	return append(out, m.Blocks...), nil
}

func (b *blockLists) get(ctx context.Context, l *BlockList) ([]Block, error) {
	if blocks, ok := b.read[l.SHA256]; ok {
		return blocks, nil
	}
	data, err := b.store.Get(ctx, l.object(), maxManifest)
	if errs.Is(err, errs.NotFound) {
		err = errs.New(errs.Corrupt, "%w", err)
	}
	if err != nil {
		return nil, err
	}
	blocks, err := l.decode(data)
	if err == nil {
		b.read[l.SHA256] = blocks
	}
	return blocks, err
}

func (l *BlockList) decode(data []byte) ([]Block, error) {
	if sum := hexSum(data); sum != l.SHA256 {
		return nil, errs.New(errs.Corrupt, "it is damaged: its SHA-256 is %s", sum)
	}
	var blocks []Block
	if err := json.Unmarshal(data, &blocks); err != nil {
		return nil, errs.New(errs.Corrupt, "no list: %w", err)
	}
	if len(blocks) == 0 || len(blocks) != l.Blocks {
		return nil, errs.New(errs.Corrupt, "it has %d blocks, want %d", len(blocks), l.Blocks)
	}
	spans := make([]span, len(blocks))
	for i := range blocks {
		if err := blocks[i].validate(); err != nil {
			return nil, err
		}
		spans[i] = span{blocks[i].First, blocks[i].Last}
	}
	return blocks, follow(spans, l.First, l.Last)
}

// known are the blocks that backups of a repository name, as far as their lists can be read.
type known struct {
	blocks map[string]bool // by SHA-256
	// cuts are the appends that end a block of the newest backup.
	cuts map[log.Position]bool
}

func readKnown(ctx context.Context, s Store, whole []*Manifest) (*known, error) {
	k := &known{map[string]bool{}, map[log.Position]bool{}}
	lists := newBlockLists(s)
	for i, m := range whole {
		blocks, err := lists.all(ctx, m)
		if errs.Is(err, errs.Corrupt) {
			continue // what is not known is written again
		}
		if err != nil {
			return nil, err
		}
		for j := range blocks {
			k.blocks[blocks[j].SHA256] = true
			if last := blocks[j].Last; i == 0 && (j+1 == len(blocks) || blocks[j+1].First != last) {
				k.cuts[last.Position] = true
			}
		}
	}
	return k, nil
}
