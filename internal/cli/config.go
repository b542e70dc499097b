package cli

import "github.com/spf13/cobra"

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the effective configuration and where each value comes from",
		Long: `config prints what serve would use with the same flags: a flag wins over the environment (MIRACLEDB_DATA,
MIRACLEDB_KAFKA, ...), the environment over the file of --config or MIRACLEDB_CONFIG, the file over the default.`,
		Example: "  miracledb config\n  MIRACLEDB_PG=127.0.0.1:6432 miracledb config --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings(cmd)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return writeJSON(cmd.OutOrStdout(), s)
			}
			t := table{header: []string{"name", "value", "source"}}
			for _, e := range s {
				t.add(e.Name, e.Value, e.Source)
			}
			return t.write(cmd.OutOrStdout())
		},
	}
	addServeFlags(cmd)
	addJSONFlag(cmd)
	return cmd
}
