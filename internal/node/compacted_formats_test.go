package node_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/internal/schema"
	"github.com/miracledb/miracledb/log"
)

// Compacted tables of Avro and Protobuf have the same rows and rejected records when they are computed anew from what is left.
func TestCompactedFormats(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := startCleaning(t, dir, 0)
	registry, err := sr.NewClient(sr.URLs("http://" + s.HTTP + "/registry"))
	if err != nil {
		t.Fatal(err)
	}
	row := avro.MustParse(`{"type":"record","name":"r","fields":[{"name":"id","type":"long"},{"name":"s","type":"string"}]}`)
	encodings := map[string]func(id int, s string) []byte{
		"avro": func(id int, s string) []byte {
			p, err := avro.Marshal(row, map[string]any{"id": id, "s": s})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		"protobuf": func(id int, s string) []byte {
			p := protowire.AppendVarint(protowire.AppendTag([]byte{0}, 1, protowire.VarintType), uint64(id)) // the first message of the schema
			return protowire.AppendString(protowire.AppendTag(p, 2, protowire.BytesType), s)
		},
	}
	schemas := map[string]sr.Schema{"avro": {Schema: row.String()},
		"protobuf": {Type: sr.TypeProtobuf, Schema: `syntax = "proto3"; message r { int64 id = 1; string s = 2; }`}}
	c := s.Connect(t)
	for name, encode := range encodings {
		nodetest.Exec(t, c, fmt.Sprintf("CREATE TABLE %s (id bigint PRIMARY KEY, s text) WITH (format = '%[1]s')", name))
		registered, err := registry.CreateSchema(t.Context(), name, schemas[name])
		if err != nil {
			t.Fatal(err)
		}
		produceTo(t, s, "", func(p *kgo.Client) {
			for i := range 300 {
				r := &kgo.Record{Topic: name, Key: fmt.Append(nil, i%20), Value: append(schema.AppendFrame(nil, int32(registered.ID)), encode(i%20, fmt.Sprint("value ", i))...)}
				switch i % 37 {
				case 5:
					r.Value = nil
				case 6:
					r.Value = schema.AppendFrame(nil, 99)
				case 7:
					r.Value = r.Value[:len(r.Value)-2]
				}
				write(t, p, r)
			}
		})
		compactTopic(t, s, name)
	}
	contents := func(t *testing.T, s *nodetest.Server) (all string) {
		c := s.Connect(t)
		nodetest.Exec(t, c, "SET miracledb.read = 'latest'")
		for _, from := range []string{"avro", "protobuf"} {
			all += sorted(nodetest.Text(t, c, "SELECT id, s FROM "+from)) + "\n" + sorted(nodetest.Text(t, c, "SELECT reason, _offset FROM "+from+"__rejected")) + "\n"
		}
		return all
	}
	want := contents(t, s)
	if strings.Count(want, "value 299") != 2 || !strings.Contains(want, "schema id 99") {
		t.Fatal(want)
	}
	s.Stop(t)                                                // a checkpoint: what was written before it may be compacted
	s = startCleaning(t, dir, log.MaxTxnTimeout+time.Minute) // what transactions may still commit is not compacted
	for _, name := range []string{"avro", "protobuf"} {
		shrinks(t, s, name, 50)
	}
	if got := contents(t, s); got != want {
		t.Errorf("after compaction\n%s", difference(got, want))
	}
	s.Stop(t)
	if got := rebuilt(t, dir, contents); got != want {
		t.Errorf("computed anew\n%s", difference(got, want))
	}
}
