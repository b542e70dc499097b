package duck

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/sql/duck/internal/worker"
)

// Options are the engine's; the zero value is the default.
type Options struct {
	// Command starts the child; nil: this binary, whose main (or TestMain) calls ChildMain first.
	Command []string
	// MemoryLimit is what DuckDB may take before it spills to TempDir. 0: a quarter of the machine's memory.
	MemoryLimit limit.Bytes
	// ChildLimit is the data memory (RLIMIT_DATA) at which the operating system refuses the child more: results and large
	// values pass MemoryLimit. 0: twice MemoryLimit and 1 GiB. Negative: none.
	ChildLimit limit.Bytes
	// Threads are DuckDB's. 0: all processors.
	Threads int
	// TempDir is for spilling; it is made. "": a directory of the system's temporary one.
	TempDir string
	// Directories are the only ones that the child's SQL may read: where segments are.
	Directories []string
	// MaxQueries bounds the queries under way; others wait. 0: 64.
	MaxQueries int
	// Grace is how long a cancelled query may take to stop before the child is killed. 0: 2 s.
	Grace time.Duration
}

// Validate reports every fault.
func (o Options) Validate() error {
	var faults []string
	if o.MemoryLimit < 0 {
		faults = append(faults, "MemoryLimit is negative")
	}
	if o.Threads < 0 {
		faults = append(faults, "Threads is negative")
	}
	if o.MaxQueries < 0 {
		faults = append(faults, "MaxQueries is negative")
	}
	for _, d := range o.Directories {
		if !strings.HasPrefix(d, "/") {
			faults = append(faults, fmt.Sprintf("directory %q is not absolute", d))
		}
	}
	if len(faults) > 0 {
		return errs.New(errs.Invalid, "analytical engine: %s", strings.Join(faults, "; "))
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Command == nil {
		o.Command = []string{"/proc/self/exe"}
	}
	if o.MemoryLimit == 0 {
		o.MemoryLimit = max(limit.Machine()/4, 256*limit.MiB)
	}
	if o.ChildLimit == 0 {
		o.ChildLimit = 2*o.MemoryLimit + limit.GiB
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.TempDir == "" {
		o.TempDir = fmt.Sprintf("%s/miracledb-duck-%d", os.TempDir(), os.Getpid())
	}
	if o.MaxQueries == 0 {
		o.MaxQueries = 64
	}
	if o.Grace == 0 {
		o.Grace = 2 * time.Second
	}
	return o
}

// childMark tells a process that it is the child; its value is the descriptor of the control socket.
const childMark = "MIRACLEDB_DUCKDB_CHILD"

// ChildMain is the whole life of this process, and never returns, when Engine started it as its child; else it returns
// false. The program's main, and TestMain of tests that open an Engine, call it before anything else.
func ChildMain() bool {
	mark := os.Getenv(childMark)
	if mark == "" {
		return false
	}
	fd, err := strconv.Atoi(mark)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s=%q is not a descriptor\n", childMark, mark)
		os.Exit(2)
	}
	worker.Main(fd)
	return true
}
