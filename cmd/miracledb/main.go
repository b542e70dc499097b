// Command miracledb is the server and its command line: see package internal/cli.
package main

import (
	"context"
	"os"

	"github.com/miracledb/miracledb/internal/cli"
	"github.com/miracledb/miracledb/sql/duck"
)

func main() {
	if duck.ChildMain() {
		return
	}
	os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
