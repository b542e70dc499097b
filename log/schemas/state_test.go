package schemas

import (
	"testing"

	"github.com/miracledb/miracledb/log"
)

// Whatever stands in the topic, the state is whole: versions in order, each with a content, ids that keep their meaning.
func FuzzApply(f *testing.F) {
	key := `{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}`
	f.Add([]byte(key), []byte(`{"subject":"s","version":1,"id":1,"schema":"\"int\"","deleted":false}`), []byte(`{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}`), []byte(`{"subject":"s","version":1}`))
	f.Add([]byte(key), []byte(`{"id":1,"schema":"x","references":[{"name":"s","subject":"s","version":1}]}`), []byte(`{"keytype":"CLEAR_SUBJECT","subject":"s"}`), []byte(`{}`))
	f.Add([]byte(`{"keytype":"CONFIG","subject":null,"magic":0}`), []byte(`{"compatibilityLevel":"FULL"}`), []byte(`{"keytype":"MODE","magic":0}`), []byte(`{"mode":"IMPORT"}`))
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 []byte) {
		s := newState()
		texts := map[int32]string{}
		for i, r := range [][2][]byte{{k1, v1}, {k2, v2}, {k1, v2}, {k2, v1}, {k1, nil}, {k1, v1}} {
			s.apply(r[0], r[1], log.Position{Sequence: uint64(i + 1)})
			for id, c := range s.contents {
				if was, ok := texts[id]; ok && was != c.Text || c.ID != id || id > s.maxID {
					t.Fatalf("id %d means %q, and meant %q", id, c.Text, texts[id])
				}
				texts[id] = c.Text
				_, _ = c.Schema()
			}
			for name, sub := range s.subjects {
				for j, v := range sub.versions {
					if v.Content == nil || v.Subject != name || j > 0 && sub.versions[j-1].Number >= v.Number {
						t.Fatalf("versions of %q: %+v", name, sub.versions)
					}
				}
			}
			if !s.level.Known() || !s.mode.Known() {
				t.Fatalf("level %q, mode %q", s.level, s.mode)
			}
		}
	})
}
