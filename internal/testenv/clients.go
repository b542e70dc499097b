package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The versions of Apache Kafka whose clients and tools tests run: the newest, and the last that still runs with ZooKeeper
// and on Java 8, which many have stayed with.
const (
	KafkaVersion    = "4.3.1"
	KafkaOldVersion = "3.9.1"
)

// Kcat gives the path of kcat.
func Kcat(t testing.TB) string {
	t.Helper()
	path, err := look("kcat", "kcat")
	Need(t, "kcat", err)
	return path
}

// Java gives the path of the java launcher.
func Java(t testing.TB) string {
	t.Helper()
	path, err := look("java", "default-jdk-headless")
	Need(t, "java", err)
	return path
}

// Javac gives the path of the Java compiler.
func Javac(t testing.TB) string {
	t.Helper()
	path, err := look("javac", "default-jdk-headless")
	Need(t, "javac", err)
	return path
}

// KafkaJars gives a class path ("DIR/*") with Apache Kafka's server and tools of KafkaVersion, from Maven Central.
func KafkaJars(t testing.TB) string {
	t.Helper()
	return KafkaJarsOf(t, KafkaVersion)
}

// KafkaJarsOf is KafkaJars of another version.
func KafkaJarsOf(t testing.TB, version string) string {
	t.Helper()
	dir, err := InstallKafka(version)
	Need(t, "Apache Kafka's tools "+version, err)
	return dir
}

// InstallKafka installs what KafkaJarsOf gives.
func InstallKafka(version string) (classpath string, err error) {
	return installJars("kafka-"+version, "org.apache.kafka:kafka_2.13:"+version, "org.apache.kafka:kafka-tools:"+version,
		"org.apache.logging.log4j:log4j-slf4j-impl:2.25.4")
}

// KafkaApplications gives a class path with Kafka Streams, Kafka Connect with its file connectors, and MirrorMaker 2 of
// KafkaVersion, from Maven Central. Only conformance tests ask for it.
func KafkaApplications(t testing.TB) string {
	t.Helper()
	artifacts := []string{"org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"}
	for _, a := range []string{"kafka-streams", "connect-runtime", "connect-json", "connect-file", "connect-mirror"} {
		artifacts = append(artifacts, "org.apache.kafka:"+a+":"+KafkaVersion)
	}
	classpath, err := installJars("kafka-applications-"+KafkaVersion, artifacts...)
	Need(t, "Apache Kafka's applications", err)
	return classpath
}

// PgjdbcVersion is the version of PostgreSQL's JDBC driver that Pgjdbc installs.
const PgjdbcVersion = "42.7.14"

// Pgjdbc gives a class path with PostgreSQL's JDBC driver, from Maven Central.
func Pgjdbc(t testing.TB) string {
	t.Helper()
	classpath, err := InstallPgjdbc()
	Need(t, "pgjdbc", err)
	return classpath
}

// InstallPgjdbc installs what Pgjdbc gives.
func InstallPgjdbc() (classpath string, err error) {
	return installJars("pgjdbc-"+PgjdbcVersion, "org.postgresql:postgresql:"+PgjdbcVersion)
}

