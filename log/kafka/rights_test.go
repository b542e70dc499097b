package kafka

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log/access"
	"github.com/miracledb/miracledb/log/record"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/rights.txt as Apache Kafka answers")

// Who may what: users with every kind of grant ask everything, and get what testdata/rights.txt says that Apache Kafka's
// StandardAuthorizer answers. Under make conformance Kafka is asked too.
func TestRights(t *testing.T) {
	users := rightsGranted()
	l, catalog := newLog(t)
	addUser(t, l, "root", "secret")
	for name := range users {
		addUser(t, l, name, "secret")
	}
	golden := filepath.Join("testdata", "rights.txt")
	if testenv.Conformance() {
		kafka := askRights(t, secureKafka(t, slices.Sorted(maps.Keys(users))...), users)
		if *rewrite {
			if err := os.WriteFile(golden, []byte(kafka), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		differ(t, "Kafka", golden, kafka)
	}
	differ(t, "ours", golden, askRights(t, serve(t, l, catalog, superUser, patient), users))
}

// patient keeps the members of groups however slow the test is.
func patient(o *Options) { o.Group.ConsumerSession = 10 * time.Minute }

// differ reports where answers differ from a file's: by request, both answers, and who gets them.
func differ(t *testing.T, who, golden, got string) {
	t.Helper()
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want, have := readRights(string(b)), readRights(got)
	for _, name := range slices.Sorted(maps.Keys(have)) {
		users := map[[2]string][]string{}
		for _, granted := range rightsGranted() {
			user := "(" + granted + ")"
			if pair := [2]string{have.answer(name, user), want.answer(name, user)}; pair[0] != pair[1] {
				users[pair] = append(users[pair], user)
			}
		}
		for pair, list := range users {
			slices.Sort(list)
			t.Errorf("%s, %s:\n\thas  %s\n\twant %s\n\tfor  %s", who, name, pair[0], pair[1], strings.Join(list, " "))
		}
	}
	if len(have) != len(want) {
		t.Errorf("%s: %d requests, want %d", who, len(have), len(want))
	}
}

// rightsText is what rights.txt says: the answer by request and by what the user is granted.
type rightsText map[string]map[string]string

// others are the users that a request's text does not name.
const others = "everybody else"

func (r rightsText) answer(name, user string) string {
	if answer, ok := r[name][user]; ok {
		return answer
	}
	return r[name][others]
}

func readRights(text string) rightsText {
	out, name, answer := rightsText{}, "", ""
	for line := range strings.Lines(text) {
		switch line = strings.TrimRight(line, "\n"); {
		case strings.HasPrefix(line, "\t\t"):
			for _, user := range strings.Split(strings.TrimSpace(line), ", ") {
				out[name][user] = answer
			}
		case strings.HasPrefix(line, "\t"):
			answer = strings.TrimSpace(line)
		default:
			name = line
			out[name] = map[string]string{}
		}
	}
	return out
}

// secureKafka starts a Kafka where everybody must authenticate by PLAIN, with a StandardAuthorizer and the super user root.
func secureKafka(t *testing.T, users ...string) (address string) {
	jaas := `org.apache.kafka.common.security.plain.PlainLoginModule required username="root" password="secret" user_root="secret"`
	for _, name := range users {
		jaas += fmt.Sprintf(" user_%s=\"secret\"", name)
	}
	return testenv.Kafka(t, "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_PLAINTEXT",
		"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512", "sasl.mechanism.inter.broker.protocol=PLAIN",
		"listener.name.plaintext.plain.sasl.jaas.config="+jaas+";",
		"listener.name.plaintext.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"listener.name.plaintext.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:root;User:ANONYMOUS",
		"auto.create.topics.enable=true", "num.partitions=1")
}

// askRights gives users their rights, has them ask, and gives the text of rights.txt: of each request the answers, and who gets them.
func askRights(t *testing.T, address string, users map[string]string) string {
	root := dial(t, address)
	root.comeIn("root", "secret")
	acls, create := kmsg.NewPtrCreateACLsRequest(), kmsg.NewPtrCreateTopicsRequest()
	acls.SetVersion(3)
	create.SetVersion(7)
	names := slices.Sorted(maps.Keys(users))
	for _, user := range names {
		acls.Creations = append(acls.Creations, rightsACLs(t, user, users[user])...)
		create.Topics = append(create.Topics, kmsg.CreateTopicsRequestTopic{Topic: holderOf(user).topic, NumPartitions: 2, ReplicationFactor: 1})
	}
	codes(reflect.ValueOf(root.ask(create)), func(code int16) {
		if code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
	})
	codes(reflect.ValueOf(root.ask(acls)), func(code int16) {
		if code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
	})
	var order []string
	answers := map[string]map[string][]string{}
	for _, user := range names {
		who := holderOf(user)
		who.prepare(root)
		p := dial(t, address)
		p.comeIn(user, "secret")
		for _, q := range who.requests(t) {
			name := fmt.Sprintf("%s v%d: %s", strings.TrimPrefix(fmt.Sprintf("%T", q.Request), "*kmsg."), q.GetVersion(), q.about)
			if answers[name] == nil {
				order, answers[name] = append(order, name), map[string][]string{}
			}
			said := who.render(reflect.ValueOf(p.ask(q.Request)))
			for begun := time.Now(); q.about == making && strings.Contains(said, "UNKNOWN_TOPIC_OR_PARTITION") && time.Since(begun) < time.Minute; {
				said = who.render(reflect.ValueOf(p.ask(q.Request))) // Kafka makes it behind the answer's back
			}
			answers[name][said] = append(answers[name][said], "("+users[user]+")")
		}
		p.conn.Close()
	}
	var out strings.Builder
	for _, name := range order {
		out.WriteString(name + "\n")
		most := ""
		for said, who := range answers[name] {
			if slices.Sort(who); len(who) > len(answers[name][most]) || len(who) == len(answers[name][most]) && said < most {
				most = said
			}
		}
		answers[name][most] = []string{others}
		for _, said := range slices.Sorted(maps.Keys(answers[name])) {
			fmt.Fprintf(&out, "\t%s\n\t\t%s\n", said, strings.Join(answers[name][said], ", "))
		}
	}
	return out.String()
}

// everything is what is granted by all:.
const everything = "topic*:All group*:All txn*:All cluster:All"

// rightsGranted are the users of the matrix with what they are granted: [-]KIND[^*]:OPERATION[@HOST], where - denies, and names
// are whole, or by a prefix (^), or the wildcard (*).
func rightsGranted() map[string]string {
	list := []string{"", "all:", "topic*:Read", "topic^:Read", "group^:Read", "txn^:Write", "topic:Read@10.0.0.1", "topic:Read@127.0.0.1",
		"topic^:All -topic:Read", "topic:All -topic^:Read", "topic:All -topic*:Read", "topic:All -topic:Read@10.0.0.1", "topic:All -topic:All",
		"topic*:Write -topic^:Write", "topic:Write -topic*:Write", "topic^:Write -topic:Write", "topic:Write -topic^:Write",
		"topic:Write -topic:Describe", "topic:AlterConfigs -topic:DescribeConfigs", "group:Read -group:Describe", "txn:Write -txn:Describe",
		"txn:Write topic:Write", "txn:Write group:Read", "txn:Write group:Read topic:Read", "txn:Describe topic:Describe",
		"group:Read topic:Describe", "group:Read topic:Read", "group:Describe topic:Describe", "group:Delete topic:Read",
		"topic:Create topic:DescribeConfigs", "topic:Create topic:Describe", "cluster:Create topic:Describe", "cluster:Create topic:DescribeConfigs"}
	for _, kind := range []access.Resource{access.Topic, access.Group, access.Transactional, access.Cluster} {
		for _, op := range append(slices.Clone(access.Operations[kind]), access.All) {
			word := rightsKinds[kind] + ":" + rightsOperations[op]
			list = append(list, word, "all: -"+word)
		}
	}
	out := map[string]string{}
	for i, granted := range list {
		out[fmt.Sprintf("u%02d", i)] = granted
	}
	return out
}

var rightsKinds = map[access.Resource]string{access.Topic: "topic", access.Group: "group", access.Transactional: "txn", access.Cluster: "cluster"}

var rightsOperations = map[access.Operation]string{access.All: "All", access.Read: "Read", access.Write: "Write", access.Create: "Create", access.Delete: "Delete",
	access.Alter: "Alter", access.Describe: "Describe", access.ClusterAction: "ClusterAction", access.DescribeConfigs: "DescribeConfigs",
	access.AlterConfigs: "AlterConfigs", access.IdempotentWrite: "IdempotentWrite"}

var rightsWord = regexp.MustCompile(`^(-?)(topic|group|txn|cluster)([\^*]?):(\w+?)(@[\d.]+)?$`)

// rightsACLs are the ACLs of a user, as the protocol makes them.
func rightsACLs(t *testing.T, user, granted string) (out []kmsg.CreateACLsRequestCreation) {
	t.Helper()
	h := holderOf(user)
	names := map[string][]string{"topic": {h.topic, h.absent, h.made}, "group": {h.group, h.nobodys, h.joined, h.read}, "txn": {h.txn, h.unknown}, "cluster": {access.ClusterName}}
	for _, word := range strings.Fields(strings.Replace(granted, "all:", everything, 1)) {
		m := rightsWord.FindStringSubmatch(word)
		if m == nil {
			t.Fatalf("%q", word)
		}
		c := kmsg.CreateACLsRequestCreation{ResourceType: kmsg.ACLResourceType(keyOf(rightsKinds, m[2])), ResourcePatternType: kmsg.ACLResourcePatternType(access.Literal),
			Principal: "User:" + user, Host: "*", Operation: kmsg.ACLOperation(keyOf(rightsOperations, m[4])), PermissionType: kmsg.ACLPermissionType(access.Allow)}
		if m[1] == "-" {
			c.PermissionType = kmsg.ACLPermissionType(access.Deny)
		}
		if m[5] != "" {
			c.Host = m[5][1:]
		}
		targets := names[m[2]]
		if m[3] == "*" {
			targets = []string{"*"}
		}
		for _, c.ResourceName = range targets {
			if m[3] == "^" {
				c.ResourceName, c.ResourcePatternType = c.ResourceName[:len(c.ResourceName)-1], kmsg.ACLResourcePatternType(access.Prefixed)
			}
			out = append(out, c)
		}
	}
	return out
}

func keyOf[K comparable](names map[K]string, name string) (key K) {
	for k, n := range names {
		if n == name {
			key = k
		}
	}
	return key
}

// holder is a user of the matrix with what is its own.
type holder struct {
	mark                string // in all its names
	topic, absent, made string // there, not there, not there and made on the way
	id                  [16]byte
	group, nobodys      string                       // there, not there
	joined, read        string                       // made by who joins it; whose member reads the topic
	producer            *kmsg.InitProducerIDResponse // of txn
	txn, unknown        string                       // there, not there
}

func holderOf(user string) *holder {
	mark := "-" + user + "."
	return &holder{mark: mark, topic: "t" + mark, absent: "a" + mark, made: "m" + mark, group: "g" + mark, nobodys: "h" + mark, joined: "k" + mark, read: "r" + mark, txn: "x" + mark, unknown: "y" + mark}
}

// prepare waits until a user's topic is there, and makes its group and its transactional id.
func (h *holder) prepare(root *peer) {
	root.t.Helper()
	until := func(done func() bool) {
		root.t.Helper()
		for begun := time.Now(); !done(); time.Sleep(20 * time.Millisecond) {
			if time.Since(begun) > time.Minute {
				root.t.Fatalf("what belongs to %s does not come", h.mark)
			}
		}
	}
	until(func() bool {
		m := kmsg.NewPtrMetadataRequest()
		m.SetVersion(12)
		m.Topics = []kmsg.MetadataRequestTopic{{Topic: &h.topic}}
		topic := root.ask(m).(*kmsg.MetadataResponse).Topics[0]
		h.id = topic.TopicID
		return topic.ErrorCode == 0 && topic.Partitions[0].ErrorCode == 0
	})
	until(func() bool {
		f := kmsg.NewPtrFindCoordinatorRequest()
		f.CoordinatorKey = h.group
		root.ask(f)
		c := kmsg.NewPtrOffsetCommitRequest()
		c.SetVersion(8)
		c.Group, c.Generation, c.Topics = h.group, -1, h.commit(h.topic)
		return root.ask(c).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode == 0
	})
	until(func() bool {
		f := kmsg.NewPtrFindCoordinatorRequest()
		f.SetVersion(1)
		f.CoordinatorKey, f.CoordinatorType = h.txn, 1
		root.ask(f)
		h.producer = root.ask(h.initProducer(&h.txn)).(*kmsg.InitProducerIDResponse)
		return h.producer.ErrorCode == 0
	})
	until(func() bool {
		return root.ask(h.join(h.read, h.topic)).(*kmsg.ConsumerGroupHeartbeatResponse).ErrorCode == 0
	})
}

func (h *holder) commit(topics ...string) (out []kmsg.OffsetCommitRequestTopic) {
	for _, name := range topics {
		out = append(out, kmsg.OffsetCommitRequestTopic{Topic: name, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 3, LeaderEpoch: -1}, {Partition: 1, Offset: 3, LeaderEpoch: -1}}})
	}
	return out
}

