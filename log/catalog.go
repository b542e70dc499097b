package log

// TopicRecord is the part of a CatalogTopic record's JSON value that the log reads, under the key "topic". Other keys
// belong to higher floors ("relation" is SQL's) and are not looked at. The record's key is "<object id>/<version>".
//
// A record with Topic set creates the topic or replaces its Config and (never fewer) Partitions; with Dropped set it
// removes the topic of that id and its data.
type TopicRecord struct {
	ID         string            `json:"id"` // 32 hex digits
	Name       string            `json:"name"`
	Partitions int32             `json:"partitions"`
	Config     map[string]string `json:"config,omitempty"`
	Dropped    bool              `json:"dropped,omitempty"`
}

// CatalogRecord is the envelope of a CatalogTopic record's value as the log sees it.
type CatalogRecord struct {
	Topic *TopicRecord `json:"topic,omitempty"`
}
