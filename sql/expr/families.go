package expr

// families are the registry: every function and operator, one file per family.
var families = [][]def{
	comparison,
	arithmetic,
	mathematics,
}
