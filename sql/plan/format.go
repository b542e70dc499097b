package plan

import (
	"fmt"
	"strings"
)

// Format writes the tree of operators.
func Format(n Node) string {
	var b strings.Builder
	formatNode(&b, n, 0)
	return b.String()
}

func formatNode(b *strings.Builder, n Node, depth int) {
	fmt.Fprintf(b, "%s%T\n", strings.Repeat("  ", depth), n)
	for _, in := range n.Inputs() {
		formatNode(b, in, depth+1)
	}
}
