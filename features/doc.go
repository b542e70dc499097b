// Package features is the place of optional parts of the product: each is a package below this one (features/i18n,
// features/dicom...) that adds SQL functions, or a middleware of the HTTP door, or both, and that one commit can delete.
//
// # SQL functions
//
// A function is an entry of the registry of sql/expr (registry.go): a signature as PostgreSQL writes it, its traits
// (strict and immutable unless said otherwise), and a Go function over row.Value. From the entry alone the planner resolves
// calls and overloads, pg_proc and psql's \df list it, the row executor and materialized views compute it.
// sql/duck says in its rules which functions DuckDB answers as PostgreSQL does; a query that calls any other runs in the
// row executor, so a feature needs to say nothing there.
//
// The registry is a variable list that is complete once sql/expr is initialised: OIDs are given in its order, and
// prepared statements, views and executors of other goroutines read it without a lock. A feature therefore cannot add to
// it while the server runs. It is linked in or it is not: the feature's package, which may import sql/expr and
// internal/row, holds the functions; an entry in the families of sql/expr (families.go) cannot import it, since floors
// point downward. The first feature brings the seam with it: an exported function of sql/expr that appends entries during
// package initialisation, which the feature calls from its own init. Until then there is nothing for the seam to serve.
//
// # Middleware
//
// The HTTP door is an http.Handler that internal/node builds (doors.go). A middleware is a func(http.Handler) http.Handler
// that internal/node puts around it.
//
// # Linking and deleting
//
// Only cmd/miracledb imports a feature with functions, for its init (import _); only internal/node imports one with a
// middleware. Nothing else may: internal/tidy places features on the floor of the doors, below internal/node, and no door
// may import a package to its right. To delete a feature is to delete its directory and that one import line; what its
// functions were used for then fails with "function ... does not exist" (42883), as any unknown function does.
//
// A feature has its own tests, its dependencies are named in docs/dependencies.md with it, and a stored view that calls
// its functions names them as text, so that data outlives the feature.
package features
