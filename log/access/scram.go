package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
)

// scramServer is the server's side of one SCRAM exchange without channel binding (RFC 5802).
//
//	client: n,,n=USER,r=NONCE                      server: r=NONCE+OURS,s=SALT,i=ITERATIONS
//	client: c=HEADER,r=NONCE+OURS,p=PROOF          server: v=SIGNATURE
type scramServer struct {
	mechanism  Mechanism
	credential Credential
	user       string
	header     string // of the client's first message: flag of channel binding, authorization identity
	first      string // the client's first message without its header
	nonce      string
	challenge  string // ours
}

// userName undoes the escapes of a name in a message (RFC 5802, section 5.1).
var userName = strings.NewReplacer("=2C", ",", "=3D", "=")

// begin reads the client's first message and gives the challenge. ok is false when it is no such message, or of a user that
// lookup does not know.
func (s *scramServer) begin(message string, lookup func(user string) (Credential, bool)) (challenge string, ok bool) {
	flag, rest, _ := strings.Cut(message, ",")
	identity, rest, _ := strings.Cut(rest, ",")
	fields := strings.Split(rest, ",")
	if flag != "n" && flag != "y" || len(fields) < 2 {
		return "", false
	}
	s.header, s.first = flag+","+identity+",", rest
	name, isName := strings.CutPrefix(fields[0], "n=")
	nonce, isNonce := strings.CutPrefix(fields[1], "r=")
	s.user = userName.Replace(name)
	authorized, named := strings.CutPrefix(identity, "a=")
	switch {
	case !isName, !isNonce, nonce == "":
		return "", false
	case identity != "" && (!named || userName.Replace(authorized) != s.user):
		return "", false // nobody speaks for somebody else
	}
	if s.credential, ok = lookup(s.user); !ok {
		return "", false
	}
	s.nonce = nonce + rand.Text()
	s.challenge = "r=" + s.nonce + ",s=" + base64.StdEncoding.EncodeToString(s.credential.Salt) + ",i=" + strconv.Itoa(s.credential.Iterations)
	return s.challenge, true
}

// end checks the client's proof and gives ours.
func (s *scramServer) end(message string) (final string, ok bool) {
	at := strings.LastIndex(message, ",p=")
	if at < 0 {
		return "", false
	}
	unproven := message[:at]
	proof, err := base64.StdEncoding.DecodeString(message[at+len(",p="):])
	fields := strings.Split(unproven, ",")
	// librdkafka before 2.6 writes its own nonce once more before the whole, so the end only is asked for. All of
	// it is under the proof.
	if err != nil || len(proof) != s.mechanism.hash()().Size() || len(fields) < 2 ||
		fields[0] != "c="+base64.StdEncoding.EncodeToString([]byte(s.header)) || !strings.HasPrefix(fields[1], "r=") || !strings.HasSuffix(fields[1], s.nonce) {
		return "", false
	}
	signed := s.first + "," + s.challenge + "," + unproven
	// The proof is the client's key, hidden under a signature that only who has the stored key can make.
	key := make([]byte, len(proof))
	subtle.XORBytes(key, proof, keyed(s.mechanism, s.credential.StoredKey, signed))
	stored := s.mechanism.hash()()
	stored.Write(key)
	if !hmac.Equal(stored.Sum(nil), s.credential.StoredKey) {
		return "", false
	}
	return "v=" + base64.StdEncoding.EncodeToString(keyed(s.mechanism, s.credential.ServerKey, signed)), true
}
