// Package tidy holds the rules of the house as tests: the floors of ARCHITECTURE.md, package comments, forbidden
// imports and names, and the size of files and functions. It has no code of its own.
package tidy