func (h *holder) join(group string, topics ...string) *kmsg.ConsumerGroupHeartbeatRequest {
	q := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	q.Group, q.MemberID, q.RebalanceTimeoutMillis, q.SubscribedTopicNames, q.Topics = group, "m", 300_000, topics, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	return q
}

func (h *holder) initProducer(id *string) *kmsg.InitProducerIDRequest {
	q := kmsg.NewPtrInitProducerIDRequest()
	q.SetVersion(4)
	q.TransactionalID, q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = id, 600_000, -1, -1
	return q
}

// batch makes a batch of the present time, which no retention deletes, in the user's transaction or in none.
func (h *holder) batch(t *testing.T, inTxn bool) []byte {
	var b record.Builder
	if inTxn {
		b.Producer(h.producer.ProducerID, h.producer.ProducerEpoch, 0)
		b.MarkTransactional()
	}
	b.Add(time.Now().UnixMilli(), nil, []byte("x"))
	out, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// asking is a request with what it is about.
type asking struct {
	about string
	kmsg.Request
}

func (h *holder) requests(t *testing.T) (out []asking) {
	add := func(version int16, about string, q kmsg.Request) {
		q.SetVersion(version)
		out = append(out, asking{about, q})
	}
	h.askTopics(t, add)
	h.askGroups(add)
	h.askTransactions(add)
	h.askCluster(add)
	h.askChanges(add)
	return out
}

// render writes what an answer tells: codes, operations, and the names in it, of the user's own things and of others'.
func (h *holder) render(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return h.render(v.Elem())
	case reflect.String:
		switch name := v.String(); {
		case strings.HasPrefix(name, "__"):
			return "internal"
		case strings.Contains(name, h.mark):
			return strings.ReplaceAll(name, h.mark, "")
		case othersThings.MatchString(name):
			return "other's"
		}
		return ""
	case reflect.Slice:
		var parts []string
		for i := range v.Len() {
			if text := h.render(v.Index(i)); text != "" && !strings.Contains(text, "internal") && !slices.Contains(parts, text) {
				parts = append(parts, text)
			}
		}
		slices.Sort(parts)
		return strings.Join(parts, ", ")
	case reflect.Struct:
		var parts []string
		for i := range v.NumField() {
			f, name := v.Field(i), v.Type().Field(i).Name
			text := ""
			switch name {
			case "ErrorCode":
				if text = "ok"; f.Int() != 0 {
					text, _, _ = strings.Cut(kerr.ErrorForCode(int16(f.Int())).Error(), ":")
				}
			case "AuthorizedOperations", "ClusterAuthorizedOperations":
				text = may(int32(f.Int()))
			case "ErrorMessage", "Version", "Config", "Dir":
			case "Configs", "Dirs", "Brokers":
				if f.Len() > 0 {
					text = strings.ToLower(name)
				}
			default:
				if text = h.render(f); f.Kind() == reflect.Slice && text != "" {
					text = "(" + text + ")"
				}
			}
			if text != "" {
				parts = append(parts, text)
			}
		}
		return strings.Join(parts, " ")
	case reflect.Array:
		if v.Interface() == h.id {
			return "#"
		}
	}
	return ""
}

var othersThings = regexp.MustCompile(`^[tamghkrxy]-u\d+\.`)

// may tells a set of operations.
func may(set int32) string {
	if set == -1<<31 {
		return ""
	}
	var names []string
	for op, name := range rightsOperations {
		if set&(1<<op) != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return "may{" + strings.Join(names, " ") + "}"
}
