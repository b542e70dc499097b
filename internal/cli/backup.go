package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/miracledb/miracledb/backup"
	doorhttp "github.com/miracledb/miracledb/connectors/http"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/node"
)

func newBackup() *cobra.Command {
	return parent("backup", "Make, list, verify and prune backups", newBackupCreate(), newBackupList(), newBackupVerify(), newBackupPrune())
}

func addRepoFlag(cmd *cobra.Command) {
	cmd.Flags().String("repo", "", "backup repository, file:///path")
}

// repository is the address that --repo gives: a path is made absolute, since a server has another working directory.
func repository(cmd *cobra.Command) (string, error) {
	repo, err := cmd.Flags().GetString("repo")
	switch {
	case err != nil:
		return "", err
	case repo == "":
		return "", usage{fmt.Errorf("%s needs --repo\nhint: name a repository, such as --repo file:///var/backups/miracledb", cmd.CommandPath())}
	case strings.Contains(repo, "://"):
		return repo, nil
	}
	return filepath.Abs(repo)
}

func openRepository(cmd *cobra.Command) (backup.Store, error) {
	repo, err := repository(cmd)
	if err != nil {
		return nil, err
	}
	return backup.Open(repo)
}

func newBackupCreate() *cobra.Command {
	var full bool
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a backup",
		Long: `create copies the log to a repository: what was appended since the newest backup there. A running server is asked over
HTTP and writes to the repository itself; with --data a stopped server's directory is read.`,
		Example: "  miracledb backup create --repo file:///var/backups/miracledb\n  miracledb backup create --repo /mnt/backups --data /var/lib/miracledb",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			repo, err := repository(cmd)
			if err != nil {
				return err
			}
			offline := cmd.Flags().Changed("data")
			if offline && cmd.Flags().Changed("server") {
				return usage{fmt.Errorf("--data is for a stopped server, --server for a running one: give one of them")}
			}
			p := newProgress(cmd.ErrOrStderr(), "backing up")
			var s *backup.Summary
			if offline {
				s, err = backupStopped(cmd, repo, full, p)
			} else {
				s, err = backupRunning(cmd, repo, full, p)
			}
			p.end()
			if err != nil {
				return err
			}
			return tellBackup(cmd, s)
		},
	}
	addRepoFlag(cmd)
	addDataFlags(cmd)
	addServerFlag(cmd)
	cmd.Flags().BoolVar(&full, "full", false, "read the whole log again and write every block anew, which repairs damaged ones")
	return cmd
}

func tellBackup(cmd *cobra.Command, s *backup.Summary) error {
	if wantsJSON(cmd) {
		return writeJSON(cmd.OutOrStdout(), s)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "backup %s: %s up to %v, committed %s; %s new (%v), %v in all\n", s.ID, plural(int(s.Appends), "append"),
		s.To, s.ToTime.Format(time.RFC3339), plural(s.NewBlocks, "block"), limit.Bytes(s.NewBytes), limit.Bytes(s.Stored))
	return err
}

func backupStopped(cmd *cobra.Command, repo string, full bool, p *progress) (*backup.Summary, error) {
	settings, err := loadSettings(cmd)
	if err != nil {
		return nil, err
	}
	store, err := backup.Open(repo)
	if err != nil {
		return nil, err
	}
	m, err := node.BackupStopped(cmd.Context(), settings.value("data"), backup.CreateOptions{Store: store, Full: full,
		Progress: func(done, total int64) { p.set("backing up, appends", done, total) }})
	if err != nil {
		return nil, err
	}
	return &m.Summary, nil
}

// backupRunning asks a server for a backup and follows it.
func backupRunning(cmd *cobra.Command, repo string, full bool, p *progress) (*backup.Summary, error) {
	server, err := serverURL(cmd)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{"repo": repo, "full": full})
	if err != nil {
		return nil, err
	}
	resp, err := post(cmd.Context(), server+"/v1/backups", body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(server, resp)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, int(limit.MiB))
	for lines.Scan() {
		var e doorhttp.BackupEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, errs.New(errs.Internal, "%s answers with no JSON lines: %w", server, err)
		}
		switch {
		case e.Backup != nil:
			return e.Backup, nil
		case e.Error != "":
			return nil, &errs.Error{Kind: errs.Unavailable, Message: e.Error, Hint: e.Hint}
		}
		p.set("backing up, appends", e.Done, e.Total)
	}
	return nil, errs.New(errs.Unknown, "%s went away before the backup ended: %w", server, errors.Join(lines.Err(), io.ErrUnexpectedEOF)).
		WithHint("`miracledb backup list` shows whether it is there.")
}

func post(ctx context.Context, url string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, usage{err}
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, errs.New(errs.Unavailable, "no server answers: %w", err).
			WithHint("Start one with `miracledb serve`, name another with --server http://HOST:PORT, or back up a stopped one with --data DIR.")
	}
	return resp, nil
}

// refusal is the error of an answer that is not 200, as the API tells errors.
func refusal(server string, resp *http.Response) error {
	var told struct {
		Detail string `json:"detail"`
		Errors []struct {
			Message, Location string
		} `json:"errors"`
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit.MiB)))
	if err != nil || json.Unmarshal(body, &told) != nil || told.Detail == "" {
		return errs.New(errs.Unavailable, "%s answers %s", server, resp.Status)
	}
	e := errs.New(errs.Invalid, "%s", told.Detail)
	for _, d := range told.Errors {
		if d.Location == "hint" {
			e.Hint = d.Message
		}
	}
	return e
}

