package access

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/miracledb/miracledb/log"
)

// properties is a PropertyStore in memory.
type properties struct {
	mu  sync.Mutex
	all log.Properties
}

func (p *properties) Properties() *log.Properties {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.all
	return &all
}

func (p *properties) ChangeProperties(_ context.Context, decide func(*log.Properties) (map[string][]byte, error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	set, err := decide(&p.all)
	if err != nil {
		return err
	}
	next := map[string][]byte{}
	for k, v := range p.all.Values {
		next[k] = v
	}
	for k, v := range set {
		next[k] = v
		if v == nil {
			delete(next, k)
		}
	}
	p.all.Values = next
	return nil
}

func addUser(t *testing.T, s *Store, m Mechanism, user, password string) {
	t.Helper()
	c, err := NewCredential(m, password, MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	faults, err := s.AlterCredentials(context.Background(), []CredentialChange{{user, m, &c}})
	if err = errors.Join(err, faults[0]); err != nil {
		t.Fatal(err)
	}
}

// authenticate runs franz-go's SCRAM client against an exchange.
func authenticate(t *testing.T, s *Snapshot, m Mechanism, user, password string) (string, error) {
	t.Helper()
	auth := scram.Auth{User: user, Pass: password}
	client := auth.AsSha256Mechanism()
	if m == ScramSHA512 {
		client = auth.AsSha512Mechanism()
	}
	session, token, err := client.Authenticate(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.Begin(m)
	if err != nil {
		t.Fatal(err)
	}
	for done := false; !done; {
		reply, err := e.Step(token)
		if err != nil {
			return "", err
		}
		if done, token, err = session.Challenge(reply); err != nil {
			t.Fatal(err)
		}
	}
	return e.User(), nil
}

func TestScram(t *testing.T) {
	s := NewStore(&properties{})
	for _, m := range []Mechanism{ScramSHA256, ScramSHA512} {
		addUser(t, s, m, "ann=,b", "pass word")
		if user, err := authenticate(t, s.Current(), m, "ann=,b", "pass word"); err != nil || user != "ann=,b" {
			t.Errorf("%s: %q, %v", m, user, err)
		}
		for user, password := range map[string]string{"ann=,b": "other", "bob": "pass word"} {
			if user, err := authenticate(t, s.Current(), m, user, password); !errors.Is(err, ErrAuthentication) || user != "" {
				t.Errorf("%s: %q came in, %v", m, user, err)
			}
		}
	}
	faults, err := s.AlterCredentials(context.Background(), []CredentialChange{{"ann=,b", ScramSHA256, nil}, {"bob", ScramSHA256, nil}, {"", ScramSHA256, nil}})
	if err != nil || faults[0] != nil || !errors.Is(faults[1], ErrNoCredential) || faults[2] == nil {
		t.Fatalf("%v %v", faults, err)
	}
	if _, err := authenticate(t, s.Current(), ScramSHA256, "ann=,b", "pass word"); !errors.Is(err, ErrAuthentication) {
		t.Errorf("a removed credential: %v", err)
	}
}

// Tokens that no client sends end their exchange, with nobody in it and no panic.
func TestStrangeTokens(t *testing.T) {
	s := NewStore(&properties{})
	addUser(t, s, ScramSHA256, "ann", "secret")
	long := base64.StdEncoding.EncodeToString(make([]byte, 100))
	for _, tokens := range [][]string{
		{""}, {"\x00"}, {"n,,n=ann"}, {"n,,n=ann,r="}, {",,n=ann,r=x"}, {",,,,"}, {strings.Repeat("n", 1<<16)}, {"p=tls-unique,,n=ann,r=x"},
		{"n,a=bob,n=ann,r=x"}, {"n,bob,n=ann,r=x"}, {"n,,m=x,n=ann,r=x"},
		{"n,,n=ann,r=x", "c=biws,r=NONCE,p=" + long}, {"n,,n=ann,r=x", "c=biws,r=NONCE,p="}, {"n,,n=ann,r=x", "c=biws,r=NONCE"},
		{"n,,n=ann,r=x", "c=biws,r=other,p=" + long[:44]}, {"n,,n=ann,r=x", "n,,n=ann,r=x"},
	} {
		e, err := s.Current().Begin(ScramSHA256)
		if err != nil {
			t.Fatal(err)
		}
		nonce := ""
		for _, token := range tokens {
			var reply []byte
			reply, err = e.Step([]byte(strings.ReplaceAll(token, "NONCE", nonce)))
			if first, _, ok := strings.Cut(string(reply), ","); ok {
				nonce = strings.TrimPrefix(first, "r=")
			}
		}
		if !errors.Is(err, ErrAuthentication) || e.User() != "" {
			t.Errorf("%q: %v, user %q", tokens, err, e.User())
		}
		if _, err := e.Step([]byte("n,,n=ann,r=x")); err == nil {
			t.Errorf("%q: the exchange goes on", tokens)
		}
	}
}

func TestPlain(t *testing.T) {
	s := NewStore(&properties{})
	addUser(t, s, ScramSHA512, "ann", "secret")
	for token, want := range map[string]bool{
		"\x00ann\x00secret": true, "ann\x00ann\x00secret": true,
		"bob\x00ann\x00secret": false, "\x00ann\x00Secret": false, "\x00bob\x00secret": false, "\x00ann\x00": false, "\x00\x00": false,
		"": false, "ann": false, "\x00ann\x00secret\x00": false,
	} {
		e, err := s.Current().Begin(Plain)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Step([]byte(token)); (err == nil) != want || (e.User() == "ann") != want {
			t.Errorf("%q: %v, user %q", token, err, e.User())
		}
	}
}

func TestCredentialBounds(t *testing.T) {
	for _, iterations := range []int{0, -1, MinIterations - 1, MaxIterations + 1} {
		if _, err := NewCredential(ScramSHA256, "x", iterations); err == nil {
			t.Errorf("%d iterations were taken", iterations)
		}
	}
	if _, err := FromSalted(ScramSHA256, make([]byte, 31), []byte("salt"), MinIterations); err == nil {
		t.Error("a short salted password was taken")
	}
	if _, err := NewCredential("SCRAM-SHA-1", "x", MinIterations); !errors.Is(err, ErrMechanism) {
		t.Errorf("an unknown mechanism: %v", err)
	}
}

func FuzzExchange(f *testing.F) {
	f.Add("PLAIN", "\x00ann\x00secret", "")
	f.Add("SCRAM-SHA-256", "n,,n=ann,r=x", "c=biws,r=x,p=AAAA")
	s := read(&log.Properties{Values: map[string][]byte{
		"scram/SCRAM-SHA-256/ann": []byte(`{"salt":"c2FsdA==","iterations":1,"stored_key":"","server_key":""}`)}})
	f.Fuzz(func(t *testing.T, mechanism, first, second string) {
		e, err := s.Begin(Mechanism(mechanism))
		if err != nil {
			return
		}
		for _, token := range []string{first, second} {
			if _, err := e.Step([]byte(token)); err != nil && e.User() != "" {
				t.Fatal("an error, and somebody came in")
			}
		}
		if e.User() != "" {
			t.Fatal("somebody came in without the password")
		}
	})
}
