package kafka

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/miracledb/miracledb/internal/certs"
	"github.com/miracledb/miracledb/internal/testenv"
	"github.com/miracledb/miracledb/log/access"
)

// Every key that is served has a rule: who adds one says what it asks for.
func TestEveryKeyHasARule(t *testing.T) {
	for key := range apis {
		if _, ok := rules[key]; !ok {
			t.Errorf("key %d has no rule in authorize.go", key)
		}
	}
}

func superUser(o *Options) { o.SuperUsers = []access.Principal{"User:root"} }

// Nobody who may nothing gets anything: each key and version answers, tells an authorization error or nothing at all, and
// never whether the topic is there.
func TestEveryKeyIsRefused(t *testing.T) {
	l, catalog := newLog(t)
	addUser(t, l, "nobody", "secret")
	address := serve(t, l, catalog, superUser)
	topic, err := catalog.CreateTopic(context.Background(), "t", 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	refusing := map[int16]bool{kerr.TopicAuthorizationFailed.Code: true, kerr.GroupAuthorizationFailed.Code: true, kerr.ClusterAuthorizationFailed.Code: true,
		kerr.TransactionalIDAuthorizationFailed.Code: true, kerr.OperationNotAttempted.Code: true}
	// These tell nothing of topics and groups, or leave out what may not be seen.
	open := map[int16]bool{apiVersionsKey: true, saslHandshakeKey: true, saslAuthenticateKey: true, 16: true, 60: true, 66: true}
	for key, served := range apis {
		if open[key] {
			continue
		}
		for version := served.min; version <= served.max; version++ {
			if key == produceKey && version < 3 {
				continue
			}
			p := dial(t, address)
			p.comeIn("nobody", "secret")
			q := kmsg.RequestForKey(key)
			q.SetVersion(version)
			fill(q, topic)
			refused := 0
			codes(reflect.ValueOf(p.ask(q)), func(code int16) {
				switch {
				case refusing[code]:
					refused++
				case code != 0 && code != kerr.InvalidRequest.Code:
					t.Errorf("%T version %d: %v", q, version, kerr.ErrorForCode(code))
				}
			})
			if empty := key == 35 && version < 3; refused == 0 && !empty {
				t.Errorf("%T version %d was not refused", q, version)
			}
			p.conn.Close()
		}
	}
}

// codes visits the error codes of an answer.
func codes(v reflect.Value, visit func(int16)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			codes(v.Elem(), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			codes(v.Index(i), visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name == "ErrorCode" {
				visit(int16(v.Field(i).Int()))
			} else if name != "UnknownTags" {
				codes(v.Field(i), visit)
			}
		}
	}
}

// Kafka's tool sets ACLs over TLS and SCRAM; each client may what they say.
func TestACLs(t *testing.T) {
	ca := testenv.NewAuthority(t)
	l, catalog := newLog(t)
	for _, user := range []string{"root", "ann", "bob"} {
		addUser(t, l, user, "secret")
	}
	address := serveTLS(t, ca, certs.Options{}, l, catalog, superUser)
	as := func(user string) security { return overTLS(ca).as(access.ScramSHA512, user, "secret") }
	acls := func(args ...string) string {
		t.Helper()
		return strings.Join(java(t, nil, "org.apache.kafka.tools.AclCommand", append([]string{"--bootstrap-server", address,
			"--command-config", as("root").properties(t)}, args...)...), "\n")
	}
	acls("--add", "--allow-principal", "User:ann", "--producer", "--topic", "shop-", "--resource-pattern-type", "prefixed")
	acls("--add", "--allow-principal", "User:bob", "--consumer", "--topic", "shop-orders", "--group", "g")
	if out := acls("--list"); !strings.Contains(out, "name=shop-, patternType=PREFIXED") || !strings.Contains(out, "principal=User:bob, host=*, operation=READ, permissionType=ALLOW") {
		t.Errorf("--list: %s", out)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	ann, bob := franz(t, address, as("ann").franz...), franz(t, address, append(as("bob").franz, kgo.DisableIdempotentWrite())...)
	send := func(c *kgo.Client, topic string) error {
		return c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr()
	}
	if err := send(ann, "shop-orders"); err != nil {
		t.Errorf("ann writes: %v", err)
	}
	for topic, client := range map[string]*kgo.Client{"other": ann, "shop-orders": bob} {
		if err := send(client, topic); !errors.Is(err, kerr.TopicAuthorizationFailed) {
			t.Errorf("%s: %v", topic, err)
		}
	}
	if _, ok := l.Topic("other"); ok {
		t.Error("a topic was made by who may not")
	}
	kcat := testenv.Kcat(t)
	read := func(group string) []string {
		return as("bob").kcat("-b", address, "-q", "-X", "auto.offset.reset=earliest", "-c", "1", "-G", group, "shop-orders")
	}
	if got := run(t, nil, kcat, read("g")...); len(got) != 1 || got[0] != "x" {
		t.Errorf("bob reads %q", got)
	}
	if out := fails(t, kcat, append(read("other"), "-E")...); !strings.Contains(strings.ToLower(out), "group authorization failed") {
		t.Errorf("bob in another group: %s", out)
	}
	if err := send(franz(t, address, as("bob").franz...), "shop-orders"); !errors.Is(err, kerr.ClusterAuthorizationFailed) {
		t.Errorf("an idempotent producer that may write nowhere: %v", err)
	}
	// What one may not describe is not there.
	seen, err := kadm.NewClient(bob).ListTopics(ctx)
	if err != nil || len(seen) != 1 || !seen.Has("shop-orders") {
		t.Errorf("bob sees %v, %v", seen.Names(), err)
	}
	if _, err := kadm.NewClient(bob).CreateTopic(ctx, 1, 1, nil, "mine"); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("bob makes a topic: %v", err)
	}
	if _, err := kadm.NewClient(bob).DescribeUserSCRAMs(ctx); !errors.Is(err, kerr.ClusterAuthorizationFailed) {
		t.Errorf("bob lists users: %v", err)
	}
	acls("--remove", "--force", "--allow-principal", "User:ann", "--producer", "--topic", "shop-", "--resource-pattern-type", "prefixed")
	if err := send(ann, "shop-orders"); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("ann after the removal: %v", err)
	}
}

