package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/miracledb/miracledb/backup"
	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/internal/limit"
	"github.com/miracledb/miracledb/internal/node"
)

func newRestore() *cobra.Command {
	var o backup.RestoreOptions
	var offset, timestamp string
	var latest bool
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Build a data directory from a backup, as of any offset or time",
		Long: `restore builds a new data directory that serve can be started on. --to-latest is the newest position in the repository;
--to-timestamp the last atomic append at or before a time; --to-offset the last append before any of the partitions would
pass its offset. Committed offsets of consumer groups that lie beyond what was restored are set to its end. Views are
computed from the log when the server starts.`,
		Example: `  miracledb restore --repo file:///var/backups/miracledb --data ./restored --to-latest
  miracledb restore --repo /mnt/backups --data ./restored --to-timestamp 2026-11-22T10:00:00Z --dry-run
  miracledb restore --repo /mnt/backups --data ./restored --to-offset orders/0=1234,orders/1=980`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Data == "" {
				return usage{fmt.Errorf("restore needs --data\nhint: name a directory that is not there yet")}
			}
			if o.Target, err = backup.ParseTarget(offset, timestamp, latest); err != nil {
				return wrongUsage(err)
			}
			if o.Store, err = openRepository(cmd); err != nil {
				return err
			}
			p := newProgress(cmd.ErrOrStderr(), "restoring")
			o.Progress = func(done, total int64) { p.set("restoring", done, total) }
			r, err := node.Restore(cmd.Context(), o)
			p.end()
			if err != nil {
				return err
			}
			return tellRestored(cmd, o.Data, r)
		},
	}
	cmd.Flags().StringVar(&o.Data, "data", "", "the new data directory")
	cmd.Flags().BoolVar(&latest, "to-latest", false, "restore to the newest position in the repository")
	cmd.Flags().StringVar(&offset, "to-offset", "", "restore to an offset: topic/partition=offset,...")
	cmd.Flags().StringVar(&timestamp, "to-timestamp", "", "restore to a time, RFC 3339")
	cmd.Flags().StringVar(&o.Backup, "backup", "", "restore from this backup (default: the newest that reaches the target)")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "say what would be restored, and restore nothing")
	addRepoFlag(cmd)
	addJSONFlag(cmd)
	return cmd
}

// wrongUsage makes an error of how the command was called, with its hint.
func wrongUsage(err error) error {
	var e *errs.Error
	if errors.As(err, &e) && e.Hint != "" {
		return usage{fmt.Errorf("%w\nhint: %s", err, e.Hint)}
	}
	return usage{err}
}

func tellRestored(cmd *cobra.Command, data string, r *backup.Result) error {
	w := cmd.OutOrStdout()
	if wantsJSON(cmd) {
		return writeJSON(w, r)
	}
	verb := "restored"
	if r.DryRun {
		verb = "would restore"
	}
	fmt.Fprintf(w, "%s %s up to %v, committed %s, from backup %s: %s (%v unpacked)\n", verb, plural(int(r.Appends), "append"), r.Position,
		r.Time.Format(time.RFC3339Nano), r.Backup, plural(r.Blocks, "block"), limit.Bytes(r.Bytes))
	for _, c := range r.Clamped {
		fmt.Fprintf(w, "group %s was at offset %d of %s/%d, beyond the end: set to %d\n", c.Group, c.From, c.Topic, c.Partition, c.To)
	}
	if !r.DryRun {
		fmt.Fprintf(w, "start it with: miracledb serve --data %s\n", data)
	}
	return nil
}
