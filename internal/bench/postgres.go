package bench

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/miracledb/miracledb/internal/errs"
)

// postgresBin is where Debian puts PostgreSQL 15, the version that the server follows.
const postgresBin = "/usr/lib/postgresql/15/bin"

// postgres is a PostgreSQL 15 cluster of its own, with the durability that it has by default.
type postgres struct {
	dir, address string
	cmd          *exec.Cmd
	output       tail
	memory       *memory
}

// startPostgres makes a cluster in a directory of its own and starts it. Close it.
func startPostgres(ctx context.Context) (_ *postgres, err error) {
	if _, err := os.Stat(filepath.Join(postgresBin, "postgres")); err != nil {
		return nil, errs.New(errs.Unavailable, "PostgreSQL 15, the peer, is not there: %w", err).WithHint("apt-get install postgresql-15")
	}
	attributes, owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	p := &postgres{}
	if p.address, err = freeAddress(); err != nil {
		return nil, err
	}
	// Short: a Unix socket's path must stay under 108 bytes.
	if p.dir, err = os.MkdirTemp("", "mdbpg-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if attributes.Credential != nil {
		if err := os.Chown(p.dir, owner, -1); err != nil {
			return nil, err
		}
	}
	initdb := exec.CommandContext(ctx, filepath.Join(postgresBin, "initdb"), "-A", "trust", "-U", "miracledb", "-N", "--locale=C.UTF-8", "-E", "UTF8", "-D", p.data())
	initdb.SysProcAttr = attributes
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, errs.New(errs.Unavailable, "initdb: %w %s", err, bytes.TrimSpace(out))
	}
	return p, p.start(ctx, attributes)
}

func (p *postgres) start(ctx context.Context, attributes *syscall.SysProcAttr) error {
	_, port, err := net.SplitHostPort(p.address)
	if err != nil {
		return err
	}
	p.cmd = exec.Command(filepath.Join(postgresBin, "postgres"), "-D", p.data(), "-p", port, "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories="+p.dir, "-c", "shared_buffers=1GB")
	p.cmd.SysProcAttr, p.cmd.Stderr = attributes, &p.output
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.memory = sampleMemory(p.cmd.Process.Pid, nil)
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for ctx.Err() == nil {
		if c, err := p.connect(ctx); err == nil {
			return c.Close(ctx)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errs.New(errs.Unavailable, "PostgreSQL did not start: %s", p.output.String())
}

func (p *postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *postgres) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, "postgres://miracledb@"+p.address+"/postgres?sslmode=disable")
}

// close ends the server, if it runs, by a fast shutdown, and removes the cluster.
func (p *postgres) close() {
	if p.memory != nil {
		p.memory.stop()
		_ = p.cmd.Process.Signal(syscall.SIGINT) // an error means that it is gone
		_ = p.cmd.Wait()
	}
	_ = os.RemoveAll(p.dir)
}

// unprivileged is whom PostgreSQL, which refuses root, runs as.
func unprivileged() (*syscall.SysProcAttr, int, error) {
	attributes := &syscall.SysProcAttr{Setpgid: true} // the terminal's interrupt is for us
	if os.Getuid() != 0 {
		return attributes, -1, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, 0, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, 0, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attributes, int(uid), err
}
