package node

import (
	"context"
	"errors"

	"github.com/miracledb/miracledb/log/access"
)

// bootstrapUser makes the configured user when there is none, so that a server never answers strangers.
func (n *Node) bootstrapUser(ctx context.Context) error {
	name := n.config.BootstrapUser
	users := access.NewStore(n.Log)
	if name == "" || users.Current().HasUsers() {
		return nil
	}
	var changes []access.CredentialChange
	for _, m := range []access.Mechanism{access.ScramSHA256, access.ScramSHA512} {
		c, err := access.NewCredential(m, n.config.BootstrapPassword, access.DefaultIterations)
		if err != nil {
			return err
		}
		changes = append(changes, access.CredentialChange{User: name, Mechanism: m, Credential: &c})
	}
	faults, err := users.AlterCredentials(ctx, changes)
	return errors.Join(append(faults, err)...)
}