// installJars gives a class path with artifacts ("group:artifact:version") and all that they need.
func installJars(name string, artifacts ...string) (classpath string, err error) {
	dir, err := component(name, func(ctx context.Context, dir string) error {
		mvn, err := look("mvn", "maven")
		if err != nil {
			return err
		}
		pom := pomHead
		for _, a := range artifacts {
			f := strings.Split(a, ":")
			pom += "<dependency><groupId>" + f[0] + "</groupId><artifactId>" + f[1] + "</artifactId><version>" + f[2] + "</version></dependency>\n"
		}
		if err := os.WriteFile(filepath.Join(dir, "pom.xml"), []byte(pom+"</dependencies></project>\n"), 0o644); err != nil {
			return err
		}
		return run(ctx, dir, mvn, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib")
	})
	return filepath.Join(dir, "lib", "*"), err
}

const pomHead = `<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>miracledb</groupId><artifactId>test-components</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
`

// PythonVenv gives the python of a virtual environment that has the named packages ("confluent-kafka==2.16.1"): pin them.
func PythonVenv(t testing.TB, packages ...string) string {
	t.Helper()
	python, err := InstallPython(packages...)
	Need(t, "Python with "+strings.Join(packages, ", "), err)
	return python
}

// InstallPython installs what PythonVenv gives.
func InstallPython(packages ...string) (python string, err error) {
	sum := sha256.Sum256([]byte(strings.Join(packages, "\n")))
	dir, err := component("python-"+hex.EncodeToString(sum[:6]), func(ctx context.Context, dir string) error {
		python3, err := look("python3", "python3-venv")
		if err != nil {
			return err
		}
		venv := filepath.Join(dir, "venv")
		if err := run(ctx, dir, python3, "-m", "venv", venv); err != nil {
			return fmt.Errorf("%w (apt-get install python3-venv)", err)
		}
		pip := append([]string{"-m", "pip", "install", "-q", "--disable-pip-version-check"}, packages...)
		return run(ctx, dir, filepath.Join(venv, "bin", "python"), pip...)
	})
	return filepath.Join(dir, "venv", "bin", "python"), err
}

// PythonDuckDB is DuckDB of the version that the server links.
var PythonDuckDB = []string{"duckdb==1.5.6"}

// PythonSQL is the Python PostgreSQL clients of the client matrix.
var PythonSQL = []string{"sqlalchemy==2.0.36", "psycopg[binary]==3.2.3", "asyncpg==0.30.0"}

// PythonKafka is the Python Kafka clients of the client matrix.
var PythonKafka = []string{"confluent-kafka==2.16.1", "kafka-python==3.0.12", "lz4", "zstandard", "python-snappy"}

// PythonRegistry is the Python clients of the schema registry: Confluent's, with all its serializers.
var PythonRegistry = []string{"confluent-kafka[schemaregistry,avro,json,protobuf]==2.16.1"}

// NodeModules gives node and a directory whose node_modules has the named npm packages ("mermaid@11.12.0"): pin them.
func NodeModules(t testing.TB, packages ...string) (node, dir string) {
	t.Helper()
	node, err := look("node", "nodejs")
	Need(t, "Node.js", err)
	dir, err = InstallNode(packages...)
	Need(t, "Node.js with "+strings.Join(packages, ", "), err)
	return node, dir
}

// InstallNode installs what NodeModules gives.
func InstallNode(packages ...string) (dir string, err error) {
	sum := sha256.Sum256([]byte(strings.Join(packages, "\n")))
	return component("node-"+hex.EncodeToString(sum[:6]), func(ctx context.Context, dir string) error {
		npm, err := look("npm", "npm")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"private":true}`), 0o644); err != nil {
			return err
		}
		return run(ctx, dir, npm, append([]string{"install", "--no-audit", "--no-fund", "--ignore-scripts"}, packages...)...)
	})
}

// Mermaid is Mermaid's parser with the DOM that it asks for; the newest that run on Debian 12's Node.js.
var Mermaid = []string{"mermaid@11.12.0", "jsdom@26.1.0"}

// KafkaJS is kafkajs with the codecs that it has not itself. None is compiled here; lz4js is not one of them because its
// frames have dependent blocks, which Java's clients do not read.
var KafkaJS = []string{"kafkajs@2.2.4", "kafkajs-snappy@1.1.0", "lz4-napi@2.10.0", "@bokuweb/zstd-wasm@0.0.27"}

// GoKafka is the module of the Go clients of the client matrix that the server's own module has not, from the root.
const GoKafka = "log/kafka/testdata/clients-go"

// GoModules has the modules that a module in dir asks for, as Build of it needs them.
func GoModules(t testing.TB, dir string) {
	t.Helper()
	Need(t, "the modules of "+dir, InstallGoModules(dir))
}

// InstallGoModules downloads what GoModules asks for into Go's module cache.
func InstallGoModules(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	return run(ctx, dir, "go", "mod", "download")
}
