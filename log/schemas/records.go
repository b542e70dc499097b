package schemas

import (
	"encoding/json"
	"strings"

	"github.com/miracledb/miracledb/internal/schema"
)

// Reference is what a schema says of another one that it uses.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int32  `json:"version"`
}

// recordKey is the key of a record: fields in the order in which Confluent's registry writes them, as the key's bytes are what
// compaction goes by.
type recordKey struct {
	KeyType string  `json:"keytype"`
	Subject *string `json:"subject,omitempty"`
	Version int32   `json:"version,omitempty"`
	Magic   int     `json:"magic"`
}

const (
	keySchema        = "SCHEMA"
	keyConfig        = "CONFIG"
	keyMode          = "MODE"
	keyDeleteSubject = "DELETE_SUBJECT"
	keyClearSubject  = "CLEAR_SUBJECT"
)

type schemaValue struct {
	Subject    string      `json:"subject"`
	Version    int32       `json:"version"`
	ID         int32       `json:"id"`
	SchemaType schema.Type `json:"schemaType,omitempty"`
	References []Reference `json:"references,omitempty"`
	Schema     string      `json:"schema"`
	Deleted    bool        `json:"deleted"`
}

type configValue struct {
	Subject string       `json:"subject,omitempty"`
	Level   schema.Level `json:"compatibilityLevel"`
}

type modeValue struct {
	Subject string `json:"subject,omitempty"`
	Mode    Mode   `json:"mode"`
}

type subjectValue struct {
	Subject string `json:"subject"`
	Version int32  `json:"version,omitempty"`
}

// entry is one record to be written; a nil value is a tombstone.
type entry struct{ key, value []byte }

func encode(k recordKey, v any) (entry, error) {
	key, err := marshal(k)
	if err != nil || v == nil {
		return entry{key: key}, err
	}
	value, err := marshal(v)
	return entry{key, value}, err
}

// marshal is JSON as Java's registry writes it: <, > and & as they are.
func marshal(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return []byte(strings.TrimSuffix(b.String(), "\n")), err
}

func schemaEntry(v *Version, deleted bool) (entry, error) {
	value := schemaValue{Subject: v.Subject, Version: v.Number, ID: v.ID, References: v.References, Schema: v.Text, Deleted: deleted}
	if v.Type != schema.Avro {
		value.SchemaType = v.Type
	}
	return encode(schemaKey(v.Subject, v.Number), value)
}

func schemaKey(subject string, number int32) recordKey {
	return recordKey{KeyType: keySchema, Subject: &subject, Version: number, Magic: 1}
}

// settingKey is the key of a level or mode: of all subjects when subject is "".
func settingKey(keyType, subject string) recordKey {
	k := recordKey{KeyType: keyType}
	if subject != "" {
		k.Subject = &subject
	}
	return k
}
