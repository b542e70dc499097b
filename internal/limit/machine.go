package limit

import (
	"os"
	"strconv"
	"strings"
)

// Machine is the memory of this machine (MemTotal of /proc/meminfo); 4 GiB when it cannot be read.
func Machine() Bytes {
	b, err := os.ReadFile("/proc/meminfo")
	if err == nil {
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
				if kb, err := strconv.ParseInt(f[1], 10, 64); err == nil {
					return Bytes(kb) * KiB
				}
			}
		}
	}
	return 4 * GiB
}
