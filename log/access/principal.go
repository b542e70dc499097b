package access

// Principal is who is asking, in Kafka's form: "User:ann", "User:CN=ann,O=shop" by a certificate.
type Principal string

// Anonymous is who has not said who it is.
const Anonymous Principal = "User:ANONYMOUS"

// User is the principal of a user.
func User(name string) Principal { return Principal("User:" + name) }