// A consumer's regular expression means the topics that its user may describe; when ACLs change, so does the assignment, by the
// next heartbeat.
func TestRegexMeansWhatOneMaySee(t *testing.T) {
	l, catalog := newLog(t)
	addUser(t, l, "ann", "secret")
	address := serve(t, l, catalog, superUser, quick)
	ids := map[[16]byte]string{}
	create := func(name string) {
		t.Helper()
		topic, err := catalog.CreateTopic(t.Context(), name, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		ids[topic.ID] = name
	}
	create("shop-a")
	create("shop-b")
	rule := func(name string, op access.Operation, p access.Permission) access.ACL {
		return access.ACL{Target: access.Target{Resource: access.Topic, Pattern: access.Literal, Name: name}, Principal: "User:ann", Host: "*", Operation: op, Permission: p}
	}
	store := access.NewStore(l)
	add := func(rules ...access.ACL) {
		t.Helper()
		if err := store.AddACLs(t.Context(), rules); err != nil {
			t.Fatal(err)
		}
	}
	group := rule("g", access.Read, access.Allow)
	group.Resource = access.Group
	add(group, rule("shop-a", access.Read, access.Allow))
	p := dial(t, address)
	p.comeIn("ann", "secret")
	regex, first := "shop-.*", true
	epoch, owned := int32(0), []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	is := func(when string, want ...string) {
		t.Helper()
		var names []string
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
			q := joining("g", "m")
			q.SubscribedTopicNames, q.SubscribedTopicRegex, q.MemberEpoch, q.Topics = nil, &regex, epoch, owned
			a := p.beat(q)
			if a.ErrorCode != 0 {
				t.Fatalf("%s: %v", when, kerr.ErrorForCode(a.ErrorCode))
			}
			epoch, names, owned = a.MemberEpoch, nil, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
			if a.Assignment == nil {
				t.Fatalf("%s: no assignment in a full answer", when)
			}
			for _, topic := range a.Assignment.Topics {
				names = append(names, ids[topic.TopicID])
				owned = append(owned, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: topic.TopicID, Partitions: topic.Partitions})
			}
			slices.Sort(names)
			if slices.Equal(names, want) {
				return
			}
			if first {
				break // what a member may not see it is never given
			}
		}
		t.Fatalf("%s: %v, want %v", when, names, want)
	}
	is("at first", "shop-a")
	first = false
	create("shop-c")
	is("a topic made", "shop-a")
	add(rule("shop-b", access.Describe, access.Allow))
	is("a right given", "shop-a", "shop-b")
	add(rule("shop-a", access.All, access.Deny))
	is("a right taken", "shop-b")
}

// Metadata and descriptions tell what one may do (KIP-430).
func TestAuthorizedOperations(t *testing.T) {
	l, catalog := newLog(t)
	addUser(t, l, "ann", "secret")
	address := serve(t, l, catalog, superUser)
	if _, err := catalog.CreateTopic(context.Background(), "t", 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := access.NewStore(l).AddACLs(context.Background(), []access.ACL{
		{Target: access.Target{Resource: access.Topic, Pattern: access.Literal, Name: "t"}, Principal: "User:ann", Host: "127.0.0.1", Operation: access.Read, Permission: access.Allow},
		{Target: access.Target{Resource: access.Group, Pattern: access.Literal, Name: "*"}, Principal: "User:*", Host: "*", Operation: access.All, Permission: access.Allow},
	}); err != nil {
		t.Fatal(err)
	}
	p := dial(t, address)
	p.comeIn("ann", "secret")
	q := metadata()
	q.IncludeTopicAuthorizedOperations, q.IncludeClusterAuthorizedOperations = true, true
	a := p.ask(q).(*kmsg.MetadataResponse)
	if len(a.Topics) != 1 || a.Topics[0].AuthorizedOperations != 1<<access.Read|1<<access.Describe {
		t.Errorf("%+v", a.Topics)
	}
	if a.AuthorizedOperations != 0 {
		t.Errorf("cluster: %b", a.AuthorizedOperations)
	}
	g := kmsg.NewPtrDescribeGroupsRequest()
	g.SetVersion(5)
	g.Groups, g.IncludeAuthorizedOperations = []string{"g"}, true
	if got := p.ask(g).(*kmsg.DescribeGroupsResponse).Groups[0].AuthorizedOperations; got&(1<<access.Read|1<<access.Delete|1<<access.Describe) != 1<<access.Read|1<<access.Delete|1<<access.Describe {
		t.Errorf("group: %b", got)
	}
}
