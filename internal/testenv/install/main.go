// Command install fills the cache of external test components: what .ci/run and `make test-components` call.
package main

import (
	"fmt"
	"os"

	"github.com/miracledb/miracledb/internal/testenv"
)

func main() {
	failed := false
	report := func(what, path string, err error) {
		if err != nil {
			failed = true
			fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
			return
		}
		fmt.Printf("%s: %s\n", what, path)
	}
	path, err := testenv.PostgresBin()
	report("PostgreSQL 15", path, err)
	for _, version := range []string{testenv.KafkaVersion, testenv.KafkaOldVersion} {
		path, err = testenv.InstallKafka(version)
		report("Apache Kafka's tools "+version, path, err)
	}
	report("Go Kafka clients", testenv.GoKafka, testenv.InstallGoModules(testenv.GoKafka))
	path, err = testenv.InstallNode(testenv.KafkaJS...)
	report("kafkajs", path, err)
	path, err = testenv.InstallPython(testenv.PythonKafka...)
	report("Python Kafka clients", path, err)
	path, err = testenv.InstallPython(testenv.PythonRegistry...)
	report("Python schema registry clients", path, err)
	path, err = testenv.InstallPgjdbc()
	report("pgjdbc", path, err)
	path, err = testenv.InstallPython(testenv.PythonSQL...)
	report("Python PostgreSQL clients", path, err)
	path, err = testenv.InstallPython(testenv.PythonDuckDB...)
	report("Python DuckDB", path, err)
	path, err = testenv.InstallNode(testenv.Mermaid...)
	report("Mermaid", path, err)
	if failed {
		os.Exit(1)
	}
}
