package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/miracledb/miracledb/internal/errs"
	"github.com/miracledb/miracledb/log/access"
)

func newUser() *cobra.Command {
	return parent("user", "List, make and delete users", newUserList(), newUserCreate(), newUserDelete())
}

// user is a user with its credentials.
type user struct {
	Name       string         `json:"name"`
	Iterations map[string]int `json:"iterations"` // by SCRAM mechanism
}

func newUserList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List users", Args: noArgs,
		Example: "  miracledb user list\n  miracledb user list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withAdmin(cmd, func(ctx context.Context, admin *kadm.Client) error {
				described, err := admin.DescribeUserSCRAMs(ctx)
				if err != nil {
					return err
				}
				users := []user{}
				t := table{header: []string{"user", "mechanisms"}}
				for _, d := range described.Sorted() {
					u := user{d.User, map[string]int{}}
					var mechanisms []string
					for _, c := range d.CredInfos {
						u.Iterations[c.Mechanism.String()] = int(c.Iterations)
						mechanisms = append(mechanisms, c.Mechanism.String())
					}
					users = append(users, u)
					t.add(u.Name, strings.Join(mechanisms, ", "))
				}
				if wantsJSON(cmd) {
					return writeJSON(cmd.OutOrStdout(), users)
				}
				return t.write(cmd.OutOrStdout())
			})
		},
	}
	addBrokersFlag(cmd)
	addJSONFlag(cmd)
	return cmd
}

func newUserCreate() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "create USER", Short: "Make a user, or give it a new password", Args: oneArg("USER"),
		Long: `create makes a user whose password is the first line of the standard input, or of --new-password-file. The user can
authenticate by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512; the server gets salted keys, never the password.
As soon as there is a user Kafka clients must authenticate. The first one should be miracledb, the super user.`,
		Example: "  miracledb user create miracledb < password.txt\n  miracledb user create ann --new-password-file ann.txt --user miracledb --password-file password.txt",
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := firstLine(cmd.InOrStdin(), "the standard input")
			if file != "" {
				password, err = passwordFrom(file)
			}
			if err != nil {
				return err
			}
			return alterUser(cmd, args[0], nil, []kadm.UpsertSCRAM{
				{User: args[0], Mechanism: kadm.ScramSha256, Iterations: access.DefaultIterations, Password: password},
				{User: args[0], Mechanism: kadm.ScramSha512, Iterations: access.DefaultIterations, Password: password}}, "made")
		},
	}
	cmd.Flags().StringVar(&file, "new-password-file", "", "file whose first line is the user's password (default: the standard input)")
	addBrokersFlag(cmd)
	return cmd
}

func newUserDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete USER", Short: "Delete a user", Args: oneArg("USER"),
		Example: "  miracledb user delete ann",
		RunE: func(cmd *cobra.Command, args []string) error {
			return withAdmin(cmd, func(ctx context.Context, admin *kadm.Client) error {
				described, err := admin.DescribeUserSCRAMs(ctx, args[0])
				if err != nil {
					return err
				}
				var gone []kadm.DeleteSCRAM
				for _, c := range described[args[0]].CredInfos {
					gone = append(gone, kadm.DeleteSCRAM{User: args[0], Mechanism: c.Mechanism})
				}
				if len(gone) == 0 {
					return errs.New(errs.NotFound, "there is no user %q", args[0]).WithHint("`miracledb user list` shows who there is.")
				}
				return alterUser(cmd, args[0], gone, nil, "deleted")
			})
		},
	}
	addBrokersFlag(cmd)
	return cmd
}

// alterUser changes one user's credentials and says so.
func alterUser(cmd *cobra.Command, name string, gone []kadm.DeleteSCRAM, set []kadm.UpsertSCRAM, done string) error {
	return withAdmin(cmd, func(ctx context.Context, admin *kadm.Client) error {
		altered, err := admin.AlterUserSCRAMs(ctx, gone, set)
		if err == nil {
			err = altered.Error()
		}
		if errors.Is(err, kerr.ClusterAuthorizationFailed) {
			return errs.New(errs.Denied, "only who may alter the cluster changes users").WithHint("Come in as a super user: --user miracledb.")
		}
		if err != nil {
			return errs.New(errs.Invalid, "user %s was not %s: %w", name, done, err)
		}
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s user %s\n", done, name)
		return err
	})
}
