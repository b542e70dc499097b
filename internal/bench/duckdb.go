package bench

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/miracledb/miracledb/internal/errs"
)

// duckVersion is the version of DuckDB that the server has inside: the peer is the same, from its own makers.
const duckVersion = "1.5.6"

//go:embed duckdb_peer.py
var duckPeer string

// duckDB is DuckDB in a Python process of its own.
type duckDB struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	output  tail
	peakMiB float64
}

// startDuckDB installs DuckDB on first use, into the user's cache directory, and starts it with a thread per processor.
func startDuckDB(ctx context.Context, progress Progress) (*duckDB, error) {
	python, err := installDuckDB(ctx, progress)
	if err != nil {
		return nil, errs.New(errs.Unavailable, "DuckDB %s, which the answers are compared with: %w", duckVersion, err).
			WithHint("It needs python3 with venv (apt-get install python3-venv) and PyPI.")
	}
	d := &duckDB{cmd: exec.Command(python, "-c", duckPeer, strconv.Itoa(runtime.NumCPU()))}
	d.cmd.Stderr = &d.output
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.out = bufio.NewReaderSize(out, 1<<20)
	return d, d.cmd.Start()
}

func installDuckDB(ctx context.Context, progress Progress) (python string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	venv := filepath.Join(cache, "miracledb-bench", "duckdb-"+duckVersion)
	python = filepath.Join(venv, "bin", "python")
	if exec.CommandContext(ctx, python, "-c", "import duckdb").Run() == nil {
		return python, nil
	}
	progress("installing DuckDB "+duckVersion, 0, 0)
	if err := os.MkdirAll(filepath.Dir(venv), 0o755); err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"python3", "-m", "venv", venv},
		{python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "duckdb==" + duckVersion},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
		}
	}
	return python, nil
}

// query runs one statement; took is the time inside the peer's process, rows fetched.
func (d *duckDB) query(sql string) (rows [][]string, took time.Duration, err error) {
	request, err := json.Marshal(map[string]string{"sql": sql})
	if err != nil {
		return nil, 0, err
	}
	if _, err := d.in.Write(append(request, '\n')); err != nil {
		return nil, 0, errs.New(errs.Unavailable, "DuckDB ended: %w %s", err, d.output.String())
	}
	line, err := d.out.ReadBytes('\n')
	if err != nil {
		return nil, 0, errs.New(errs.Unavailable, "DuckDB ended: %w %s", err, d.output.String())
	}
	var answer struct {
		Seconds float64
		Rows    [][]any
		RSS     float64 `json:"rss_mb"`
		Error   string
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&answer); err != nil {
		return nil, 0, err
	}
	if answer.Error != "" {
		return nil, 0, errs.New(errs.Internal, "DuckDB: %s\nin %s", answer.Error, sql)
	}
	d.peakMiB = round(answer.RSS)
	rows = make([][]string, len(answer.Rows))
	for i, in := range answer.Rows {
		rows[i] = make([]string, len(in))
		for j, v := range in {
			if v != nil {
				rows[i][j] = fmt.Sprint(v)
			}
		}
	}
	return rows, time.Duration(answer.Seconds * float64(time.Second)), nil
}

func (d *duckDB) close() {
	_ = d.cmd.Process.Kill() // it has nothing to lose
	_ = d.cmd.Wait()
}
