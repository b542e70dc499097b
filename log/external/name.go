package external

import (
	"regexp"
	"strings"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log"
)

// DefaultName is the database's name in the cluster when none is chosen.
const DefaultName = "miracledb"

// maxName keeps the names of internal topics within Kafka's 249 bytes.
const maxName = 200

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// CheckName says whether a database can have a name in the cluster: it is part of topics' names. Errors: Invalid.
func CheckName(name string) error {
	if len(name) > maxName || !nameForm.MatchString(name) {
		return errs.New(errs.Invalid, "a database's name in a Kafka cluster has 1 to %d of a-z, A-Z, 0-9, '.', '_' and '-': not %.40q", maxName, name)
	}
	return nil
}

// transactionalID is that of the database's one writer.
func (o *Options) transactionalID() string {
	if o.Name == DefaultName {
		return DefaultName
	}
	return DefaultName + "." + o.Name
}

// clusterTopic is the name in the cluster of a topic of this log. Internal topics and the schema registry's are one database's;
// those of DefaultName have no suffix.
func (o *Options) clusterTopic(name string) string {
	if o.Name == DefaultName || !strings.HasPrefix(name, "__") && name != log.SchemasTopic {
		return name
	}
	return name + "." + o.Name
}

// commitsPlace is where the cluster has CommitsTopic.
func (o *Options) commitsPlace() place { return place{o.clusterTopic(CommitsTopic), 0} }
