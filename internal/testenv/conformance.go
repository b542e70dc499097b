package testenv

import "os"

// Conformance says whether the long suite was asked for (make conformance): what takes minutes runs only there.
func Conformance() bool { return os.Getenv("MIRACLEDB_CONFORMANCE") != "" }
