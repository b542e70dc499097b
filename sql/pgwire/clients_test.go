package pgwire_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/miracledb/miracledb/internal/node/nodetest"
	"github.com/miracledb/miracledb/internal/testenv"
)

// runClient runs a program of testdata against a server with sampleTables, and compares what it prints with a file.
func runClient(t *testing.T, file string, command func(s *nodetest.Server) *exec.Cmd) {
	t.Helper()
	s := nodetest.Start(t)
	nodetest.Exec(t, s.Connect(t), sampleTables...)
	var failed strings.Builder
	cmd := command(s)
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v\n%s", err, failed.String())
	}
	golden(t, file, out)
}

// TestPython holds what SQLAlchemy, psycopg and asyncpg see of a database and do with it.
func TestPython(t *testing.T) {
	python := testenv.PythonVenv(t, testenv.PythonSQL...)
	runClient(t, "testdata/python.txt", func(s *nodetest.Server) *exec.Cmd {
		return exec.Command(python, "testdata/clients.py", "postgres://miracledb@"+s.PG+"/miracledb")
	})
}

// TestPgjdbc holds what pgjdbc's DatabaseMetaData says of a database, and its ways to write.
func TestPgjdbc(t *testing.T) {
	java, classpath := testenv.Java(t), testenv.Pgjdbc(t)
	runClient(t, "testdata/pgjdbc.txt", func(s *nodetest.Server) *exec.Cmd {
		return exec.Command(java, "-cp", classpath, "testdata/Metadata.java", "jdbc:postgresql://"+s.PG+"/miracledb")
	})
}