func newBackupList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the backups of a repository, newest first", Args: noArgs,
		Example: "  miracledb backup list --repo file:///var/backups/miracledb",
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := openRepository(cmd)
			if err != nil {
				return err
			}
			whole, damage := backup.List(cmd.Context(), store)
			if whole == nil && damage != nil {
				return damage
			}
			return errors.Join(tellBackups(cmd, whole), damage)
		},
	}
	addRepoFlag(cmd)
	addJSONFlag(cmd)
	return cmd
}

func tellBackups(cmd *cobra.Command, whole []*backup.Manifest) error {
	if wantsJSON(cmd) {
		out := []backup.Summary{}
		for _, m := range whole {
			out = append(out, m.Summary)
		}
		return writeJSON(cmd.OutOrStdout(), out)
	}
	t := table{header: []string{"backup", "kind", "reaches", "position", "appends", "new", "size"}, right: []bool{false, false, false, true, true, true, true}}
	for _, m := range whole {
		kind := "full"
		if m.Previous != "" {
			kind = "incremental"
		}
		t.add(m.ID, kind, m.Covered.Format(time.RFC3339), m.To.String(), strconv.FormatUint(m.Appends, 10),
			limit.Bytes(m.NewBytes).String(), limit.Bytes(m.Stored).String())
	}
	return t.write(cmd.OutOrStdout())
}

func newBackupVerify() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check a repository",
		Long: `verify checks every backup. Level quick reads the manifests and looks for every block by name and size; full reads the blocks,
checks their digests and decodes every append; sandbox also restores the newest backup into a temporary directory and
checks that log. Damage makes the exit status 1.`,
		Example: "  miracledb backup verify --repo file:///var/backups/miracledb --level sandbox",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			level, err := backup.ParseLevel(name)
			if err != nil {
				return wrongUsage(err)
			}
			store, err := openRepository(cmd)
			if err != nil {
				return err
			}
			p := newProgress(cmd.ErrOrStderr(), "verifying")
			r, err := backup.Verify(cmd.Context(), store, level, func(done, total int64) { p.set("verifying", done, total) })
			p.end()
			if err != nil {
				return err
			}
			return tellVerified(cmd, store.URL(), &r)
		},
	}
	cmd.Flags().StringVar(&name, "level", backup.Full.String(), "quick, full or sandbox")
	addRepoFlag(cmd)
	addJSONFlag(cmd)
	return cmd
}

// verified is what verify --json prints.
type verified struct {
	*backup.Report
	Faults []string `json:"faults"`
}

func tellVerified(cmd *cobra.Command, repo string, r *backup.Report) error {
	out, w := verified{r, []string{}}, cmd.OutOrStdout()
	for _, f := range r.Faults {
		out.Faults = append(out.Faults, f.Error())
	}
	var err error
	if wantsJSON(cmd) {
		err = writeJSON(w, out)
	} else {
		for _, f := range out.Faults {
			fmt.Fprintln(w, "damage: "+f)
		}
		_, err = fmt.Fprintf(w, "%s, %s (%v); %s unused\n", plural(r.Backups, "backup"), plural(r.Blocks, "block"), limit.Bytes(r.Bytes), plural(r.Unused, "block"))
		if r.Restored != "" {
			_, err = fmt.Fprintf(w, "backup %s was restored up to %v and its log checked\n", r.Restored, r.Position)
		}
	}
	if err == nil && len(r.Faults) > 0 {
		return errs.New(errs.Corrupt, "%s is damaged in %s", repo, plural(len(r.Faults), "place")).
			WithHint("`miracledb backup create --full` writes anew what the log still has.")
	}
	return err
}

func newBackupPrune() *cobra.Command {
	var o backup.PruneOptions
	var age string
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove old backups, and blocks that no backup needs",
		Long: `prune keeps the newest --keep backups, and all that are younger than --older-than; with both, a backup goes when both say so.
The newest backup always stays. With neither, only what was left by backups that were cut short goes.`,
		Example: "  miracledb backup prune --repo file:///var/backups/miracledb --keep 7 --dry-run\n  miracledb backup prune --repo /mnt/backups --older-than 30d",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.OlderThan, err = parseAge(age); err != nil {
				return usage{err}
			}
			if o.Keep < 0 {
				return usage{fmt.Errorf("--keep is %d, want 0 or more", o.Keep)}
			}
			if o.Store, err = openRepository(cmd); err != nil {
				return err
			}
			gone, err := backup.Prune(cmd.Context(), o)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return writeJSON(cmd.OutOrStdout(), gone)
			}
			verb := "removed"
			if gone.DryRun {
				verb = "would remove"
			}
			for _, id := range gone.Backups {
				fmt.Fprintf(cmd.OutOrStdout(), "%s backup %s\n", verb, id)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s and %s (%v)\n", verb, plural(len(gone.Backups), "backup"), plural(gone.Blocks, "block"), limit.Bytes(gone.Bytes))
			return err
		},
	}
	cmd.Flags().IntVar(&o.Keep, "keep", 0, "how many of the newest backups stay")
	cmd.Flags().StringVar(&age, "older-than", "", "remove only backups older than this: 12h, 30d")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "say what would go, and remove nothing")
	addRepoFlag(cmd)
	addJSONFlag(cmd)
	return cmd
}

// parseAge reads a duration, which may be in days.
func parseAge(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 100_000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("--older-than %q is no age\nhint: write it like 12h or 30d", text)
	}
	return d, nil
}
