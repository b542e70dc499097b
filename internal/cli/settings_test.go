package cli

import (
	"errors"
	"testing"
	"time"

	"github.com/miracledb/miracledb/internal/node"
)

// The retention of offsets is Kafka's setting, in minutes, by flag or environment.
func TestOffsetsRetentionSetting(t *testing.T) {
	for _, c := range []struct {
		flag, environment string
		want              time.Duration // -1: refused
	}{
		{"", "", 0}, // the default is the server's
		{"", "60", time.Hour},
		{"1", "60", time.Minute},
		{"0", "", -1},
		{"1h", "", -1},
	} {
		cmd := newServe()
		if c.environment != "" {
			t.Setenv("MIRACLEDB_OFFSETS_RETENTION_MINUTES", c.environment)
		}
		if c.flag != "" {
			if err := cmd.Flags().Set("offsets-retention-minutes", c.flag); err != nil {
				t.Fatal(err)
			}
		}
		s, err := loadSettings(cmd)
		if err != nil {
			t.Fatal(err)
		}
		var config node.Config
		err = s.apply(&config)
		if refused := errors.As(err, new(usage)); refused != (c.want < 0) || !refused && config.OffsetsRetention != c.want {
			t.Errorf("flag %q, environment %q: %v, %v; want %v", c.flag, c.environment, config.OffsetsRetention, err, c.want)
		}
		t.Setenv("MIRACLEDB_OFFSETS_RETENTION_MINUTES", "10080")
	}
}
